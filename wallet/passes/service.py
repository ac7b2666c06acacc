"""Keep that somebody wants a pass, make it, renew it, and end it at a word."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.clock import day_of
from core.errors import Conflict, NotFound
from core.settings import Settings
from core.vault import Vault, open_sealed, seal
from entitlements.people import service as people
from issuers.credentials.models import Credential
from issuers.credentials.rules import Revocation
from issuers.credentials.service import issue_printed, revoke
from wallet.cards.service import NameMissing, spelt, title
from wallet.codes.text import printed_text
from wallet.passes.apple import pkpass, signatory
from wallet.passes.face import PassFace
from wallet.passes.google import account, save_link
from wallet.passes.models import PassKind, WalletPass
from wallet.printing import service as printing

log = structlog.get_logger("passes")


class PassNotOffered(Conflict):
    """There are no passes for this wallet here."""

    slug, title = "pass-not-offered", "This city makes no passes for this wallet"


@dataclass(frozen=True, slots=True)
class Made:
    """A pass that was made, and the link that saves it where it is one for Google."""

    wanted: WalletPass
    save_link: str | None


def check_settings(settings: Settings) -> None:
    """Reads what the settings name, before anything starts; UnusablePass says what does not fit."""
    offered(settings)


def offered(settings: Settings) -> list[PassKind]:
    """The wallets for which passes are made; none by default."""
    kinds = {PassKind.APPLE: signatory(settings), PassKind.GOOGLE: account(settings)}
    return [kind for kind, by in kinds.items() if by is not None]


async def make(
    session: AsyncSession,
    vault: Vault,
    caller: Caller,
    kind: PassKind,
    *,
    with_name: bool,
    language: str,
    settings: Settings,
    now: datetime,
) -> Made:
    """Makes a pass for whoever the request is about, because they asked for it; or renews it, with a new code."""
    if kind not in offered(settings):
        raise PassNotOffered
    person_id = await people.subject_of(session, caller, day_of(now, settings.zone))
    identity = await people.identity_of(session, vault, person_id)
    issued = await issue_printed(
        session, vault, settings, person_id=person_id, name=spelt(identity), days=settings.card_days, now=now
    )
    key = (await people.keys_of(session, vault, [person_id], make=True)).get(person_id)
    if key is None or identity is None:
        raise NameMissing
    wanted = await _wanted(session, person_id, kind)
    if wanted is None:
        wanted = WalletPass(
            person_id=person_id,
            kind=kind,
            credential_id=issued.credential_id,
            sealed=b"",
            agreed_at=now,
            made_at=now,
            expires_at=issued.expires_at,
        )
        note(session, caller, "wallet-pass.agreed", ("wallet-pass", wanted.id), now=now, kind=kind.value)
    else:
        await revoke(session, [wanted.credential_id], Revocation.REPLACED, now=now)
    text = printed_text(settings.code_host, issued.signed)
    shown = identity.name if with_name else ""
    wanted.named, wanted.credential_id = with_name, issued.credential_id
    wanted.made_at, wanted.expires_at = now, issued.expires_at
    wanted.sealed = seal(key, json.dumps([text, shown], ensure_ascii=False).encode(), _aad(wanted.id))
    session.add(wanted)
    await session.flush()
    log.info("pass.made", kind=kind.value)
    by = account(settings)
    if kind is PassKind.APPLE or by is None:
        return Made(wanted, None)
    face = PassFace(wanted.id, await title(session), shown, text, wanted.expires_at, language, settings.zone)
    return Made(wanted, save_link(face, by, now))


async def passes_of(
    session: AsyncSession, caller: Caller, *, settings: Settings, now: datetime
) -> Sequence[WalletPass]:
    """The passes that whoever the request is about wants or wanted, the latest first."""
    rows = await session.execute(
        select(WalletPass)
        .where(col(WalletPass.person_id).in_(await _ids(session, caller, settings, now)))
        .order_by(col(WalletPass.agreed_at).desc(), col(WalletPass.id))
    )
    return rows.scalars().all()


async def file(
    session: AsyncSession,
    vault: Vault,
    caller: Caller,
    pass_id: UUID,
    *,
    language: str,
    settings: Settings,
    now: datetime,
) -> bytes:
    """The file of a pass for Apple that counts; NotFound for anybody else's, and for one that is over."""
    by = signatory(settings)
    if by is None:
        raise NotFound
    row = (
        await session.execute(
            select(WalletPass, col(Credential.revoked_at))
            .join(Credential, col(Credential.id) == col(WalletPass.credential_id))
            .where(col(WalletPass.id) == pass_id, col(WalletPass.kind) == PassKind.APPLE)
        )
    ).one_or_none()
    if row is None or row[0].person_id not in await _ids(session, caller, settings, now):
        raise NotFound
    wanted, revoked_at = row
    if wanted.withdrawn_at is not None or revoked_at is not None or wanted.expires_at <= now:
        raise NotFound
    key = (await people.keys_of(session, vault, [wanted.person_id])).get(wanted.person_id)
    if key is None:
        raise NotFound
    text, shown = json.loads(open_sealed(key, wanted.sealed, _aad(wanted.id)))
    face = PassFace(wanted.id, await title(session), shown, text, wanted.expires_at, language, settings.zone)
    return pkpass(face, by)


async def withdraw(
    session: AsyncSession, caller: Caller, pass_id: UUID, *, settings: Settings, now: datetime
) -> WalletPass:
    """Ends a pass at its holder's word: the code counts no more from this moment. Said twice, it is one word."""
    ids = await _ids(session, caller, settings, now)
    await session.execute(
        update(WalletPass)
        .where(
            col(WalletPass.id) == pass_id,
            col(WalletPass.person_id).in_(ids),
            col(WalletPass.withdrawn_at).is_(None),
        )
        .values(withdrawn_at=now)
        .execution_options(synchronize_session=False)
    )
    wanted = await session.get(WalletPass, pass_id, populate_existing=True)
    if wanted is None or wanted.person_id not in ids:
        raise NotFound
    if await revoke(session, [wanted.credential_id], Revocation.CONSENT_WITHDRAWN, now=now):
        note(session, caller, "wallet-pass.withdrawn", ("wallet-pass", pass_id), now=now)
    return wanted


async def on_person_merged(session: AsyncSession, payload: dict[str, Any], now: datetime) -> None:
    """The job when two persons were made one: the one that stays keeps paper and passes, the other's end."""
    await printing.on_person_merged(session, payload, now)
    ended = await session.execute(
        update(WalletPass)
        .where(
            col(WalletPass.person_id) == UUID(str(payload["gone_id"])), col(WalletPass.withdrawn_at).is_(None)
        )
        .values(withdrawn_at=now)
        .returning(col(WalletPass.credential_id))
        .execution_options(synchronize_session=False)
    )
    await revoke(session, ended.scalars().all(), Revocation.REPLACED, now=now)


async def _wanted(session: AsyncSession, person_id: UUID, kind: PassKind) -> WalletPass | None:
    rows = await session.execute(
        select(WalletPass)
        .where(
            col(WalletPass.person_id) == person_id,
            col(WalletPass.kind) == kind,
            col(WalletPass.withdrawn_at).is_(None),
        )
        .with_for_update()
    )
    return rows.scalar_one_or_none()


async def _ids(session: AsyncSession, caller: Caller, settings: Settings, now: datetime) -> list[UUID]:
    subject = await people.subject_of(session, caller, day_of(now, settings.zone))
    return list(await people.aliases(session, [subject]))


def _aad(pass_id: UUID) -> bytes:
    return b"wallet-pass:" + pass_id.bytes
