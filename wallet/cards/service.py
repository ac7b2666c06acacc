"""Show a person's card with what it brings, give a phone its batch, and take a ward's batch back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core import cose, jose
from core.access.rules import Caller
from core.audit.service import note
from core.clock import day_of
from core.errors import Conflict, NotFound, TooMany, Unprocessable
from core.settings import Settings
from core.vault import Vault
from entitlements.decisions.models import Decision
from entitlements.decisions.rules import reason_from
from entitlements.decisions.service import standing_decisions
from entitlements.grants import service as grants
from entitlements.notices import service as notices
from entitlements.people import service as people
from entitlements.people.models import Guardianship
from entitlements.people.rules import PersonIdentity
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.texts import render
from issuers.credentials import pausing
from issuers.credentials.models import Credential
from issuers.credentials.names import card_name
from issuers.credentials.pausing import CardPaused
from issuers.credentials.rules import Revocation
from issuers.credentials.service import Issued, issue_cards, outstanding, revoke_on_device, touch_all
from issuers.openid import wards
from wallet.cards.schemas import BroughtView, CardKind, CardView, TariffView, TopUp
from wallet.devices.models import Device
from wallet.devices.rules import CARDS_TYPE, HOLDER_TYPE, Fault
from wallet.devices.service import ProofRefused, key_of, point_of, settle, spend, take_in_hand

BATCHES = 8
"""How many batches a phone may hold at once for one person: a fresh card for several visits a day."""

LOOKED_BACK = timedelta(days=7)
"""How many days after its last day a guardianship's end is still told of: some nights may have been missed."""
ENDS = {False: "guardianship.ending", True: "guardianship.ended"}
"""What a guardian is told, by whether the last day has passed."""


class TooManyKeys(Unprocessable):
    """The batch is larger than a phone holds at once."""

    slug, title = "batch-too-large", "That is more cards than a phone gets at once"


class NameMissing(Conflict):
    """A named card needs a name, and there is none that an ID's letters can spell."""

    slug, title = "name-missing", "There is no name that a card could carry"


@dataclass(frozen=True, slots=True)
class Batch:
    """The cards of one top-up."""

    cards: Sequence[Issued]
    outstanding: int


async def show(
    session: AsyncSession, caller: Caller, language: str, *, settings: Settings, now: datetime
) -> CardView:
    """The card of whoever the request is about, with what it brings and until when."""
    today = day_of(now, settings.zone)
    person_id = await people.subject_of(session, caller, today)
    holding = await grants.tariffs_of(session, person_id, today)
    names = await rulebook.programme_names(session, language)
    decisions = await standing_decisions(session, person_id)
    labels = {row.name: row.names.get(language) or row.names["de"] for row in await rulebook.tariffs(session)}
    return CardView(
        person_id=person_id,
        title=await title(session),
        holds=holding.tariff_bits != 0,
        until=holding.until,
        changes_on=holding.changes_on,
        tariffs=[TariffView(tariff=tariff, name=labels[tariff]) for tariff in holding.tariffs],
        brings=[
            BroughtView(
                programme=held.programme,
                name=names[held.programme],
                since=held.since,
                until=held.ends_on or held.until,
                ending=held.ends_on is not None,
                reasons=_reasons(decisions.get(held.programme), language),
            )
            for held in await grants.held(session, person_id, today)
        ],
        on_phones=sum(card.device_id is not None for card in await outstanding(session, person_id, now)),
        paused=await pausing.are_phones_paused(session, person_id),
        code_host=settings.code_host,
        server_time=now,
    )


def _reasons(decision: Decision | None, language: str) -> list[str]:
    if decision is None:
        return []
    return [render(reason_from(stored), language) for stored in decision.reasons]


async def title(session: AsyncSession) -> str:
    """What stands on every card: the city's name and nothing else."""
    programmes = await rulebook.programmes(session)
    return f"{programmes[0].city}-Karte" if programmes else "Karte"


