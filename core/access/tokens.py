"""Our own access tokens for machines, and the keys that others verify our signatures with."""

from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

from core.access.models import Principal
from core.jose import OURS, Algorithm, Key, KeySet, Refusal, TokenRefused, sign, verify_access_token
from core.settings import Settings
from core.vault import KeyUse, Vault, apart

TYPE = "at+jwt"


async def issue_token(
    vault: Vault, settings: Settings, machine: Principal, now: datetime, lasts: timedelta
) -> str:
    """A short access token for a machine. It says who; what that one may do is looked up at each use."""
    signer = vault.signer(vault.ensure(KeyUse.ACCESS_TOKEN, now).key_id, KeyUse.ACCESS_TOKEN)
    issued = int(now.timestamp())
    claims = {
        "iss": settings.public_url,
        "aud": settings.oidc_audience,
        "sub": str(machine.id),
        "client_id": machine.client_id,
        "iat": issued,
        "exp": issued + int(lasts.total_seconds()),
        "jti": str(uuid4()),
    }
    return await apart(signer, partial(sign, signer, claims, typ=TYPE))


def read_token(vault: Vault, settings: Settings, token: str, now: datetime) -> UUID:
    """Whose machine token this is; TokenRefused where it is none of ours or no longer good."""
    verified = verify_access_token(
        token,
        published_keys(vault, KeyUse.ACCESS_TOKEN),
        issuer=settings.public_url,
        audience=settings.oidc_audience,
        now=now,
        typ=TYPE,
        algorithms=OURS,
    )
    try:
        return UUID(str(verified.claims.get("sub")))
    except ValueError:
        raise TokenRefused(Refusal.CLAIMS, "the token does not say whose it is") from None


def published_keys(vault: Vault, *uses: KeyUse) -> KeySet:
    """The public halves of our keys of these uses, each by the name that stands in tokens."""
    return KeySet(
        tuple(Key(info.public_key, info.key_id, Algorithm.ES256) for use in uses for info in vault.keys(use))
    )
