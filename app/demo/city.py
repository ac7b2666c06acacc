"""The demo city: made-up people in plausible households, and what each department would know of them.

Deterministic: the same seed and day give the same city. Everything in it is invented but the city's streets, the
programmes and the kinds of places.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from app.demo import names

PERSONS = 2000
SEED = 20260921

Value = bool | int | str

_PREFIX = {
    "melderegister": "MR",
    "jobcenter": "JC",
    "sozialamt": "SO",
    "wohngeldstelle": "WG",
    "familienkasse": "FK",
    "jugendamt": "JA",
    "bafoeg_amt": "BA",
    "versorgungsamt": "VA",
    "school": "SC",
    "schulverwaltungsamt": "SV",
}
REGISTERS = tuple(_PREFIX)
"""Every department of the city, the one that says who people are first."""


class Period(NamedTuple):
    """The first day and the last; None is open."""

    since: date
    until: date | None = None


class Stated(NamedTuple):
    """What one department says of one person."""

    register: str
    fact: str
    value: Value
    period: Period


class Known(StrEnum):
    """How much of a birth date the register knows."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"


@dataclass(slots=True)
class Resident:
    """One made-up person, and what is true of them."""

    number: int
    given: str
    family: str
    born: date
    known: Known = Known.DAY
    facts: list[Stated] = field(default_factory=list)

    def age(self, on: date) -> int:
        return on.year - self.born.year - ((on.month, on.day) < (self.born.month, self.born.day))

    @property
    def birth_date(self) -> str:
        """As the register writes it: `1990-05-00` where the day is not known."""
        match self.known:
            case Known.DAY:
                return self.born.isoformat()
            case Known.MONTH:
                return f"{self.born:%Y-%m}-00"
            case Known.YEAR:
                return f"{self.born:%Y}-00-00"

    def number_at(self, register: str) -> str:
        """The number under which a register knows this person; no two registers share numbers."""
        return f"{_PREFIX[register]}-{self.number * 7919 % 999983:06d}"


@dataclass(slots=True)
class Grouping:
    """Persons whom a department counts as one household."""

    register: str
    kind: str
    number: str
    members: list[Resident]
    period: Period


@dataclass(slots=True)
class Home:
    """People who live together."""

    number: int
    kind: str
    street: str
    postcode: str
    members: list[Resident]
    groupings: list[Grouping] = field(default_factory=list)

    def children(self, on: date) -> list[Resident]:
        return [member for member in self.members if member.age(on) < 18]


