"""Takes a register's number from somebody whom it does not mean, and with it what the register said of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.bulk import chunks, table_of
from core.database import new_id
from core.errors import Conflict, NotFound
from core.settings import Settings
from core.vault import Vault, seal
from entitlements.deliveries.applying import reassess
from entitlements.facts.models import Fact
from entitlements.facts.service import closure
from entitlements.people.merging import AlreadyUndone, LaterFirst
from entitlements.people.models import Identity, Likemark, Membership, NameMark
from entitlements.people.service import (
    NotTwoPersons,
    identity_under,
    keep_identity,
    keys_of,
    make_person,
    roots,
)
from entitlements.registers.models import Link, LinkMade, LinkMove, Register
from entitlements.registers.rules import Remit
from entitlements.registers.service import number_in


class NotToldApart(Conflict):
    """Several numbers of one register mean the same person: whose is what it said, nobody can tell."""

    slug, title = "numbers-not-told-apart", "Another number of this register means this person as well"


async def move(
    session: AsyncSession,
    vault: Vault,
    settings: Settings,
    caller: Caller,
    link_id: UUID,
    *,
    to: UUID | None,
    now: datetime,
) -> LinkMove:
    """From now on the number means somebody else, or (None) somebody new; what its register said goes with it.

    What was decided and credited until now stays as it was; everybody concerned is judged by what is known now.
    """
    link = await _held(session, link_id)
    target = (await make_person(session, now)).id if to is None else (await roots(session, [to])).get(to)
    if target is None:
        raise NotFound
    return await _move(session, vault, settings, caller, link, target, now=now)


async def undo(
    session: AsyncSession, vault: Vault, settings: Settings, caller: Caller, move_id: UUID, *, now: datetime
) -> LinkMove:
    """The number means again whom it meant before. AlreadyUndone; LaterFirst where it was moved on since."""
    act = await session.get(LinkMove, move_id, populate_existing=True)
    if act is None:
        raise NotFound
    later = await session.execute(
        select(col(LinkMove.id)).where(
            col(LinkMove.link_id) == act.link_id, col(LinkMove.undone_at).is_(None), col(LinkMove.id) > act.id
        )
    )
    if later.first() is not None:
        raise LaterFirst
    taken = await session.execute(
        update(LinkMove)
        .where(col(LinkMove.id) == move_id, col(LinkMove.undone_at).is_(None))
        .values(undone_at=now, undone_by=caller.principal_id)
        .returning(col(LinkMove.id))
        .execution_options(synchronize_session=False)
    )
    if taken.scalar_one_or_none() is None:
        raise AlreadyUndone
    link = await _held(session, act.link_id)
    await _carry(session, vault, link, act.from_id, now)
    await _judge(session, settings, [act.from_id, act.to_id], now, f"move-undone:{act.id}")
    note(session, caller, "link.move-undone", ("link", link.id), now=now)
    await session.refresh(act)
    return act


async def moves_of(session: AsyncSession, link_ids: Sequence[UUID]) -> list[LinkMove]:
    """The acts by which these numbers changed their person, the latest first."""
    rows = await session.execute(
        select(LinkMove).where(col(LinkMove.link_id).in_(link_ids)).order_by(col(LinkMove.id).desc())
    )
    return list(rows.scalars())


async def link_of(session: AsyncSession, link_id: UUID) -> Link:
    """A register's number with its person."""
    link = await session.get(Link, link_id)
    if link is None:
        raise NotFound
    return link


async def _held(session: AsyncSession, link_id: UUID) -> Link:
    """The link, with its register held: no delivery of it is applied meanwhile."""
    link = await link_of(session, link_id)
    await session.execute(
        select(col(Register.id)).where(col(Register.id) == link.register_id).with_for_update()
    )
    await session.refresh(link)
    return link


async def _move(  # noqa: PLR0917
    session: AsyncSession,
    vault: Vault,
    settings: Settings,
    caller: Caller,
    link: Link,
    target: UUID,
    *,
    now: datetime,
) -> LinkMove:
    before = link.person_id
    if (await roots(session, [before]))[before] == target:
        raise NotTwoPersons
    await _carry(session, vault, link, target, now)
    act = LinkMove(
        link_id=link.id,
        register_id=link.register_id,
        from_id=before,
        to_id=target,
        moved_at=now,
        moved_by=caller.principal_id,
    )
    session.add(act)
    await session.flush()
    await _judge(session, settings, [before, target], now, f"move:{act.id}")
    note(session, caller, "link.moved", ("link", link.id), now=now)
    return act


async def _judge(
    session: AsyncSession, settings: Settings, person_ids: Sequence[UUID], now: datetime, cause: str
) -> None:
    concerned = await closure(session, person_ids)
    await reassess(session, concerned, now=now, settings=settings, cause=cause)


async def _carry(session: AsyncSession, vault: Vault, link: Link, target: UUID, now: datetime) -> None:
    """Takes the number, and all that its register says of whom it meant, over to another person."""
    before = link.person_id
    others = await session.execute(
        select(col(Link.id))
        .where(
            col(Link.register_id) == link.register_id,
            col(Link.person_id).in_([before, target]),
            col(Link.id) != link.id,
        )
        .limit(1)
    )
    if others.first() is not None:
        raise NotToldApart
    keys = await keys_of(session, vault, [before, target], make=True)
    number = number_in(link, keys.get(before))
    link.person_id, link.made_by, link.made_at = target, LinkMade.MOVE, now
    link.sealed_number = (
        seal(keys[target], number.encode(), link.id.bytes) if number and target in keys else None
    )
    await session.flush()
    for model in (Fact, Membership):
        await _restate(session, model, link.register_id, before, target, now)
    await _carry_name(session, vault, link, before, target, now)


async def _restate(  # noqa: PLR0917
    session: AsyncSession,
    model: type[Fact | Membership],
    register_id: UUID,
    before: UUID,
    target: UUID,
    now: datetime,
) -> None:
    """Nothing is overwritten: what stood under the one is closed, and stands from now on under the other."""
    table = table_of(model)
    rows = await session.execute(
        select(table)
        .where(table.c.person_id == before, table.c.register_id == register_id, table.c.known_until.is_(None))
        # Of two that were stated at the same moment the one that arrived later counts: there, too.
        .order_by(table.c.known_from, table.c.id)
    )
    said: list[dict[str, Any]] = [dict(row) for row in rows.mappings()]
    for some in chunks([row["id"] for row in said]):
        await session.execute(update(table).where(table.c.id.in_(some)).values(known_until=now))
    for row in said:
        row |= {"id": new_id(), "person_id": target, "known_from": now}
    for rows_of in chunks(said):
        await session.execute(insert(table), list(rows_of))


async def _carry_name(  # noqa: PLR0917
    session: AsyncSession, vault: Vault, link: Link, before: UUID, target: UUID, now: datetime
) -> None:
    """The name goes with the number where it can only be this register that said it."""
    naming = {
        register.id
        for register in (await session.execute(select(Register))).scalars()
        if Remit.of(register.remit).identities
    }
    if link.register_id not in naming:
        return
    others = await session.execute(
        select(col(Link.id)).where(
            col(Link.person_id) == before, col(Link.register_id).in_(naming), col(Link.id) != link.id
        )
    )
    kept = await identity_under(session, vault, before)
    if kept is None or others.first() is not None:
        return
    identity, stated_at = kept
    await keep_identity(session, vault, target, identity, stated_at=stated_at, now=now)
    for table in (Identity, NameMark, Likemark):
        await session.execute(delete(table).where(col(table.person_id) == before))
