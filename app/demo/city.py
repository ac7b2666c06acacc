"""The demo city: made-up people in plausible households, and what each department would know of them.

Deterministic: the same seed and day give the same city. Everything in it is invented but the city's streets, the
programmes and the kinds of places; what departments know is told in the very deliveries that real registers send.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from app.demo import names

PERSONS = 2000
SEED = 20260921

Row = dict[str, Any]


@dataclass(slots=True)
class Resident:
    """One made-up person, and what is true of them."""

    number: int
    given: str
    family: str
    born: date
    born_known: str = "day"
    """How much of the birth date the register knows: day, month or year."""
    facts: list[tuple[str, str, Any, date, date | None]] = field(default_factory=list)
    """(register, fact, value, from, until)"""

    def age(self, on: date) -> int:
        return on.year - self.born.year - ((on.month, on.day) < (self.born.month, self.born.day))

    def number_at(self, register: str) -> str:
        """The number under which a register knows this person; no two registers share numbers."""
        return f"{_PREFIX[register]}-{self.number * 7919 % 999983:06d}"


_PREFIX = {
    "melderegister": "MR",
    "jobcenter": "BG",
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


@dataclass(slots=True)
class Home:
    """People who live together, and the benefit groupings among them."""

    number: int
    street: str
    postcode: str
    members: list[Resident]
    groups: list[tuple[str, str, list[Resident], date, date | None]] = field(default_factory=list)
    """(register, kind of household, members, from, until)"""


class City:
    """Everybody, and the deliveries that tell of them."""

    def __init__(self, today: date, *, persons: int = PERSONS, seed: int = SEED) -> None:
        self.today = today
        self._random = random.Random(seed)  # noqa: S311  (a made-up city, the same each time)
        self._count = 0
        self.homes: list[Home] = []
        while self._count < persons:
            self.homes.append(self._home(persons - self._count))

    @property
    def residents(self) -> Iterator[Resident]:
        for home in self.homes:
            yield from home.members

    # ---- who lives together ----

    def _home(self, room: int) -> Home:
        kind = self._random.choices(
            ("single", "couple", "couple_children", "lone_parent", "old_single", "old_couple", "students"),
            (26, 14, 24, 12, 12, 7, 5),
        )[0]
        whole = self._random.random() < 0.09
        family = self._random.choice(names.FAMILY)
        alien = self._random.choice(names.WHOLE)

        def one(low: int, high: int, *, own_family: bool = False) -> Resident:
            return self._resident(low, high, self._random.choice(names.FAMILY) if own_family else family)

        def some_children() -> list[Resident]:
            return [one(0, 19) for _ in range(self._random.choices((1, 2, 3, 4, 5), (42, 36, 14, 6, 2))[0])]

        match kind:
            case "single":
                members = [one(19, 64)]
            case "couple":
                members = [one(22, 64), one(22, 64, own_family=self._random.random() < 0.3)]
            case "couple_children":
                members = [one(24, 52), one(24, 54, own_family=self._random.random() < 0.2), *some_children()]
            case "lone_parent":
                members = [one(21, 50), *some_children()]
            case "old_single":
                members = [one(66, 94)]
            case "old_couple":
                members = [one(65, 90), one(65, 92)]
            case _:
                members = [one(18, 29, own_family=True) for _ in range(self._random.randint(2, 4))]
        members = members[:room]
        self._count += len(members)
        if whole:
            members[0].given, members[0].family = alien
        number = len(self.homes) + 1
        street, postcode = self._random.choice(names.STREETS)
        home = Home(number, f"{street} {self._random.randint(1, 180)}", postcode, members)
        self._residence(home)
        self._benefits(home, kind)
        for member in members:
            self._school(member)
        return home

    def _resident(self, low: int, high: int, family: str) -> Resident:
        years = self._random.randint(low, high)
        born = self.today - timedelta(days=years * 365 + years // 4 + self._random.randint(0, 364))
        given = self._random.choice(names.GIVEN_FEMALE if self._random.random() < 0.51 else names.GIVEN_MALE)
        self._next = getattr(self, "_next", 0) + 1
        known = "day" if self._random.random() > 0.004 else self._random.choice(("month", "year"))
        return Resident(self._next, given, family, born, known)

    # ---- what departments know ----

    def _residence(self, home: Home) -> None:
        since = self.today - timedelta(days=self._random.randint(60, 9000))
        home.groups.append(("melderegister", "registered_household", home.members, since, None))
        for member in home.members:
            main = self._random.random() > 0.02
            member.facts.append(("melderegister", "main_residence", main, max(since, member.born), None))

    def _period(self) -> tuple[date, date]:
        """An approval of a year or half a year, begun on a first of the month, that runs today."""
        start = (self.today.replace(day=1) - timedelta(days=31 * self._random.randint(0, 5))).replace(day=1)
        months = self._random.choice((6, 12, 12))
        months = max(months, 7)
        year, month = divmod(start.month - 1 + months, 12)
        return start, date(start.year + year, month + 1, 1) - timedelta(days=1)

    def _benefits(self, home: Home, kind: str) -> None:
        children = [member for member in home.members if member.age(self.today) < 18]
        for child in children:
            child.facts.append(("familienkasse", "kindergeld", True, child.born.replace(day=1), None))
        start, end = self._period()
        chance = self._random.random()
        if kind == "students":
            for member in home.members:
                if self._random.random() < 0.35:
                    member.facts.append(("bafoeg_amt", "bafoeg", True, start, end))
        elif kind.startswith("old"):
            if chance < 0.11:
                for member in home.members:
                    member.facts.append(("sozialamt", "sgb12_gsi", True, start, end))
            elif chance < 0.22:
                home.groups.append(("wohngeldstelle", "wohngeld_household", home.members, start, end))
                for member in home.members:
                    member.facts.append(("wohngeldstelle", "wog", True, start, end))
        elif chance < (0.34 if kind == "lone_parent" else 0.14):
            home.groups.append(("jobcenter", "bedarfsgemeinschaft", home.members, start, end))
            for member in home.members:
                member.facts.append(("jobcenter", "sgb2", True, start, end))
        elif chance < 0.40 and children:
            home.groups.append(("wohngeldstelle", "wohngeld_household", home.members, start, end))
            for member in home.members:
                member.facts.append(("wohngeldstelle", "wog", True, start, end))
            if self._random.random() < 0.5:
                for child in children:
                    child.facts.append(("familienkasse", "kiz", True, start, end))
        elif chance < 0.42:
            for member in home.members:
                member.facts.append(("sozialamt", "asylblg_3", True, start, end))
        elif chance < 0.43:
            home.members[0].facts.append(("sozialamt", "sgb12_hlu", True, start, end))

    def _school(self, member: Resident) -> None:
        age = member.age(self.today)
        year = self.today.year if self.today.month >= 8 else self.today.year - 1
        start, end = date(year, 8, 1), date(year + 1, 7, 31)
        facts = member.facts
        if 1 <= age <= 5 and self._random.random() < 0.8:
            facts.append(("jugendamt", "childcare_enrolment", True, start, end))
            facts.append(("jugendamt", "takes_communal_lunch", self._random.random() < 0.85, start, end))
        elif 6 <= age <= 18:
            if age <= 9:
                stage = "primary"
            elif age <= 15:
                stage = "sek1"
            else:
                stage = self._random.choice(("sek2", "sek2", "bk_full", "bk_part"))
            facts.append(("school", "school_stage", stage, start, end))
            facts.append(("school", "school_full_time", stage != "bk_part", start, end))
            facts.append(("school", "training_pay", stage == "bk_part", start, end))
            facts.append(("school", "takes_communal_lunch", self._random.random() < 0.6, start, end))
            facts.append(
                ("schulverwaltungsamt", "school_route_m", self._random.choice((700, 1400, 2001, 2600, 3500, 3501, 4200, 5600)), start, end)
            )  # fmt: skip
            facts.append(("schulverwaltungsamt", "dangerous_route", self._random.random() < 0.03, start, end))
            facts.append(("schulverwaltungsamt", "nearest_school", self._random.random() < 0.85, start, end))
            facts.append(("schulverwaltungsamt", "school_authority_participates", True, start, end))

    # ---- how registers tell it ----

    def knows(self, register: str) -> list[Resident]:
        """The people whom a register has on file."""
        if register == "melderegister":
            return list(self.residents)
        grouped = {
            member.number
            for home in self.homes
            for supplier, _, members, _, _ in home.groups
            if supplier == register
            for member in members
        }
        return [
            resident
            for resident in self.residents
            if resident.number in grouped or any(fact[0] == register for fact in resident.facts)
        ]
