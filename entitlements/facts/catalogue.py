"""Which facts there are, of which type, from which department, and what it means when a list leaves somebody out."""

import calendar
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from core.errors import Unprocessable
from entitlements.language import PRECISE, Kind, Speakable, Type, Value, Vocabulary
from entitlements.language.days import years_before
from entitlements.language.tree import INT_MAX, INT_MIN

RULEBOOKS = Path(__file__).parents[2] / "rulebooks"
LANGUAGES = ("de", "de-simple", "en")


class CatalogueError(ValueError):
    """The catalogue file says something that cannot be."""


class ValueNotReadable(Unprocessable):
    """A delivered value is not of its fact's type; the message says what is expected and never repeats the value."""

    slug = "value-not-readable"
    title = "A value is not of its fact's type"


@dataclass(frozen=True, slots=True)
class Label:
    """How a thing is called from some day on, in each language."""

    since: date
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Labelled:
    name: str
    labels: tuple[Label, ...]

    def label(self, language: str, on: date | None = None) -> str:
        """How people call it on that day (by default: now and later)."""
        known = [label for label in self.labels if on is None or label.since <= on] or [self.labels[0]]
        return known[-1].texts[language]


@dataclass(frozen=True, slots=True)
class RegisterKind(_Labelled):
    """A kind of department that states facts."""

    department: str


@dataclass(frozen=True, slots=True)
class HouseholdKind(_Labelled):
    """A way in which persons belong together; the three kinds are never merged."""

    suppliers: tuple[str, ...]
    listing: Literal["exhaustive", "open"]
    counted_together: bool
    """Whether its members are counted together for a benefit, and so know of one another what it rests on."""


@dataclass(frozen=True, slots=True)
class Ages:
    """From and below which age, in whole years, something is stated of anybody."""

    first: int | None = None
    below: int | None = None

    def fit(self, born: date, on: date) -> bool:
        """Whether somebody born on a day has such an age on another."""
        grown = self.first is None or born <= years_before(on, self.first)
        return grown and (self.below is None or born > years_before(on, self.below))


