"""Load a rulebook, once and for good; say which rules are in force; name programmes and tariffs."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from core.errors import Conflict, NotFound
from entitlements.language import Type, canonical_json

from .keeping import hash_of, to_json, value_from_json, value_to_json, version_from_json
from .models import ParameterValue, Programme, RuleVersionRow, TariffRow, VersionStatus
from .programmes import DatedValue, Origin, Parameter, ProgrammeRules, Rulebook, RuleVersion, Tariff

LANGUAGES = ("de", "de-simple", "en")


class RulebookChanged(Conflict):
    """Something that is in force already would say something else; that needs a version or a value of its own."""

    slug, title = "rulebook-changed", "A rule or amount that was loaded before cannot be changed afterwards"


class RulebookGap(Conflict):
    """A day would have no rule of a programme, or two."""

    slug, title = "rulebook-gap", "Every day needs exactly one rule of each programme"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load added; all zero when everything stood already."""

    programmes: int = 0
    versions: int = 0
    parameters: int = 0
    tariffs: int = 0


_parsed: dict[str, RuleVersion] = {}
"""Rule versions by the hash of what they say; what a hash names never changes, so this is never stale."""
_books: dict[tuple[tuple[str, str], ...], Rulebook] = {}
"""The latest rulebook, by the hashes of its programmes."""


async def load(session: AsyncSession, rulebook: Rulebook, now: datetime) -> Loaded:
    """Keeps a rulebook: adds what is new, leaves what stands, and refuses what would change it afterwards."""
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
        versions += await _load_versions(session, rules, now)
        row.names, row.position = dict(rules.label), position
        row.timeline_hash = _timeline_hash(rules, rulebook.parameters)
        session.add(row)
    await session.flush()
    return Loaded(programmes, versions, parameters, tariffs)


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
    for parameter in rulebook.parameters.values():
        for dated in parameter.values:
            value = value_to_json(dated.value)
            row = await session.get(ParameterValue, (parameter.name, dated.since))
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


async def _load_versions(session: AsyncSession, rules: ProgrammeRules, now: datetime) -> int:
    standing = {row.since: row for row in await _version_rows(session, rules.name)}
    added = 0
    for version in rules.versions:
        rule_hash, row = hash_of(version), standing.get(version.since)
        if row is None:
            row = RuleVersionRow(
                programme=rules.name,
                since=version.since,
                until=version.until,
                rule_hash=rule_hash,
                content=to_json(version),
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
        [[hash_of(v), to_json(v.since), to_json(v.until)] for v in rules.versions],
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


async def in_force(session: AsyncSession) -> Rulebook:
    """All rules and amounts that stand, parsed once for each state of the rulebook."""
    key = tuple((await timelines(session)).items())
    book = _books.get(key)
    if book is None:
        book = await _read_book(session)
        _books.clear()
        _books[key] = book
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
    values = select(ParameterValue).order_by(col(ParameterValue.name), col(ParameterValue.since))
    for value in (await session.execute(values)).scalars():
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
    return Rulebook(rows[0].city if rows else "", tariffs, parameters, programmes, ())


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
    "RulebookChanged",
    "RulebookGap",
    "in_force",
    "load",
    "programme_names",
    "programmes",
    "rows_of",
    "tariff_bits",
    "tariffs",
    "timelines",
    "version_of",
    "versions_on",
]
