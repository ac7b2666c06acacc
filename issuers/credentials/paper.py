"""Make cards for paper by the thousand: all their rows, then their places, then their signatures, in few statements."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID, uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from core.bulk import insert_rows, table_of, update_rows
from core.clock import day_of
from core.settings import Settings
from core.vault import KeyUse, Vault, apart
from entitlements.grants import service as grants
from issuers.authorities.service import signer_for
from issuers.credentials.card import CardId, PrintedCard, sign_printed
from issuers.credentials.models import Credential
from issuers.credentials.rules import CredentialKind, printed_ends
from issuers.credentials.service import touch_all
from issuers.status.models import ListKind
from issuers.status.service import allocate

log = structlog.get_logger("credentials")

_COLUMNS = (
    "id",
    "person_id",
    "kind",
    "key_id",
    "status_list",
    "status_index",
    "tariff_bits",
    "named",
    "issued_at",
    "expires_at",
)


@dataclass(frozen=True, slots=True)
class Paper:
    """A card for paper on its way out: it leaves once the transaction that holds its row is committed."""

    credential_id: UUID
    place: CardId
    signed: bytes
    expires_at: datetime


async def issue_printed_to_all(
    session: AsyncSession, vault: Vault, settings: Settings, names: Mapping[UUID, str], *, now: datetime
) -> dict[UUID, Paper]:
    """Makes a card for paper for each of these persons, with the name beside; who holds nothing now gets none."""
    # First the locks, then the look, as for one: who takes cards back waits for these, or has gone before.
    await touch_all(session, names, now)
    held = await grants.tariffs_of_all(session, names, day_of(now, settings.zone))
    ends = {
        person_id: printed_ends(now, zone=settings.zone, until=one.until, changes_on=one.changes_on)
        for person_id, one in held.items()
        if one.tariff_bits
    }
    due = sorted(person_id for person_id, end in ends.items() if end > now)
    if not due:
        return {}
    signer = await signer_for(session, vault, KeyUse.PRINTED, now)
    places = await allocate(
        session,
        ListKind.PRINTED,
        len(due),
        until=max(ends[person_id] for person_id in due),
        settings=settings,
        now=now,
    )
    ids = {person_id: uuid4() for person_id in due}
    placed = dict(zip(due, (CardId(*place) for place in places), strict=True))
    await insert_rows(
        session,
        table_of(Credential),
        _COLUMNS,
        [
            (
                ids[person_id],
                person_id,
                CredentialKind.PRINTED.value,
                signer.kid.hex(),
                placed[person_id].status_list,
                placed[person_id].index,
                held[person_id].tariff_bits,
                True,
                now,
                ends[person_id],
            )
            for person_id in due
        ],
    )
    cards = {
        person_id: PrintedCard(
            signer.kid,
            int(ends[person_id].timestamp()),
            held[person_id].tariff_bits,
            placed[person_id],
            names[person_id],
        )
        for person_id in due
    }
    # Written down before it is signed, as everywhere.
    signed = await apart(signer, lambda: [sign_printed(cards[person_id], signer) for person_id in due])
    made = {
        person_id: Paper(ids[person_id], placed[person_id], one, ends[person_id])
        for person_id, one in zip(due, signed, strict=True)
    }
    await update_rows(
        session,
        table_of(Credential),
        ("id",),
        ("card_hash",),
        [(paper.credential_id, sha256(paper.signed).digest()) for paper in made.values()],
    )
    log.info("credentials.issued", kind=CredentialKind.PRINTED.value, count=len(made))
    return made