class City:
    """Everybody."""

    def __init__(self, today: date, *, persons: int = PERSONS, seed: int = SEED) -> None:
        self.today = today
        self.homes: list[Home] = []
        self._random = random.Random(seed)  # noqa: S311  (a made-up city, the same each time)
        self._count = self._last_number = 0
        # Three homes of which the demo's accounts speak; they stand in every city, however small.
        self.family = self._home("lone_parent", ages=(34, 12, 8), benefit="sgb2")
        self.pensioner = self._home("old_single", ages=(74,), benefit="sgb12_gsi")
        self.couple = self._home("couple_children", ages=(39, 37, 10, 4), benefit="kiz")
        while self._count < persons:
            self._home(self._random.choices(*_KINDS)[0], room=persons - self._count)

    @property
    def residents(self) -> Iterator[Resident]:
        for home in self.homes:
            yield from home.members

    def known_to(self, register: str) -> Iterator[Resident]:
        """The people whom a register has on file, in the order of the city."""
        for home in self.homes:
            grouped = [
                id(member)
                for group in home.groupings
                if group.register == register
                for member in group.members
            ]
            for member in home.members:
                if id(member) in grouped or any(fact.register == register for fact in member.facts):
                    yield member

    # ---- who lives together ----

    def _home(
        self, kind: str, *, ages: Sequence[int] = (), benefit: str | None = None, room: int = 10
    ) -> Home:
        years = list(ages or self._ages(kind))[:room]
        other = self._random.random() < 0.07 and not ages
        shared = self._random.choice(names.OTHER_SCRIPTS) if other else None
        family = self._random.choice(names.FAMILIES)
        members: list[Resident] = []
        for place, age in enumerate(years):
            # Flatmates have names of their own, and some couples too.
            own = kind == "students" or (place == 1 and age > 20 and self._random.random() < 0.25)
            called = self._random.choice(names.FAMILIES) if own else family
            members.append(self._resident(age, shared, called, {member.given for member in members}))
        self._count += len(members)
        street, postcode = self._random.choice(names.STREETS)
        home = Home(len(self.homes) + 1, kind, f"{street} {self._random.randint(1, 180)}", postcode, members)
        self.homes.append(home)
        self._residence(home)
        self._benefits(home, benefit)
        for member in members:
            self._education(member, home)
        return home

    def _ages(self, kind: str) -> list[int]:
        draw = self._random.randint
        match kind:
            case "single":
                return [draw(19, 64)]
            case "couple":
                first = draw(22, 64)
                return [first, min(64, max(20, first + draw(-6, 6)))]
            case "lone_parent" | "couple_children":
                youngest = draw(0, 15)
                children = [youngest]
                for _ in range(self._random.choices((0, 1, 2, 3, 4), (42, 36, 14, 6, 2))[0]):
                    children.append(min(20, children[-1] + draw(1, 4)))
                parent = draw(max(19, children[-1] + 18), children[-1] + 38)
                parents = [parent] if kind == "lone_parent" else [parent, max(19, parent + draw(-5, 5))]
                return [*parents, *reversed(children)]
            case "old_single":
                return [draw(66, 94)]
            case "old_couple":
                first = draw(65, 88)
                return [first, max(63, first + draw(-6, 4))]
            case _:
                return [draw(18, 29) for _ in range(draw(2, 4))]

    def _resident(self, years: int, shared: names.Family | None, family: str, taken: set[str]) -> Resident:
        born = _years_before(self.today, years) - timedelta(days=self._random.randint(0, 364))
        female = self._random.random() < 0.51
        women, men = (names.FEMALE, names.MALE) if shared is None else (shared.female, shared.male)
        if shared is not None:
            family = shared.name
        # In a large family one list may be used up; the other has names left.
        first, second = (women, men) if female else (men, women)
        names_left = ([name for name in some if name not in taken] for some in (first, second, names.FEMALE))
        free = next(some for some in names_left if some)
        given = self._random.choice(free)
        known = Known.DAY
        if shared is not None and self._random.random() < 0.08:
            known = self._random.choice((Known.MONTH, Known.YEAR))
        self._last_number += 1
        return Resident(self._last_number, given, family, born, known)

    # ---- what departments know ----

    def _residence(self, home: Home) -> None:
        moved_in = self.today - timedelta(days=self._random.randint(60, 9000))
        register = "melderegister"
        home.groupings.append(
            Grouping(
                register,
                "registered_household",
                f"HH-{home.number:06d}",
                home.members,
                Period(max(moved_in, *(member.born for member in home.members))),
            )
        )
        for member in home.members:
            here = Period(max(moved_in, member.born))
            main = home.number <= 3 or self._random.random() > 0.02
            member.facts.append(Stated(register, "main_residence", main, here))
            if main:
                member.facts.append(Stated(register, "district", names.DISTRICTS[home.postcode], here))
            if home.number > 3 and self._random.random() < 0.004:
                member.facts.append(Stated(register, "address_blocked", True, here))

    def _approval(self) -> Period:
        """An approval of half a year or a year, begun on the first of a month, that still runs for a while."""
        start = _months_after(self.today.replace(day=1), -self._random.randint(0, 5))
        months = self._random.choice((9, 12, 12, 12))
        return Period(start, _months_after(start, months) - timedelta(days=1))

    def _benefits(self, home: Home, benefit: str | None) -> None:
        children = home.children(self.today)
        for child in children:
            since = child.born.replace(day=1)
            child.facts.append(Stated("familienkasse", "kindergeld", True, Period(since)))
        if children:
            since = min(child.born for child in children).replace(day=1)
            home.members[0].facts.append(Stated("familienkasse", "kindergeld_recipient", True, Period(since)))
        period = self._approval()
        for register, fact, kind, members in self._claims(home, benefit or self._benefit(home)):
            if kind is not None:
                number = f"{_PREFIX[register]}H-{home.number * 6131 % 99991:05d}"
                since = max(period.since, *(member.born for member in members))
                group = Grouping(register, kind, number, members, Period(since, period.until))
                home.groupings.append(group)
            for member in members:
                since = max(period.since, member.born)
                member.facts.append(Stated(register, fact, True, Period(since, period.until)))

    def _benefit(self, home: Home) -> str:
        """Which benefit this home lives on, if any: as often as in a city of the Ruhr, roughly."""
        match home.kind:
            case "students":
                chances = {"bafoeg": 35}
            case "old_single" | "old_couple":
                chances = {"sgb12_gsi": 11, "wog": 11}
            case "lone_parent":
                chances = {"sgb2": 34, "kiz": 5, "wog": 5, "asylblg_3": 2, "sgb12_hlu": 1, "elternbeitrag": 4}
            case "couple_children":
                chances = {"sgb2": 13, "kiz": 9, "wog": 9, "asylblg_3": 2, "elternbeitrag": 5}
            case _:
                chances = {"sgb2": 12, "wog": 3, "asylblg_2": 1, "asylblg_3": 1, "sgb12_hlu": 2, "sgb14": 1}
        nothing = 100 - sum(chances.values())
        return self._random.choices([*chances, ""], [*chances.values(), nothing])[0]

    def _claims(self, home: Home, benefit: str) -> Iterator[tuple[str, str, str | None, list[Resident]]]:
        """Department, fact, kind of household (None: it keeps none) and persons of a benefit."""
        everybody, children = home.members, home.children(self.today)
        match benefit:
            case "sgb2":
                yield "jobcenter", "sgb2", "bedarfsgemeinschaft", everybody
            case "wog":
                yield "wohngeldstelle", "wog", "wohngeld_household", everybody
            case "kiz":
                yield "wohngeldstelle", "wog", "wohngeld_household", everybody
                yield "familienkasse", "kiz", None, children
            case "sgb12_gsi" | "sgb12_hlu" | "asylblg_2" | "asylblg_3":
                yield "sozialamt", benefit, None, everybody
            case "bafoeg":
                yield "bafoeg_amt", "bafoeg", None, everybody[:1]
            case "sgb14":
                yield "versorgungsamt", "sgb14", None, everybody[:1]
            case "elternbeitrag":
                small = [child for child in children if child.age(self.today) < 6]
                if small:
                    yield "jugendamt", "elternbeitrag_befreit", None, small

    def _education(self, member: Resident, home: Home) -> None:
        age, facts = member.age(self.today), member.facts
        year = self.today.year if self.today.month >= 8 else self.today.year - 1
        period = Period(date(year, 8, 1), date(year + 1, 7, 31))
        if 1 <= age <= 5 and self._random.random() < 0.8:
            since = Period(max(period.since, member.born), period.until)
            facts.append(Stated("jugendamt", "childcare_enrolment", True, since))
            facts.append(Stated("jugendamt", "takes_communal_lunch", self._random.random() < 0.85, since))
        elif 6 <= age <= 18:
            self._school(member, age, period, home)
            self._learning(member, period, home)

    def _school(self, member: Resident, age: int, period: Period, home: Home) -> None:
        if age <= 9:
            stage = "primary"
        elif age <= 15:
            stage = "sek1"
        else:
            stage = self._random.choice(("sek2", "sek2", "bk_full", "bk_part"))
        route = self._random.choice((700, 1400, 2001, 2600, 3500, 3501, 4200, 5600))
        for register, fact, value in (
            ("school", "school_stage", stage),
            ("school", "school_full_time", stage != "bk_part"),
            ("school", "training_pay", stage == "bk_part"),
            ("school", "takes_communal_lunch", self._random.random() < 0.6),
            ("schulverwaltungsamt", "school_route_m", route),
            ("schulverwaltungsamt", "dangerous_route", self._random.random() < 0.03),
            ("schulverwaltungsamt", "nearest_school", self._random.random() < 0.85),
            (
                "schulverwaltungsamt",
                "school_authority_participates",
                home.number <= 3 or self._random.random() > 0.04,
            ),
            ("schulverwaltungsamt", "transport_paid_by_others", self._random.random() < 0.02),
        ):
            member.facts.append(Stated(register, fact, value, period))

    def _learning(self, member: Resident, period: Period, home: Home) -> None:
        """What the school and the office in charge say of learning support, of which most need none."""
        if home.number == 1:
            # In the family of the demo's account one child has it, and of the other a person has to decide.
            approved, offered = member is home.members[-1], False
        elif self._random.random() < 0.08:
            approved, offered = self._random.random() < 0.6, self._random.random() < 0.2
        else:
            return
        member.facts.append(Stated("school", "learning_need_confirmed", True, period))
        member.facts.append(Stated("school", "comparable_learning_offer", offered, period))
        known = {said.fact for said in member.facts}
        if approved and not offered and known & {"sgb2", "wog", "kiz", "sgb12_hlu", "asylblg_3"}:
            office = "jobcenter" if "sgb2" in known else "sozialamt"
            half = Period(self.today.replace(day=1), _months_after(self.today.replace(day=1), 5))
            member.facts.append(Stated(office, "learning_support_decision", "approved", half))
            member.facts.append(Stated(office, "learning_support_amount", 24_000, half))


_KINDS = (
    ("single", "couple", "couple_children", "lone_parent", "old_single", "old_couple", "students"),
    (26, 14, 24, 12, 12, 7, 5),
)
"""Kinds of homes, and how many of a hundred there are of each."""


def _years_before(day: date, years: int) -> date:
    return day.replace(year=day.year - years, day=min(day.day, 28))


def _months_after(first: date, months: int) -> date:
    year, month = divmod(first.month - 1 + months, 12)
    return date(first.year + year, month + 1, 1)