async def top_up(
    session: AsyncSession,
    vault: Vault,
    caller: Caller,
    device_id: UUID,
    wish: TopUp,
    *,
    settings: Settings,
    now: datetime,
) -> Batch:
    """Makes a card for each key that the phone brings; for the caller, or for a ward of theirs.

    Everybody else is not found: a phone in the caller's own hand holds nobody else's cards, whatever the
    caller's office. CardPaused while the person's card is suspended: what the phone holds stays as it is, and once
    the card is resumed, all of it counts again and the phone gets fresh ones (`issuers.credentials.pausing`).
    """
    today = day_of(now, settings.zone)
    own = await people.person_of(session, caller)
    person_id, last_day = await _whose(session, caller, own, today)
    device = await take_in_hand(session, device_id, own, now)
    points = await _settled(session, caller, device, wish, settings=settings, now=now)
    # Whoever suspends the card holds the same row: they have done so before, and we see it, or see these cards.
    await touch_all(session, [person_id], now)
    if await pausing.are_phones_paused(session, person_id):
        raise CardPaused
    held = await outstanding(session, person_id, now, device_id=device_id)
    if len(held) + len(points) > BATCHES * settings.card_batch:
        raise TooMany(max(1, int((min(card.expires_at for card in held) - now).total_seconds())))
    name = None
    if wish.kind is CardKind.NAMED:
        name = spelt(await people.identity_of(session, vault, person_id))
    cards = await issue_cards(
        session,
        vault,
        settings,
        person_id=person_id,
        device_id=device_id,
        holders=points,
        name=name,
        last_day=last_day,
        now=now,
    )
    note(
        session,
        caller,
        "cards.issued",
        ("device", device_id),
        now=now,
        count=len(cards),
        kind=wish.kind.value,
    )
    return Batch(cards, len(held) + len(cards))


async def pause(
    session: AsyncSession, caller: Caller, language: str, *, settings: Settings, now: datetime
) -> CardView:
    """Suspends the card of whoever stands at the desk on every phone, until it is resumed; they are told."""
    person_id = await people.subject_of(session, caller, day_of(now, settings.zone))
    await pausing.pause_phones(session, caller, person_id, settings=settings, now=now)
    return await show(session, caller, language, settings=settings, now=now)


async def resume(
    session: AsyncSession, caller: Caller, language: str, *, settings: Settings, now: datetime
) -> CardView:
    """Lets that card count again on every phone, and phones fetch fresh ones; its holder is told."""
    person_id = await people.subject_of(session, caller, day_of(now, settings.zone))
    await pausing.resume_phones(session, caller, person_id, settings=settings, now=now)
    return await show(session, caller, language, settings=settings, now=now)


def spelt(identity: PersonIdentity | None) -> str:
    """The name as a card carries it; NameMissing where the city has none that can be spelt."""
    name = card_name(identity.family_name, identity.given_name) if identity is not None else None
    if not name:
        raise NameMissing
    return name


async def on_guardianship_ended(
    session: AsyncSession, payload: dict[str, Any], now: datetime, *, settings: Settings
) -> None:
    """The job when a guardianship has ended: the former guardian's phones and wallets lose what is that child's.

    With `until`, its last day, the guardian is told. Nothing happens while the two are still joined by another
    guardianship, nor is anybody told of an end that another outlasts.
    """
    guardian_id, child_id = UUID(str(payload["guardian_id"])), UUID(str(payload["child_id"]))
    today = day_of(now, settings.zone)
    if "until" in payload:
        until = date.fromisoformat(str(payload["until"]))
        await tell_guardian(session, guardian_id, child_id, until, today=today, now=now)
    if child_id in (await people.roots(session, await people.wards_of(session, guardian_id, today))).values():
        return
    guardian_ids = list(await people.aliases(session, [guardian_id]))
    child_ids = list(await people.aliases(session, [child_id]))
    phones = await session.execute(select(col(Device.id)).where(col(Device.person_id).in_(guardian_ids)))
    for device_id in phones.scalars().all():
        for ward in child_ids:
            await revoke_on_device(session, device_id, Revocation.GUARDIANSHIP_ENDED, person_id=ward, now=now)
    await wards.take_back(session, guardian_ids, child_ids, now=now)


async def on_person_parted(
    session: AsyncSession, payload: dict[str, Any], now: datetime, *, settings: Settings
) -> None:
    """The job when two who had been made one are two again: neither's phones keep the other's cards."""
    gone_id, kept_id = str(payload["gone_id"]), str(payload["kept_id"])
    for owner, other in ((gone_id, kept_id), (kept_id, gone_id)):
        await on_guardianship_ended(
            session, {"guardian_id": owner, "child_id": other}, now, settings=settings
        )


