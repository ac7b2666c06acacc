"""Makes what tests stand on: people signed in, machines with keys; real rows, nothing pretended."""

from datetime import datetime
from uuid import UUID, uuid4

from core.access.models import Principal
from core.access.rules import Level, PrincipalKind, Role
from core.access.service import open_session, subject_hash
from core.database import Database
from core.vault import Vault

COOKIE = "__Host-citycard"
ISSUER = "https://login.example"


async def sign_in(
    database: Database,
    vault: Vault,
    now: datetime,
    *roles: Role,
    person_id: UUID | None = None,
    level: Level = Level.SUBSTANTIAL,
) -> dict[str, str]:
    """Headers of somebody who has just signed in with these roles, linked to a person if one is named."""
    async with database.writing() as session:
        principal = Principal(
            kind=PrincipalKind.LOGIN,
            subject_hash=subject_hash(vault, ISSUER, str(uuid4())),
            created_at=now,
        )
        session.add(principal)
        await session.flush()
        if person_id is not None:
            from entitlements.people.models import Login

            session.add(Login(principal_id=principal.id, person_id=person_id))
        token = await open_session(session, principal.id, roles, level, now)
    return {"Cookie": f"{COOKIE}={token}"}
