"""Whose signature on a credential counts here: our own keys, and whoever stands beneath an operator's anchor."""

from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core import p256
from core.jose import Claims
from core.settings import Settings
from core.vault import KeyUse
from issuers.authorities.models import IssuingKey
from issuers.credentials.models import Credential
from issuers.credentials.rules import CredentialKind
from issuers.credentials.sdjwt.reasons import Reason, Unacceptable
from issuers.credentials.sdjwt.verify import Vouched
from issuers.credentials.x5c import Anchors, Break, Rule, leaf_key, read_chain
from verifiers.presentations.asking import authority_key_ids
from verifiers.presentations.attestations import attestations

log = structlog.get_logger("presentations")

_NOBODY = Anchors(())


class Ours:
    """Trusts the keys that this authority signs credentials with, by whichever chain they are certified.

    A key that was withdrawn is not among them. The chain must be sound by itself: others have to be able to follow
    it, and one that they would refuse is no credential of ours.
    """

    def __init__(self, points: Collection[bytes]) -> None:
        self._points = frozenset(points)

    def vouch(self, header: Claims, now: datetime) -> Vouched:
        """The key of the first certificate, if it is one of ours."""
        chain = read_chain(header.get("x5c"))
        if isinstance(chain, Break):
            raise Unacceptable(Reason.CHAIN)
        # That no anchor is known is what `Anchors(())` finds in every chain: here the key itself is what we know.
        flaws = {flaw for flaw in _NOBODY.diagnose(header["x5c"], now) if flaw.rule is not Rule.NO_ANCHOR}
        if flaws:
            raise Unacceptable(Reason.CHAIN)
        # The same object each time, by which a signature that held is known again.
        key = leaf_key(header["x5c"])
        if not isinstance(key, ec.EllipticCurvePublicKey) or p256.point(key) not in self._points:
            raise Unacceptable(Reason.UNKNOWN_KEY)
        return Vouched((key,), frozenset(authority_key_ids(_texts(header["x5c"]))))


def _texts(x5c: object) -> list[str]:
    return [entry for entry in x5c if isinstance(entry, str)] if isinstance(x5c, list) else []


async def ours(session: AsyncSession, now: datetime) -> Ours:
    """Our own keys as they stand now."""
    found = await session.execute(
        select(col(IssuingKey.point)).where(
            col(IssuingKey.use) == KeyUse.CREDENTIAL,
            col(IssuingKey.withdrawn_at).is_(None),
            col(IssuingKey.not_before) <= now,
        )
    )
    return Ours(found.scalars().all())


async def key_on_record(session: AsyncSession, status_list: int, index: int) -> str | None:
    """The key that signed the wallet credential with this place; None where none was made. Whose it is, nobody asks."""
    found = await session.execute(
        select(col(Credential.key_id)).where(
            col(Credential.status_list) == status_list,
            col(Credential.status_index) == index,
            col(Credential.kind) == CredentialKind.SD_JWT,
        )
    )
    key_id: str | None = found.scalar_one_or_none()
    return key_id


class AnchorsUnreadable(ValueError):
    """A file that the settings name is not what it should be; the operator reads why."""


def check_settings(settings: Settings) -> None:
    """Reads what the settings and the city's data name, before anything starts."""
    attestations(settings.city)
    path, registration = settings.presentation_anchors, settings.registration_certificate
    if path is not None and anchors(settings) is _NOBODY:
        raise AnchorsUnreadable(f"{path} is not a PEM file with certificates")
    if registration is not None and not registration.is_file():
        raise AnchorsUnreadable(f"there is no file {registration}")


def anchors(settings: Settings) -> Anchors:
    """The anchors that the operator set; none where the file is missing or is none, which the log then says."""
    path = settings.presentation_anchors
    if path is None:
        return _NOBODY
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, ValueError):
        log.warning("presentation.anchors_unreadable", file=path.name)
        return _NOBODY


@lru_cache(maxsize=8)
def _read(path: Path, _changed: int) -> Anchors:
    return Anchors(x509.load_pem_x509_certificates(path.read_bytes()))
