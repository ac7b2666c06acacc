"""Decide on releases: a second person approves or says no, authors take back, and anybody can begin a way back."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import yaml
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.access.rules import Caller
from core.audit.service import note
from core.clock import day_of
from core.errors import Conflict, NotAllowed
from core.settings import Settings
from entitlements.language.days import ONE_DAY
from entitlements.releases.checking import StillChecking
from entitlements.releases.drafts import (
    DraftClosed,
    DraftMoved,
    draft_of,
    latest_check,
    may_change,
    release_of,
    revision,
    write,
    wrote,
)
from entitlements.releases.models import OPEN, Check, Release, State, Status
from entitlements.releases.rules import change_to_json, changes_of
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.changing import Changes
from entitlements.rulebook.drafting import Form, read_changes
from entitlements.rulebook.programmes import Rulebook
from entitlements.rulebook.service import Released, RulebookMoved
from entitlements.simulations.statements import asked, side_of


class NotReady(Conflict):
    """The draft has not been through the gate as it stands."""

    slug, title = "release-not-ready", "The checks of this draft have not passed; run them first"


class AuthorDecides(NotAllowed):
    """Whoever wrote a draft does not decide on it."""

    slug, title = "author-decides", "Whoever wrote a draft cannot decide on it; somebody else has to"


class EndsMany(Conflict):
    """More entitlements would end than may end without somebody's word."""

    slug, title = "release-ends-many", "This would end many entitlements; approve it with acknowledge_endings"


class DayPassed(Conflict):
    """Something would come into force today or before."""

    slug, title = "release-day-passed", "A rule comes into force tomorrow at the earliest; write a later day"


class NothingReleased(Conflict):
    """Only what was released can be rolled back."""

    slug, title = "not-released", "This was not released, so there is nothing to roll back"


async def approve(
    session: AsyncSession,
    caller: Caller,
    release_id: UUID,
    *,
    content_hash: str,
    acknowledge_endings: bool,
    now: datetime,
    settings: Settings,
) -> Release:
    """Releases exactly this content; its rules and amounts come into force by their days.

    Of two who approve at once one does, and nobody who ever wrote a revision of it does.
    """
    release = await release_of(session, release_id)
    await _refuse(session, caller, release, (Status.READY,), content_hash)
    row = await latest_check(session, release_id)
    if row is None or row.state is not State.PASSED or row.content_hash != release.content_hash:
        raise NotReady
    if row.ends_many and not acknowledge_endings:
        raise EndsMany
    draft, today = await draft_of(session, release_id, settings), day_of(now, settings.zone)
    first_day = draft.first_day(today)
    if first_day <= today:
        raise DayPassed
    release = await _decide(
        session,
        caller,
        release_id,
        (Status.READY,),
        content_hash=content_hash,
        values={
            "status": Status.RELEASED,
            "approver_id": caller.principal_id,
            "acknowledged": acknowledge_endings,
            "first_day": first_day,
        },
        now=now,
    )
    if draft.base_hash != row.base_hash:
        raise RulebookMoved
    by = Released(
        release.id, release.author_id, caller.principal_id, (await revision(session, release)).form.value
    )
    changed = changes_of(draft.standing, draft.book, draft.changes)
    release.difference = [change_to_json(change) for change in changed]
    session.add(release)
    await rulebook.release(session, draft.book, draft.changes, by, base=row.base_hash, now=now)
    note(
        session,
        caller,
        "release.approved",
        ("release", release.id),
        now=now,
        content=release.content_hash,
        first_day=first_day.isoformat(),
        acknowledged=acknowledge_endings,
    )
    return release


async def reject(
    session: AsyncSession, caller: Caller, release_id: UUID, *, remark: str, now: datetime
) -> Release:
    """Says no to a draft, and why; it stays readable."""
    values = {"status": Status.REJECTED, "remark": remark}
    release = await _decide(session, caller, release_id, tuple(OPEN), values=values, now=now)
    note(session, caller, "release.rejected", ("release", release.id), now=now)
    return release


async def withdraw(
    session: AsyncSession, caller: Caller, release_id: UUID, *, remark: str, now: datetime
) -> Release:
    """Takes a draft back, by its authors or somebody who approves rules; it stays readable."""
    others = await may_change(session, caller, await release_of(session, release_id))
    values = {"status": Status.WITHDRAWN, "remark": remark}
    release = await _decide(session, caller, release_id, tuple(OPEN), values=values, now=now, by_author=True)
    note(session, caller, "release.withdrawn", ("release", release.id), now=now, of_others=others)
    return release


