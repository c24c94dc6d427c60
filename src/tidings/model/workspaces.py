"""A workspace as other rooms see it: its plan, what it used of it, who may do what in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tidings.clock import Micros

Role = Literal["member", "owner", "operator"]
ROLES: tuple[Role, ...] = ("member", "owner", "operator")  # each may do what the ones before it may


@dataclass(frozen=True, slots=True)
class Workspace:
    """The tenant. `plan` is the name of a plan of the settings, or of one that was there once."""

    id: str
    name: str
    plan: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of a workspace, without the key itself, of which only the SHA-256 is kept."""

    id: str
    workspace_id: str
    name: str
    role: Role
    created_at: Micros
    revoked_at: Micros | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: a key of a workspace."""

    workspace_id: str
    key_id: str
    role: Role

    def may_act_as(self, role: Role) -> bool:
        """Whether this caller may do what `role` may."""
        return ROLES.index(self.role) >= ROLES.index(role)


def allowance_of(plan: str, plans: Mapping[str, int | None], default_plan: str) -> int | None:
    """Storage tokens a month of a workspace on `plan`; None without limit. A plan that has gone from the settings counts as
    the default plan, which is what the operator gives to a workspace of which nothing else is known."""
    return plans[plan] if plan in plans else plans[default_plan]
