"""Load a rulebook and release what changes it; say which rules are in force; name programmes and tariffs.

A rulebook begins with files and goes on with releases: from the first release on, files are not read any more.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from sqlalchemy import exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.errors import Conflict, NotFound
from entitlements.language import Type, canonical_json

from .changing import Changes
from .keeping import (
    case_from_json,
    case_to_json,
    state_hash,
    to_json,
    value_from_json,
    value_to_json,
    version_from_json,
)
from .models import (
    CaseRow,
    ParameterValue,
    Programme,
    RulebookState,
    RuleVersionRow,
    TariffRow,
    VersionStatus,
)
from .programmes import (
    DatedValue,
    Origin,
    Parameter,
    ProgrammeRules,
    Rulebook,
    RuleVersion,
    Tariff,
    WorkedCase,
)

LANGUAGES = ("de", "de-simple", "en")


class RulebookChanged(Conflict):
    """Something that is in force already would say something else; that needs a version or a value of its own."""

    slug, title = "rulebook-changed", "A rule or amount that was loaded before cannot be changed afterwards"


class RulebookGap(Conflict):
    """A day would have no rule of a programme, or two."""

    slug, title = "rulebook-gap", "Every day needs exactly one rule of each programme"


class RulebookMoved(Conflict):
    """Something else was released since the state that a release starts from."""

    slug, title = "rulebook-moved", "Something else was released in the meantime; run the checks again"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load added; all zero when everything stood already."""

    programmes: int = 0
    versions: int = 0
    parameters: int = 0
    tariffs: int = 0
    led_by_releases: bool = False
    """Something was released since, and so the files were not read."""


@dataclass(frozen=True, slots=True)
class Released:
    """In whose name something is released: two persons, and the release that says what."""

    release_id: UUID
    author_id: UUID
    approver_id: UUID
    form: str


_parsed: dict[str, RuleVersion] = {}
"""Rule versions by the hash of what they say; what a hash names never changes, so this is never stale."""
_books: dict[str, Rulebook] = {}
"""The latest rulebook, by the hash of its state."""
NOT_WRITTEN: Mapping[tuple[str, date], str] = {}


async def load(
    session: AsyncSession,
    rulebook: Rulebook,
    now: datetime,
    written: Mapping[tuple[str, date], str] = NOT_WRITTEN,
) -> Loaded:
    """Keeps a rulebook: adds what is new, leaves what stands, and refuses what would change it afterwards.

    `written` holds the text of each version, by programme and first day. Once anything was released, the
    database leads, and nothing is read.
    """
    if await _was_released(session):
        return Loaded(led_by_releases=True)
    tariffs = await _load_tariffs(session, rulebook)
    parameters = await _load_parameters(session, rulebook, now)
    programmes = versions = 0
    for position, name in enumerate(rulebook.order()):
        rules = rulebook.programmes[name]
        row = await session.get(Programme, name)
        if row is None:
            row = Programme(
                slug=name,
                city=rulebook.city,
                names=dict(rules.label),
                position=position,
                timeline_hash="",
                loaded_at=now,
            )
            session.add(row)
            programmes += 1
            await session.flush()
        versions += await _load_versions(session, rules, now, written)
        row.names, row.position = dict(rules.label), position
        row.timeline_hash = _timeline_hash(rules, rulebook.parameters)
        session.add(row)
    await _load_cases(session, rulebook.cases, now)
    await session.flush()
    await _keep_state(session, now)
    return Loaded(programmes, versions, parameters, tariffs)


async def _was_released(session: AsyncSession) -> bool:
    rows = (RuleVersionRow, ParameterValue, CaseRow)
    found = await session.execute(
        select(or_(*(exists().where(col(r.release_id).is_not(None)) for r in rows)))
    )
    return bool(found.scalar_one())


async def _keep_state(session: AsyncSession, now: datetime) -> None:
    book = await _read_book(session)
    row = await session.get(RulebookState, 1) or RulebookState(state_hash="", changed_at=now)
    fresh = state_hash(book)
    if row.state_hash != fresh:
        row.state_hash, row.changed_at = fresh, now
    session.add(row)
    await session.flush()


