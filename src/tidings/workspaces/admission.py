"""Who of those whom a provider of OpenID Connect vouches for comes in: members, those who are invited, and, where the settings say so, whole domains."""

from tidings import clock
from tidings.errors import Forbidden
from tidings.model.activity import Activity
from tidings.model.oidc import Person
from tidings.settings import Settings
from tidings.store import activity, invitations, members, workspaces
from tidings.store.database import Database
from tidings.store.transactions import Tx
from tidings.workspaces import sign_in
from tidings.workspaces.invitations import join_by_email
from tidings.workspaces.passwords import NO_PASSWORD


async def admit(db: Database, settings: Settings, person: Person, *, address: str | None, agent: str | None) -> str:
    """A session of this person; what the browser is to hold. Forbidden for who has no business here."""
    email = await db.write(_admit, settings, person)
    return await sign_in.begin_for(db, email, address=address, agent=agent)


def _admit(tx: Tx, settings: Settings, person: Person) -> str:
    """The address under which this person is known here."""
    of_domain = person.email.rpartition("@")[2] in settings.oidc_domains
    known = members.identified(tx, person.issuer, person.subject) or _new(tx, person, of_domain=of_domain)
    if known is None:
        raise Forbidden(f"{person.email} belongs to no workspace here. Ask an owner of one for an invitation to this address, then sign in again.")
    user_id, email = known
    join_by_email(tx, user_id, person.email)
    there = members.workspaces_of(tx, user_id)
    if not there and of_domain:
        first = workspaces.all_of_them(tx)[0]
        members.join(tx, first.id, user_id, "member")
        activity.add(tx, first.id, Activity(clock.now(), "member_joined", f"{email} joined the workspace (member), since the settings let this domain in."))
    elif not there:
        raise Forbidden(f"{person.email} belongs to no workspace here any more. Ask an owner of one for an invitation.")
    return email


def _new(tx: Tx, person: Person, *, of_domain: bool) -> tuple[str, str] | None:
    """Somebody who comes from this provider for the first time: known by the address, or let in by an invitation or the domain; None where neither."""
    known = members.person(tx, person.email)
    if known is None and not of_domain and not invitations.by_email(tx, person.email, clock.now()):
        return None
    user_id = members.add_person(tx, person.email, NO_PASSWORD) if known is None else known[0]
    members.identify(tx, person.issuer, person.subject, user_id)
    return user_id, person.email
