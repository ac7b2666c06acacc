"""One-time codes: made for a person at the desk or for a letter, and used once by whoever signs in and enters one."""

import hashlib
import hmac
import secrets
from datetime import date, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller, PrincipalKind
from core.audit.service import note
from core.errors import NotFound, Unprocessable
from core.vault import Label, Vault
from entitlements.people.models import ActivationCode, Makes
from entitlements.people.rules import CODE_DAYS, SECRET_BYTES
from entitlements.people.service import roots

ACTIVATION_AAD: Final = b"citycard/activation/1"
"""Bound into what is kept of a code, so that no other secret of the house is ever taken for one."""


class CodeRefused(Unprocessable):
    """The code is wrong, used, or too old; which of these is nobody's business."""

    slug, title = "code-refused", "This code cannot be used"


async def make_code(
    session: AsyncSession,
    vault: Vault,
    caller: Caller,
    person_id: UUID,
    *,
    until: date | None = None,
    now: datetime,
) -> tuple[bytes, datetime]:
    """A code that makes its user this person, or with `until` their guardian to that day; and when it ends unused.

    Codes made earlier to be this person end now. Those for guardians stand side by side: a child may have two.
    """
    meant = (await roots(session, [person_id])).get(person_id)
    if meant is None:
        raise NotFound
    makes = Makes.SELF if until is None else Makes.GUARDIAN
    if makes is Makes.SELF:
        await session.execute(
            update(ActivationCode)
            .where(
                col(ActivationCode.person_id) == meant,
                col(ActivationCode.makes) == makes,
                col(ActivationCode.expires_at) > now,
            )
            .values(expires_at=now)
        )
    secret = secrets.token_bytes(SECRET_BYTES)
    row = ActivationCode(
        person_id=meant,
        makes=makes,
        until=until,
        code_hash=_hash(vault, secret),
        made_at=now,
        expires_at=now + CODE_DAYS,
    )
    session.add(row)
    note(session, caller, "activation-code.made", ("person", meant), now=now, makes=makes.value)
    await session.flush()
    return secret, row.expires_at


async def use_code(
    session: AsyncSession, vault: Vault, caller: Caller, secret: bytes, now: datetime
) -> ActivationCode:
    """Uses a code up, for somebody who has signed in. CodeRefused if it does not fit."""
    if caller.kind is not PrincipalKind.LOGIN:
        raise CodeRefused
    used = await session.execute(
        update(ActivationCode)
        .where(
            col(ActivationCode.code_hash) == _hash(vault, secret),
            col(ActivationCode.used_at).is_(None),
            col(ActivationCode.expires_at) > now,
        )
        .values(used_at=now)
        .returning(ActivationCode)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    code = used.scalar_one_or_none()
    if code is None:
        raise CodeRefused
    return code


def _hash(vault: Vault, secret: bytes) -> bytes:
    return hmac.digest(vault.secret(Label.ONE_TIME_CODES), ACTIVATION_AAD + secret, hashlib.sha256)