async def _load_cases(session: AsyncSession, cases: Iterable[WorkedCase], now: datetime) -> None:
    """Keeps the files' worked cases as they are now: they decide nothing, and so may be put right."""
    rows = (await session.execute(select(CaseRow))).scalars()
    standing = {(row.programme, row.name): row for row in rows}
    for position, case in enumerate(cases):
        row = standing.pop((case.programme, case.name), None)
        if row is None:
            row = CaseRow(
                programme=case.programme,
                name=case.name,
                day=case.day,
                content={},
                position=position,
                loaded_at=now,
            )
        row.day, row.content, row.position = case.day, case_to_json(case), position
        session.add(row)
    for row in standing.values():
        await session.delete(row)


async def _load_tariffs(session: AsyncSession, rulebook: Rulebook) -> int:
    added = 0
    for tariff in rulebook.tariffs.values():
        row = await session.get(TariffRow, tariff.name)
        if row is None:
            row = TariffRow(name=tariff.name, bit=tariff.bit, names=dict(tariff.label))
            added += 1
        elif row.bit != tariff.bit:
            raise RulebookChanged(f"the tariff {tariff.name} has the bit {row.bit} on cards that are out")
        row.names = dict(tariff.label)
        session.add(row)
    await session.flush()
    return added


async def _load_parameters(session: AsyncSession, rulebook: Rulebook, now: datetime) -> int:
    added = 0
    standing = {(row.name, row.since): row for row in await parameter_rows(session)}
    for parameter in rulebook.parameters.values():
        for dated in parameter.values:
            value = value_to_json(dated.value)
            row = standing.get((parameter.name, dated.since))
            if row is None:
                added += 1
                session.add(
                    ParameterValue(
                        name=parameter.name,
                        since=dated.since,
                        type=str(parameter.type),
                        value=value,
                        statute=dated.origin.statute,
                        source=dated.origin.source,
                        assumption=dated.origin.assumption,
                        loaded_at=now,
                    )
                )
            elif (row.type, row.value) != (str(parameter.type), value):
                raise RulebookChanged(f"{parameter.name} has another value from {dated.since} already")
    await session.flush()
    return added


async def _load_versions(
    session: AsyncSession,
    rules: ProgrammeRules,
    now: datetime,
    written: Mapping[tuple[str, date], str],
) -> int:
    standing = {row.since: row for row in await _version_rows(session, rules.name)}
    added = 0
    for version in rules.versions:
        rule_hash, row = version.rule_hash, standing.get(version.since)
        if row is None:
            row = RuleVersionRow(
                programme=rules.name,
                since=version.since,
                until=version.until,
                rule_hash=rule_hash,
                content=to_json(version),
                written=written.get((rules.name, version.since), ""),
                form="yaml" if (rules.name, version.since) in written else "",
                statute=version.origin.statute,
                loaded_at=now,
            )
            added += 1
        elif row.rule_hash != rule_hash:
            raise RulebookChanged(f"{rules.name} has another rule from {version.since} already")
        row.until = version.until
        standing[version.since] = row
        session.add(row)
    if len(standing) > len(rules.versions):
        raise RulebookChanged(f"{rules.name} has rules in force that this rulebook leaves out")
    _no_gap(rules.name, [standing[since] for since in sorted(standing)])
    await session.flush()
    return added


def _no_gap(programme: str, rows: Sequence[RuleVersionRow]) -> None:
    for before, after in pairwise(rows):
        if before.until is None or before.until + timedelta(days=1) != after.since:
            raise RulebookGap(
                f"{programme}: the rule from {before.since} must end the day before {after.since}"
            )


