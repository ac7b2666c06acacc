"""What a release changes in a rulebook, and the rulebook that comes of it: values, no database."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from entitlements.language.days import ONE_DAY

from .programmes import DatedValue, Parameter, ProgrammeRules, Rulebook, RuleVersion, Tariff, WorkedCase


@dataclass(frozen=True, slots=True)
class Restored:
    """A rule that was in force before and shall be so again from a day on, named by its hash."""

    programme: str
    rule_hash: str
    since: date
    until: date | None
    line: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What a draft says: of each programme and amount that it names, what holds from a day on.

    Whatever stands for later days of the same programme or amount gives way to it; nothing that has been in
    force on any day does.
    """

    tariffs: Mapping[str, Tariff] = field(default_factory=dict)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    """The new values only."""
    programmes: Mapping[str, ProgrammeRules] = field(default_factory=dict)
    """The new versions only."""
    restored: tuple[Restored, ...] = ()
    ended: Mapping[str, date] = field(default_factory=dict)
    """The last day of programmes that come to their end."""
    cases: tuple[WorkedCase, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    """Worked cases that no longer count, by programme and name."""
    written: Mapping[tuple[str, date], str] = field(default_factory=dict)
    """How each new version was written, by programme and first day."""

    def days(self) -> frozenset[date]:
        """The first day of everything that changes."""
        versions = {v.since for rules in self.programmes.values() for v in rules.versions}
        values = {d.since for parameter in self.parameters.values() for d in parameter.values}
        ends = {last + ONE_DAY for last in self.ended.values()}
        return frozenset(versions | values | ends | {restored.since for restored in self.restored})

    def touched(self) -> frozenset[str]:
        """The programmes of which a rule is new, restored or ended."""
        return frozenset({*self.programmes, *self.ended, *(r.programme for r in self.restored)})

    def concerned(self, book: Rulebook) -> tuple[str, ...]:
        """The programmes whose decisions can change: those touched, those that use a changed amount, and those
        that wait for one of them; in the order in which they are decided.
        """
        found = set(self.touched())
        for name, rules in book.programmes.items():
            used = {p for version in rules.versions for tree in version.trees() for p in tree.parameters()}
            if used & self.parameters.keys():
                found.add(name)
        for name in book.order():
            after = {d.programme for version in book.programmes[name].versions for d in version.depends_on}
            if after & found:
                found.add(name)
        return tuple(name for name in book.order() if name in found)


class NothingToRestore(LookupError):
    """A rule that a draft wants back was never released."""

    def __init__(self, wanted: Restored) -> None:
        super().__init__(f"{wanted.programme} never had the rule {wanted.rule_hash}")
        self.line = wanted.line


def merged(book: Rulebook, changes: Changes, known_rules: Mapping[str, RuleVersion]) -> Rulebook:
    """The rulebook as it stands once the changes are released; whether it is sound is asked of it afterwards.

    `known_rules` holds what can be restored, by hash; NothingToRestore where a draft names another.
    """
    return replace(
        book,
        tariffs={**book.tariffs, **changes.tariffs},
        parameters=merged_parameters(book.parameters, changes.parameters),
        programmes=_programmes(book, changes, known_rules),
        cases=_cases(book, changes),
    )


def merged_parameters(
    standing: Mapping[str, Parameter], changed: Mapping[str, Parameter]
) -> Mapping[str, Parameter]:
    """All dated amounts: of each that changes, the old values up to the day before its first new one."""
    found = dict(standing)
    for name, parameter in changed.items():
        first = parameter.values[0].since
        before: tuple[DatedValue, ...] = ()
        if name in standing:
            before = tuple(dated for dated in standing[name].values if dated.since < first)
        found[name] = replace(parameter, values=(*before, *parameter.values))
    return found


def _programmes(
    book: Rulebook, changes: Changes, known_rules: Mapping[str, RuleVersion]
) -> Mapping[str, ProgrammeRules]:
    found = dict(book.programmes)
    for name in sorted(changes.touched()):
        fresh = changes.programmes.get(name)
        new = list(fresh.versions) if fresh else []
        new += [_restored(wanted, known_rules) for wanted in changes.restored if wanted.programme == name]
        new.sort(key=lambda version: version.since)
        standing = book.programmes.get(name)
        if fresh is None and standing is None:
            continue  # what ends or comes back must stand: `flaws` of the draft says so
        label = fresh.label if fresh else standing.label if standing else {}
        before = [
            version
            for version in (standing.versions if standing else ())
            if not new or version.since < new[0].since
        ]
        versions = [*(_closed(version, new[0].since) if new else version for version in before), *new]
        last = changes.ended.get(name)
        if last is not None:
            versions = [
                version
                if version.until is not None and version.until <= last
                else replace(version, until=last)
                for version in versions
                if version.since <= last
            ]
        found[name] = ProgrammeRules(name, label, tuple(versions))
    return found


def _restored(wanted: Restored, known_rules: Mapping[str, RuleVersion]) -> RuleVersion:
    before = known_rules.get(wanted.rule_hash)
    if before is None or before.programme != wanted.programme:
        raise NothingToRestore(wanted)
    return replace(before, since=wanted.since, until=wanted.until)


def _closed(version: RuleVersion, successor: date) -> RuleVersion:
    if version.until is not None and version.until < successor:
        return version
    return replace(version, until=successor - ONE_DAY)


def _cases(book: Rulebook, changes: Changes) -> tuple[WorkedCase, ...]:
    gone = {*changes.dropped, *((case.programme, case.name) for case in changes.cases)}
    return (*(case for case in book.cases if (case.programme, case.name) not in gone), *changes.cases)