async def _decide(
    session: AsyncSession,
    caller: Caller,
    release_id: UUID,
    standing: Sequence[Status],
    *,
    values: Mapping[str, Any],
    now: datetime,
    content_hash: str | None = None,
    by_author: bool = False,
) -> Release:
    """Takes the one decision there is, if all that it rests on still holds; says what does not."""
    conditions = [col(Release.id) == release_id, col(Release.status).in_(standing)]
    if not by_author:
        # Every revision changes the row: whoever saves one while we decide is found by its author or its hash.
        conditions += [~wrote(release_id, caller), col(Release.author_id) != caller.principal_id]
    conditions += [] if content_hash is None else [col(Release.content_hash) == content_hash]
    taken = await session.execute(
        update(Release)
        .where(*conditions)
        .values(**values, decided_by=caller.principal_id, decided_at=now)
        .returning(Release)
        .execution_options(populate_existing=True)
    )
    release = taken.scalar_one_or_none()
    if release is not None:
        return release
    release = await release_of(session, release_id)
    await _refuse(session, caller, release, standing, content_hash, by_author=by_author)
    raise DraftMoved(version=release.version)


async def _refuse(
    session: AsyncSession,
    caller: Caller,
    release: Release,
    standing: Sequence[Status],
    content_hash: str | None,
    *,
    by_author: bool = False,
) -> None:
    """Says why a decision cannot be taken, if it cannot."""
    if release.status not in OPEN:
        raise DraftClosed
    if not by_author and (await session.execute(select(wrote(release.id, caller)))).scalar_one():
        raise AuthorDecides
    if content_hash is not None and release.content_hash != content_hash:
        raise DraftMoved(version=release.version)
    if release.status not in standing:
        raise StillChecking if release.status is Status.CHECKING else NotReady


# --- endings that are meant ---------------------------------------------------------------------------------


async def meant_endings(session: AsyncSession, on: date, since: date | None) -> dict[str, int]:
    """By programme, how many endings were acknowledged for the rules of a day, by whoever approved them.

    Of releases whose first day came after `since`, the day on which everybody was looked at last: what was meant is
    carried out once. It counts only while the rules and amounts that decide are those that were approved.
    """
    passed = (
        select(col(Check.endings))
        .join(Release, col(Release.id) == col(Check.release_id))
        .where(
            col(Release.status) == Status.RELEASED,
            col(Release.acknowledged),
            col(Release.first_day) <= on,
            col(Check.state) == State.PASSED,
            col(Check.content_hash) == col(Release.content_hash),
            col(Check.day) == col(Release.first_day),
            col(Check.ends_many),
        )
        .order_by(col(Check.asked_at), col(Check.id))
    )
    if since is not None:
        passed = passed.where(col(Release.first_day) > since)
    rows: Sequence[Mapping[str, Mapping[str, Any]]] = (await session.execute(passed)).scalars().all()
    if not rows:
        return {}
    side = side_of(await rulebook.in_force(session), on)
    found: dict[str, int] = {}
    for endings in rows:
        for programme, said in endings.items():
            if said["decided_by"] == asked(side, programme):
                # Of two runs through the gate, the later one was approved.
                found[programme] = said["persons"]
    return found


# --- rolling back -------------------------------------------------------------------------------------------


async def roll_back(
    session: AsyncSession,
    caller: Caller,
    release_id: UUID,
    *,
    day: date,
    title: str,
    now: datetime,
    settings: Settings,
) -> Release:
    """Begins a draft that brings back, from a day on, what held before a release; it goes the way of all drafts."""
    release = await release_of(session, release_id)
    if release.status is not Status.RELEASED:
        raise NothingReleased
    if day <= day_of(now, settings.zone):
        raise DayPassed
    written = await revision(session, release)
    standing = await rulebook.in_force(session)
    changes = read_changes(written.source, written.form, standing)
    source = yaml.safe_dump(_undoing(standing, changes, day), sort_keys=False, allow_unicode=True, width=110)
    return await write(
        session, caller, title=title, form=Form.YAML, source=source, now=now, undoes=release.id
    )


def _undoing(standing: Rulebook, changes: Changes, day: date) -> dict[str, Any]:
    said: dict[str, Any] = {"restore": [], "ends": [], "parameters": {}, "drop_cases": []}
    for name in sorted(changes.touched()):
        rules = standing.programmes[name]
        firsts = [v.since for v in changes.programmes[name].versions] if name in changes.programmes else []
        firsts += [one.since for one in changes.restored if one.programme == name]
        firsts += [changes.ended[name] + ONE_DAY] if name in changes.ended else []
        before = rules.on(min(firsts) - ONE_DAY)
        if before is not None:
            said["restore"].append({"programme": name, "rule": before.rule_hash, "from": day})
        else:
            said["ends"].append({"programme": name, "until": day - ONE_DAY})
    for name, parameter in sorted(changes.parameters.items()):
        was = standing.parameters[name].on(parameter.values[0].since - ONE_DAY)
        if was is not None:
            origin = {
                "statute": was.origin.statute,
                "source": was.origin.source,
                "assumption": was.origin.assumption,
            }
            said["parameters"][name] = {
                "unit": parameter.type.kind.value,
                "values": [{"from": day, "value": was.value, **origin}],
            }
    said["drop_cases"] = [
        {"programme": case.programme, "name": case.name} for case in changes.cases if case.day >= day
    ]
    return {name: part for name, part in said.items() if part}