@dataclass(frozen=True, slots=True)
class FactKind(_Labelled):
    """One thing that registers state about a person (or about the household, and so about each member)."""

    type: Kind
    unit: str
    members: tuple[str, ...]
    suppliers: tuple[str, ...]
    about: Literal["person", "household"]
    always_known: bool
    listing: Literal["exhaustive", "open"]
    absent: Value | None
    """What is known of whoever a full exhaustive delivery leaves out; `None` where that leaves it unknown."""
    latest: str
    """For a day that may be known in part: the fact that carries the last possible day."""
    ages: Mapping[Value, Ages] = field(default_factory=dict)
    """Values that are stated of people of some ages only."""

    def speakable(self) -> Speakable:
        """The fact as the rule language knows it."""
        enum = self.name if self.type is Kind.ENUM else ""
        return Speakable(Type(self.type, enum), self.members, self.latest)

    def read(self, given: object) -> Mapping[str, Value]:
        """The typed value of what a register delivered, by fact name: a partial day fills two facts."""
        value = given.strip() if isinstance(given, str) else given
        match self.type:
            case Kind.BOOL:
                known = {True: True, False: False, "true": True, "false": False}
                if isinstance(value, bool | str) and value in known:
                    return {self.name: known[value]}
                raise ValueNotReadable(f"{self.name} is true or false")
            case Kind.INT | Kind.CENTS:
                return {self.name: self._number(value)}
            case Kind.DAY:
                first, last = self._days(value)
                return {self.name: first, self.latest: last} if self.latest else {self.name: first}
            case _:
                if isinstance(value, str) and value in self.members:
                    return {self.name: value}
                raise ValueNotReadable(f"{self.name} is one of {', '.join(self.members)}")

    def _number(self, value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
            value = int(value)
        if type(value) is int and INT_MIN <= value <= INT_MAX:
            return value
        raise ValueNotReadable(f"{self.name} is a whole number ({self.unit or 'no unit'})")

    def _days(self, value: object) -> tuple[date, date]:
        if type(value) is date:
            return value, value
        parts = (
            re.fullmatch(r"([0-9]{4})(?:-([0-9]{2}))?(?:-([0-9]{2}))?", value)
            if isinstance(value, str)
            else None
        )
        try:
            first, last = _span(*(int(part or 0) for part in parts.groups())) if parts else (None, None)
        except ValueError:
            first = last = None
        if first is None or last is None or (first != last and not self.latest):
            partly = ", or 1990-05-00 and 1990-00-00 where only month or year is known" if self.latest else ""
            raise ValueNotReadable(f"{self.name} is a day such as 2026-01-31{partly}")
        return first, last


def _span(year: int, month: int, day: int) -> tuple[date, date]:
    if month == 0 and day == 0:
        return date(year, 1, 1), date(year, 12, 31)
    if day == 0:
        return date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1])
    return date(year, month, day), date(year, month, day)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that `facts.yaml` says."""

    facts: Mapping[str, FactKind]
    households: Mapping[str, HouseholdKind]
    registers: Mapping[str, RegisterKind]


def load_catalogue(path: Path) -> Catalogue:
    """Reads the catalogue, and refuses it as a whole if anything in it does not fit."""
    with path.open(encoding="utf-8") as file:
        source = yaml.safe_load(file)
    try:
        registers = {
            name: RegisterKind(name, _labels(entry["label"]), entry["department"])
            for name, entry in source["registers"].items()
        }
        households = {
            name: HouseholdKind(
                name,
                _labels(entry["label"]),
                tuple(entry["suppliers"]),
                entry["listing"],
                entry.get("counted_together", False),
            )
            for name, entry in source["households"].items()
        }
        facts = {name: _fact(name, entry) for name, entry in source["facts"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise CatalogueError(f"{path.name}: an entry lacks {error}") from error
    _check(path, facts, households, registers)
    return Catalogue(facts, households, registers)


def _fact(name: str, entry: Mapping[str, Any]) -> FactKind:
    known = {
        "type",
        "unit",
        "members",
        "suppliers",
        "about",
        "always_known",
        "listing",
        "absent",
        "latest",
        "ages",
        "label",
    }
    if set(entry) - known:
        raise CatalogueError(f"{name}: {', '.join(sorted(set(entry) - known))} means nothing here")
    return FactKind(
        name=name,
        labels=_labels(entry["label"]),
        type=Kind(entry["type"]),
        unit=entry.get("unit", ""),
        members=tuple(str(member) for member in entry.get("members", ())),
        suppliers=tuple(entry["suppliers"]),
        about=entry["about"],
        always_known=entry.get("always_known", False),
        listing=entry["listing"],
        absent=entry.get("absent"),
        latest=entry.get("latest", ""),
        ages={value: _ages(name, said) for value, said in entry.get("ages", {}).items()},
    )


def _ages(name: str, said: Mapping[str, int]) -> Ages:
    if not said or set(said) - {"from", "below"}:
        raise CatalogueError(f"{name}: ages are `from` one, `below` one, or both")
    return Ages(said.get("from"), said.get("below"))


def _labels(source: object) -> tuple[Label, ...]:
    entries = source if isinstance(source, list) else [source]
    labels = tuple(
        Label(entry.get("from", date.min), {language: entry[language] for language in LANGUAGES})
        for entry in cast("list[dict[str, Any]]", entries)
    )
    if [label.since for label in labels] != sorted({label.since for label in labels}):
        raise CatalogueError("dated labels stand in the order of their days, each day once")
    return labels


def _check(
    path: Path,
    facts: Mapping[str, FactKind],
    households: Mapping[str, HouseholdKind],
    registers: Mapping[str, RegisterKind],
) -> None:
    def need(holds: bool, name: str, message: str) -> None:
        if not holds:
            raise CatalogueError(f"{path.name}: {name} {message}")

    listed: tuple[FactKind | HouseholdKind, ...] = (*facts.values(), *households.values())
    for kind in listed:
        need(bool(kind.suppliers), kind.name, "needs a supplier")
        need(set(kind.suppliers) <= set(registers), kind.name, "names a supplier that is no register")
        need(kind.listing in {"exhaustive", "open"}, kind.name, "is listed either exhaustive or open")
    for fact in facts.values():
        need(fact.about in {"person", "household"}, fact.name, "is about a person or a household")
        need(fact.name not in households, fact.name, "is also a kind of household")
        need(
            (fact.type is Kind.ENUM) is bool(fact.members),
            fact.name,
            "needs members exactly if it is an enum",
        )
        need(fact.type is not Kind.STRING, fact.name, "cannot be free text")
        need(not fact.latest or fact.latest in facts, fact.name, "names a latest day that is no fact")
        need(fact.listing == "exhaustive" or fact.absent is None, fact.name, "is open, so nobody is absent")
        need(
            fact.listing == "open" or fact.about == "person",
            fact.name,
            "is about a household, of which a list may leave out any",
        )
        for value in fact.ages:
            need(
                value in fact.members or value is True, fact.name, f"has ages for {value}, which it never is"
            )
        if fact.absent is not None:
            need(
                fact.read(fact.absent) == {fact.name: fact.absent},
                fact.name,
                "has an absent value of another type",
            )


_LOADED = load_catalogue(RULEBOOKS / "facts.yaml")
CATALOGUE: Mapping[str, FactKind] = _LOADED.facts
HOUSEHOLDS: Mapping[str, HouseholdKind] = _LOADED.households
REGISTERS: Mapping[str, RegisterKind] = _LOADED.registers


def settled_by_silence(names: Collection[str]) -> list[str]:
    """Of which of these facts and kinds of household a complete list says something by leaving somebody out."""
    facts = [
        name
        for name, kind in CATALOGUE.items()
        if name in names and kind.absent is not None and not kind.always_known
    ]
    return facts + [
        name for name, kind in HOUSEHOLDS.items() if name in names and kind.listing == "exhaustive"
    ]


def vocabulary(parameters: Mapping[str, Type]) -> Vocabulary:
    """What a rule may name: all facts and kinds of household, and the given parameters."""
    facts = {name: kind.speakable() for name, kind in CATALOGUE.items()}
    return Vocabulary(facts, parameters, frozenset(HOUSEHOLDS))


def department_to_ask(missing: str) -> str:
    """The register that can supply a missing fact, household or precise day."""
    name = missing.removesuffix(PRECISE)
    kind = CATALOGUE.get(name) or HOUSEHOLDS[name]
    return kind.suppliers[0]


def label_of(name: str, language: str, on: date | None = None) -> str:
    """How a fact, kind of household or register is called on that day."""
    plain = name.removesuffix(PRECISE)
    kind = CATALOGUE.get(plain) or HOUSEHOLDS.get(plain) or REGISTERS[plain]
    return kind.label(language, on)