async def look_after_wards(
    session: AsyncSession, _payload: dict[str, Any], now: datetime, *, settings: Settings
) -> None:
    """The nightly job: takes back what phones and wallets hold for somebody their owner may not act for any more.

    Guardians whose last day has passed are told, once.
    """
    today = day_of(now, settings.zone)
    ended = await session.execute(
        select(col(Guardianship.guardian_id), col(Guardianship.child_id), col(Guardianship.until))
        .where(col(Guardianship.until) >= today - LOOKED_BACK, col(Guardianship.until) < today)
        .order_by(col(Guardianship.id))
    )
    for guardian_id, child_id, until in ended.all():
        await tell_guardian(session, guardian_id, child_id, until, today=today, now=now)
    held = await session.execute(
        select(col(Device.person_id), col(Credential.person_id))
        .join(Credential, col(Credential.device_id) == col(Device.id))
        .where(
            col(Credential.person_id) != col(Device.person_id),
            col(Credential.revoked_at).is_(None),
            col(Credential.expires_at) > now,
        )
        .distinct()
    )
    both = {*map(tuple, held.all()), *await wards.held_for_others(session)}
    for guardian_id, child_id in sorted(both):
        meant = await people.roots(session, [guardian_id, child_id])
        if meant.get(guardian_id) != meant.get(child_id):
            payload = {"guardian_id": str(guardian_id), "child_id": str(child_id)}
            await on_guardianship_ended(session, payload, now, settings=settings)


async def tell_guardian(
    session: AsyncSession, guardian_id: UUID, child_id: UUID, until: date, *, today: date, now: datetime
) -> None:
    """Tells a guardian that a guardianship ends, or has ended, with this day; once, and without saying whose.

    Whom they act for stands in the app; a notice is kept in plain, and so it names nobody.
    """
    meant = await people.roots(session, [guardian_id, child_id])
    guardian, child = meant.get(guardian_id), meant.get(child_id)
    if guardian is None or child is None or guardian == child:
        return
    others = await people.guardianships_of(session, guardian, max(today, until))
    children = await people.roots(session, [one.child_id for one in others])
    if any(children[one.child_id] == child and (until < today or one.until > until) for one in others):
        return
    told = await notices.last_told(session, guardian, ENDS.values(), day=until.isoformat())
    if told is None:
        await notices.owe(session, guardian, ENDS[until < today], {"day": until}, now=now)


async def _whose(session: AsyncSession, caller: Caller, own: UUID, today: date) -> tuple[UUID, date | None]:
    """The person whose cards these will be, and the last day on which the caller may hold them."""
    if caller.acting_for is None:
        return own, None
    meant = (await people.roots(session, [caller.acting_for])).get(caller.acting_for)
    if meant == own:
        return own, None
    wardships = await people.guardianships_of(session, own, today)
    children = await people.roots(session, [wardship.child_id for wardship in wardships])
    until = [wardship.until for wardship in wardships if children[wardship.child_id] == meant]
    if meant is None or not until:
        raise NotFound
    return meant, max(until)


async def _settled(
    session: AsyncSession, caller: Caller, device: Device, wish: TopUp, *, settings: Settings, now: datetime
) -> list[bytes]:
    """The points of the keys, once phone and keys have signed for them and the nonce is used up."""
    if len(wish.holders) > settings.card_batch:
        raise TooManyKeys
    keys = [key_of(holder.key) for holder in wish.holders]
    thumbprints = [jose.thumbprint(key.public) for key in keys]
    if len(set(thumbprints)) != len(thumbprints):
        raise ProofRefused(Fault.CONTENT)
    said: dict[str, object] = {"aud": settings.public_url, "nonce": wish.nonce}
    phone = jose.Key(cose.point(device.point))
    settle(wish.proof, phone, CARDS_TYPE, {**said, "kind": wish.kind.value, "holders": thumbprints})
    for holder, key in zip(wish.holders, keys, strict=True):
        settle(holder.proof, key, HOLDER_TYPE, {**said, "device": str(device.id)})
    await spend(session, caller, wish.nonce, now)
    return [point_of(key) for key in keys]