def _timeline_hash(rules: ProgrammeRules, parameters: Mapping[str, Parameter]) -> str:
    used = sorted(
        {name for version in rules.versions for tree in version.trees() for name in tree.parameters()}
    )
    said = [
        [[v.rule_hash, to_json(v.since), to_json(v.until)] for v in rules.versions],
        [[name, [[to_json(d.since), to_json(d.value)] for d in parameters[name].values]] for name in used],
    ]
    return hashlib.sha256(canonical_json(said).encode()).hexdigest()


async def _version_rows(session: AsyncSession, programme: str | None = None) -> Sequence[RuleVersionRow]:
    wanted = select(RuleVersionRow).where(col(RuleVersionRow.status) == VersionStatus.ACTIVE)
    if programme is not None:
        wanted = wanted.where(col(RuleVersionRow.programme) == programme)
    ordered = wanted.order_by(col(RuleVersionRow.programme), col(RuleVersionRow.since))
    return (await session.execute(ordered)).scalars().all()


async def timelines(session: AsyncSession) -> dict[str, str]:
    """The state of each programme's rules as a hash, in the order in which programmes are decided."""
    rows = await session.execute(
        select(col(Programme.slug), col(Programme.timeline_hash)).order_by(col(Programme.position))
    )
    return {row[0]: row[1] for row in rows}


async def state(session: AsyncSession) -> str:
    """The hash of all that is released."""
    found = (await session.execute(select(col(RulebookState.state_hash)))).scalar_one_or_none()
    return found or state_hash(EMPTY)


async def in_force(session: AsyncSession) -> Rulebook:
    """All rules and amounts that stand, parsed once for each state of the rulebook."""
    book = _books.get(await state(session))
    if book is None:
        book = await _read_book(session)
        _books.clear()
        # By what was read: between two statements, somebody else may have released something.
        _books[state_hash(book)] = book
    return book


async def _read_book(session: AsyncSession) -> Rulebook:
    versions: dict[str, list[RuleVersion]] = {}
    for row in await _version_rows(session):
        versions.setdefault(row.programme, []).append(_parse(row))
    rows = (await session.execute(select(Programme).order_by(col(Programme.position)))).scalars().all()
    programmes = {
        row.slug: ProgrammeRules(row.slug, row.names, tuple(versions.get(row.slug, ()))) for row in rows
    }
    parameters: dict[str, Parameter] = {}
    for value in await parameter_rows(session):
        type_ = Type.read(value.type)
        dated = DatedValue(
            value.since,
            value_from_json(type_, json.loads(value.value)),
            Origin(value.statute, value.source, value.assumption),
        )
        before = parameters[value.name].values if value.name in parameters else ()
        parameters[value.name] = Parameter(value.name, type_, (*before, dated))
    tariffs = {
        row.name: Tariff(row.name, row.bit, row.names)
        for row in (await session.execute(select(TariffRow).order_by(col(TariffRow.bit)))).scalars()
    }
    cases = (
        select(CaseRow)
        .where(col(CaseRow.status) == VersionStatus.ACTIVE)
        .order_by(col(CaseRow.programme), col(CaseRow.position), col(CaseRow.name))
    )
    worked = tuple(
        case_from_json(row.programme, row.name, row.day, row.content)
        for row in (await session.execute(cases)).scalars()
    )
    return Rulebook(rows[0].city if rows else "", tariffs, parameters, programmes, worked)


EMPTY = Rulebook("", {}, {}, {}, ())


async def parameter_rows(session: AsyncSession, *, replaced: bool = False) -> Sequence[ParameterValue]:
    """Every dated amount in the order of names and days; `replaced`: also those that never came into force."""
    wanted = select(ParameterValue).order_by(col(ParameterValue.name), col(ParameterValue.since))
    if not replaced:
        wanted = wanted.where(col(ParameterValue.status) == VersionStatus.ACTIVE)
    return (await session.execute(wanted)).scalars().all()


async def version_rows(session: AsyncSession, programme: str | None = None) -> Sequence[RuleVersionRow]:
    """Every rule version in the order of programmes and days, with those that never came into force."""
    wanted = select(RuleVersionRow).order_by(
        col(RuleVersionRow.programme), col(RuleVersionRow.since), col(RuleVersionRow.loaded_at)
    )
    if programme is not None:
        wanted = wanted.where(col(RuleVersionRow.programme) == programme)
    return (await session.execute(wanted)).scalars().all()


