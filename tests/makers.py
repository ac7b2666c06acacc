"""Makes what tests stand on: people signed in, machines with keys; real rows, nothing pretended."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from litestar import Router
from litestar.handlers import HTTPRouteHandler

from app.application import House, build
from core.access.models import Principal
from core.access.rules import Level, PrincipalKind, Role
from core.access.service import enrol, open_session, subject_hash
from core.access.signatures import sign_request
from core.access.tokens import issue_token
from core.database import Database
from core.jose import jwk, sign, thumbprint
from core.settings import Mode, Settings
from core.vault import SoftwareSigner, Vault

COOKIE = "__Host-citycard"
ISSUER = "https://login.example"


def house_with(*doors: HTTPRouteHandler | Router) -> House:
    """An empty house with doors of a test's own: a module's `house` makes one for all of its tests."""
    house = build(Settings(mode=Mode.TEST, _env_file=None).max_body)
    for door in doors:
        house.register(door)
    return house


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


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with its private key, as it stands in a department or at a turnstile."""

    principal_id: UUID
    client_id: str
    signer: SoftwareSigner

    @property
    def key_id(self) -> str:
        return thumbprint(self.signer.public_key)

    def signed(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        now: datetime,
        idempotency_key: str | None = None,
    ) -> dict[str, str]:
        """The headers of a scanner's request."""
        return sign_request(self.signer, method, target, body, created=now, idempotency_key=idempotency_key)

    def assertion(self, audience: str, now: datetime, **other: object) -> str:
        """What a client shows at the token endpoint; `other` claims replace the right ones."""
        issued = int(now.timestamp())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": audience,
            "iat": issued,
            "exp": issued + 60,
            "jti": str(uuid4()),
        } | other
        return sign(self.signer, claims, typ="JWT", protected={"kid": self.key_id})


def make_signer() -> SoftwareSigner:
    """A new key of a device."""
    return SoftwareSigner(ec.generate_private_key(ec.SECP256R1()))


async def make_machine(
    database: Database,
    now: datetime,
    kind: PrincipalKind = PrincipalKind.REGISTER,
    *roles: Role,
    signer: SoftwareSigner | None = None,
) -> Machine:
    """A machine that is enrolled with one key; by default a register that is an integration client."""
    signer = signer or make_signer()
    given = roles or (Role.SCANNER if kind is PrincipalKind.SCANNER else Role.INTEGRATION_CLIENT,)
    async with database.writing() as session:
        principal = await enrol(
            session, kind, f"a {kind}", now, roles=given, public_jwk=jwk(signer.public_key)
        )
        return Machine(principal.id, principal.client_id or "", signer)


async def machine_in(
    database: Database, vault: Vault, settings: Settings, now: datetime, machine: Machine
) -> dict[str, str]:
    """Headers of a machine that has just been given an access token."""
    async with database.reading() as session:
        principal = await session.get_one(Principal, machine.principal_id)
    from core.access.policy import Policy

    token = await issue_token(vault, settings, principal, now, Policy().machine_token_lasts)
    return {"Authorization": f"Bearer {token}"}
