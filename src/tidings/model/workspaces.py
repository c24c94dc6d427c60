"""A workspace as other rooms see it: its plan, what it used of it, who may do what in it."""

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from tidings.clock import EPOCH, Micros

Role = Literal["member", "owner", "operator"]
MemberRole = Literal["member", "owner"]  # what a person can be
TOLD_FROM = 0.8  # of a plan: from there on it is said that it may not last
ROLES: tuple[Role, ...] = ("member", "owner", "operator")  # each may do what the ones before it may
MEMBER_ROLES: tuple[MemberRole, ...] = ("member", "owner")


@dataclass(frozen=True, slots=True)
class Workspace:
    """The tenant. `plan` is the name of a plan of the settings, or of one that was there once."""

    id: str
    name: str
    plan: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of a workspace, without the key itself, of which only the SHA-256 is kept, and the first characters for people to tell it by."""

    id: str
    workspace_id: str
    name: str
    role: Role
    created_at: Micros
    revoked_at: Micros | None
    prefix: str | None
    last_used_at: Micros | None


@dataclass(frozen=True, slots=True)
class Member:
    """A person who belongs to a workspace. `seen_at`: when a session of theirs was last used, None where none is left."""

    user_id: str
    email: str
    role: MemberRole
    joined_at: Micros
    seen_at: Micros | None


@dataclass(frozen=True, slots=True)
class Invitation:
    """Somebody who may join a workspace by a link, once, until it expires. Of the link only the SHA-256 is kept."""

    id: str
    workspace_id: str
    workspace: str
    email: str
    role: MemberRole
    created_at: Micros
    expires_at: Micros


class Acting:
    """Who acts in a role."""

    __slots__ = ()
    role: Role

    def may_act_as(self, role: Role) -> bool:
        """Whether this one may do what `role` may."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class Caller(Acting):
    """Who sent a request: a key of a workspace."""

    workspace_id: str
    key_id: str
    role: Role


@dataclass(frozen=True, slots=True)
class Visitor(Acting):
    """Who looks at a page: a person who has signed in, in the workspace of the session. `others`: id and name of the other workspaces of this person."""

    user_id: str
    email: str
    workspace_id: str
    workspace: str
    role: Role
    session_id: str
    others: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """A browser in which somebody has signed in."""

    id: str
    created_at: Micros
    seen_at: Micros
    address: str | None
    agent: str | None


def allowance_of(plan: str, plans: Mapping[str, int | None], default_plan: str) -> int | None:
    """Storage tokens a month of a workspace on `plan`; None without limit. A plan that has gone from the settings counts as
    the default plan, which is what the operator gives to a workspace of which nothing else is known."""
    return plans[plan] if plan in plans else plans[default_plan]


def judge_use(plan: str, limit: int, used: int, at: Micros) -> str | None:
    """What to say of a month's use (storage tokens) at this instant, once most of the plan's `limit` is used; None before that."""
    if used < TOLD_FROM * limit:
        return None
    now, begin = _now_and_begin(at)
    lasts_until = begin + (now - begin) * (limit / max(used, 1))
    if used >= limit:
        forecast = "Nothing is left"
    elif (lasts_until.year, lasts_until.month) == (now.year, now.month):
        forecast = f"At this pace it is used up on {lasts_until:%Y-%m-%d}"
    else:
        forecast = "At this pace it lasts until the month ends"
    return (
        f"{used / limit:.0%} of the plan {plan} is used: {used:,} of {limit:,} storage tokens in {now:%Y-%m}. {forecast}. "
        "Syncs that would go over it fail and change nothing; an operator can put the workspace on another plan."
    )


def forecast_use(used: int, at: Micros) -> int:
    """What a month's use (storage tokens) comes to at its end, at the pace of the month until this instant; the first day counts as a whole one."""
    now, begin = _now_and_begin(at)
    days = calendar.monthrange(now.year, now.month)[1]
    return max(used, round(used * timedelta(days=days) / max(now - begin, timedelta(days=1))))


def _now_and_begin(at: Micros) -> tuple[datetime, datetime]:
    now = EPOCH + timedelta(microseconds=at)
    return now, now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