async def known_rules(session: AsyncSession) -> dict[str, RuleVersion]:
    """Every rule that was ever released, by its hash."""
    return {row.rule_hash: _parse(row) for row in await version_rows(session)}


# --- releasing ----------------------------------------------------------------------------------------------


async def release(
    session: AsyncSession,
    merged: Rulebook,
    changes: Changes,
    by: Released,
    *,
    base: str,
    now: datetime,
) -> None:
    """Keeps what a release changes; it comes into force by its days.

    `merged` is the rulebook as it then is, worked out from the state `base`; RulebookMoved where something else
    was released in between: of two that start from the same state, one wins.
    """
    await _take_state(session, base, now)
    for tariff in changes.tariffs.values():
        row = await session.get(TariffRow, tariff.name)
        if row is None:
            row = TariffRow(name=tariff.name, bit=tariff.bit, names=dict(tariff.label))
        row.names = dict(tariff.label)
        session.add(row)
    await session.flush()
    await _release_parameters(session, changes, by, now)
    for position, name in enumerate(merged.order()):
        rules = merged.programmes[name]
        programme = await session.get(Programme, name)
        if programme is None:
            programme = Programme(
                slug=name,
                city=merged.city,
                names=dict(rules.label),
                position=position,
                timeline_hash="",
                loaded_at=now,
            )
        programme.names, programme.position = dict(rules.label), position
        programme.timeline_hash = _timeline_hash(rules, merged.parameters)
        session.add(programme)
        await session.flush()
        if name in changes.touched():
            await _release_versions(session, rules, changes, by, now)
    await _release_cases(session, changes, by, now)
    await session.flush()
    await _keep_state(session, now)


async def _take_state(session: AsyncSession, base: str, now: datetime) -> None:
    """Locks the state, if it still is the one that was started from."""
    if await session.get(RulebookState, 1) is None:
        await _keep_state(session, now)
    taken = await session.execute(
        update(RulebookState)
        .where(col(RulebookState.state_hash) == base)
        .values(changed_at=now)
        .returning(col(RulebookState.one))
        .execution_options(synchronize_session=False)
    )
    if taken.scalar_one_or_none() is None:
        raise RulebookMoved


async def _release_parameters(session: AsyncSession, changes: Changes, by: Released, now: datetime) -> None:
    rows = await parameter_rows(session)
    for name, parameter in changes.parameters.items():
        for row in rows:
            if row.name == name and row.since >= parameter.values[0].since:
                row.status = VersionStatus.REPLACED
                session.add(row)
        await session.flush()
        for dated in parameter.values:
            session.add(
                ParameterValue(
                    name=name,
                    since=dated.since,
                    type=str(parameter.type),
                    value=value_to_json(dated.value),
                    statute=dated.origin.statute,
                    source=dated.origin.source,
                    assumption=dated.origin.assumption,
                    release_id=by.release_id,
                    author_id=by.author_id,
                    approver_id=by.approver_id,
                    loaded_at=now,
                )
            )
    await session.flush()


async def _release_versions(
    session: AsyncSession, rules: ProgrammeRules, changes: Changes, by: Released, now: datetime
) -> None:
    ever = {row.rule_hash: row for row in await version_rows(session, rules.name)}
    wanted = {version.rule_hash: version for version in rules.versions}
    for rule_hash, row in ever.items():
        if row.status is VersionStatus.ACTIVE and rule_hash not in wanted:
            row.status = VersionStatus.REPLACED
            session.add(row)
    await session.flush()
    restored = {(one.programme, one.since) for one in changes.restored}
    for rule_hash, version in wanted.items():
        known = ever.get(rule_hash)
        if known is None:
            key = (rules.name, version.since)
            known = RuleVersionRow(
                programme=rules.name,
                since=version.since,
                rule_hash=rule_hash,
                content=to_json(version),
                written=changes.written.get(key, ""),
                form="restored" if key in restored else by.form,
                statute=version.origin.statute,
                status=VersionStatus.REPLACED,
                loaded_at=now,
            )
        if known.status is VersionStatus.REPLACED:
            known.status, known.loaded_at = VersionStatus.ACTIVE, now
            known.release_id, known.author_id, known.approver_id = by.release_id, by.author_id, by.approver_id
        known.until = version.until
        session.add(known)
    await session.flush()


async def _release_cases(session: AsyncSession, changes: Changes, by: Released, now: datetime) -> None:
    gone = {*changes.dropped, *((case.programme, case.name) for case in changes.cases)}
    rows = (
        (await session.execute(select(CaseRow).where(col(CaseRow.status) == VersionStatus.ACTIVE)))
        .scalars()
        .all()
    )
    for row in rows:
        if (row.programme, row.name) in gone:
            row.status = VersionStatus.REPLACED
            session.add(row)
    await session.flush()
    last = max((row.position for row in rows), default=-1)
    for number, case in enumerate(changes.cases, 1):
        session.add(
            CaseRow(
                programme=case.programme,
                name=case.name,
                day=case.day,
                content=case_to_json(case),
                position=last + number,
                release_id=by.release_id,
                loaded_at=now,
            )
        )
    await session.flush()


def _parse(row: RuleVersionRow) -> RuleVersion:
    # The last day is not part of the hash: it comes from the row.
    known = _parsed.get(row.rule_hash)
    if known is None or known.until != row.until:
        until = row.until.isoformat() if row.until else None
        known = _parsed[row.rule_hash] = version_from_json({**row.content, "until": until})
    return known


async def versions_on(session: AsyncSession, day: date) -> list[RuleVersion]:
    """The rule of each programme that is in force on a day, those that others depend on first."""
    book = await in_force(session)
    found = (rules.on(day) for rules in book.programmes.values())
    return [version for version in found if version is not None]


async def version_of(session: AsyncSession, rule_hash: str) -> RuleVersion:
    """The rule that a hash names, for the replay of a decision."""
    row = (
        await session.execute(select(RuleVersionRow).where(col(RuleVersionRow.rule_hash) == rule_hash))
    ).scalar_one_or_none()
    if row is None:
        raise NotFound
    return _parse(row)


async def programmes(session: AsyncSession) -> Sequence[Programme]:
    """Every programme, those that others depend on first."""
    return (await session.execute(select(Programme).order_by(col(Programme.position)))).scalars().all()


async def rows_of(session: AsyncSession, slug: str) -> Sequence[RuleVersionRow]:
    """The versions of one programme in the order of their days; NotFound where there is no such programme."""
    if await session.get(Programme, slug) is None:
        raise NotFound
    return await _version_rows(session, slug)


async def programme_names(session: AsyncSession, language: str) -> dict[str, str]:
    """What each programme is called in a language."""
    return {
        programme.slug: programme.names.get(language) or programme.names["de"]
        for programme in await programmes(session)
    }


async def tariff_bits(session: AsyncSession) -> dict[str, int]:
    """The bit of each tariff on a card, as a mask."""
    rows = await session.execute(select(col(TariffRow.name), col(TariffRow.bit)))
    return {name: 1 << bit for name, bit in rows.all()}


async def tariffs(session: AsyncSession) -> Sequence[TariffRow]:
    """Every tariff, in the order of their bits."""
    return (await session.execute(select(TariffRow).order_by(col(TariffRow.bit)))).scalars().all()


__all__ = [
    "Loaded",
    "Released",
    "RulebookChanged",
    "RulebookGap",
    "RulebookMoved",
    "in_force",
    "known_rules",
    "load",
    "parameter_rows",
    "programme_names",
    "programmes",
    "release",
    "rows_of",
    "state",
    "tariff_bits",
    "tariffs",
    "timelines",
    "version_of",
    "version_rows",
    "versions_on",
]
