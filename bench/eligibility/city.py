"""A whole city out of one seed: persons in households, 28 facts each, with the edges that rules trip over."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random

TODAY = date(2026, 9, 16)

GIVEN = ("Ada", "Ali", "Anna", "Bilal", "Clara", "Deniz", "Emil", "Fatma", "Jan", "Karla", "Luka", "Mila")
FAMILY = ("Arslan", "Becker", "Demir", "Fischer", "Jansen", "Kaya", "Koch", "Nowak", "Schulz", "Sommer")

PERSONAL = (
    "main_residence",
    "deceased",
    "address_blocked",
    "sgb2",
    "sgb12_hlu",
    "sgb12_gsi",
    "asylblg_2",
    "asylblg_3",
    "sgb8_wjh",
    "kiz",
    "wog",
    "bafoeg",
    "sgb14",
    "elternbeitrag_befreit",
    "kindergeld",
    "kindergeld_recipient",
    "school_stage",
    "school_full_time",
    "training_pay",
    "childcare_enrolment",
    "takes_communal_lunch",
    "learning_need_confirmed",
    "school_route_m",
    "dangerous_route",
    "nearest_school",
    "school_authority_participates",
)
"""What is stated of each person beside the two days of birth: 28 facts together."""
SHARED = ("household_net_income", "household_need")
FACTS = ("birth_date", "birth_date_latest", *PERSONAL, *SHARED)
HOUSEHOLDS = ("registered_household", "bedarfsgemeinschaft", "wohngeld_household")

BENEFITS = ("sgb2", "sgb12_hlu", "sgb12_gsi", "asylblg_2", "asylblg_3", "kiz", "wog")
AGES = (3, 6, 15, 18, 25, 65)
"""Birthdays on which something begins or ends; each is hit on the day, one before and one after."""
ROUTES = (1_999, 2_000, 2_001, 3_499, 3_500, 3_501, 4_999, 5_000, 5_001)
"""Metres to school around the distances that the law names (§ 5 SchfkVO NRW)."""

Value = bool | int | str


@dataclass(frozen=True, slots=True)
class Stated:
    """A value and its days; `last` None is open."""

    value: Value
    first: date
    last: date | None = None


@dataclass(frozen=True, slots=True)
class Citizen:
    number: str
    given_name: str
    family_name: str
    born: date
    facts: dict[str, Stated]


@dataclass(frozen=True, slots=True)
class Home:
    """Who lives together, and what benefit they live on together, if any."""

    number: str
    kinds: tuple[str, ...]
    citizens: tuple[Citizen, ...]
    facts: dict[str, Stated] = field(default_factory=dict)

    def rows(self) -> Iterator[dict[str, object]]:
        """The home as a register delivers it."""
        for one in self.citizens:
            yield {
                "row": "person",
                "number": one.number,
                "given_name": one.given_name,
                "family_name": one.family_name,
                "birth_date": one.born.isoformat(),
            }
        for kind in self.kinds:
            numbers = [one.number for one in self.citizens]
            yield {"row": "household", "household": self.number, "kind": kind, "members": numbers}
        for one in self.citizens:
            for name, stated in one.facts.items():
                yield {"row": "fact", "number": one.number, "fact": name, **_days(stated)}
        for name, stated in self.facts.items():
            yield {
                "row": "fact",
                "household": self.number,
                "kind": self.kinds[0],
                "fact": name,
                **_days(stated),
            }


def _days(stated: Stated) -> dict[str, object]:
    row: dict[str, object] = {"value": stated.value, "from": stated.first.isoformat()}
    return row if stated.last is None else row | {"until": stated.last.isoformat()}


def homes(persons: int, seed: int = 1, on: date = TODAY) -> Iterator[Home]:
    """So many persons in households of one to six, on average 2.7, the same for the same seed."""
    random, made = Random(seed), 0
    while made < persons:
        size = min(random.choice((1, 1, 2, 2, 3, 4, 6)), persons - made)
        yield _home(random, made, size, on)
        made += size


def _home(random: Random, first: int, size: int, on: date) -> Home:
    poor = random.random() < 0.2
    benefit = random.choice(BENEFITS) if poor else None
    family = random.choice(FAMILY)
    since = on - timedelta(random.choice((0, 1, 30, 200, 700)))
    last = random.choice((None, None, None, on - timedelta(1), on, on + timedelta(1), on + timedelta(90)))
    citizens = tuple(
        _citizen(random, first + place, family, place, benefit, since, last, on) for place in range(size)
    )
    kinds = ["registered_household"]
    if benefit == "sgb2":
        kinds.append("bedarfsgemeinschaft")
    if benefit == "wog":
        kinds.append("wohngeld_household")
    need = 56_300 + 40_000 * (size - 1)
    income = need + random.choice((-1, 0, 1, 1_000, 60_000, 150_000))
    facts = {"household_net_income": Stated(income, since), "household_need": Stated(need, since)}
    return Home(f"H{first:07}", tuple(kinds), citizens, facts)


def _citizen(random, number, family, place, benefit, since, last, on) -> Citizen:  # noqa: PLR0917
    born = _born(random, child=place >= 2 or (place == 1 and random.random() < 0.3), on=on)
    age = (on - born).days // 365
    pupil = 6 <= age < 18
    whole = timedelta(0) + on - timedelta(365 * 3)
    facts: dict[str, Stated] = {}
    for name in PERSONAL:
        if name in BENEFITS:
            if name == benefit:
                facts[name] = Stated(True, since, None if last is not None and last < since else last)
            else:
                facts[name] = Stated(False, whole)
        elif name == "school_stage":
            stage = "none" if not pupil else "primary" if age < 10 else "sek1" if age < 16 else "sek2"
            facts[name] = Stated(stage, whole)
        elif name == "school_route_m":
            metres = random.choice(ROUTES) if random.random() < 0.2 else 50 * random.randrange(200)
            facts[name] = Stated(metres, whole)
        elif name == "main_residence":
            facts[name] = Stated(random.random() < 0.97, whole)
        elif name in {"deceased", "address_blocked"}:
            facts[name] = Stated(random.random() < 0.002, whole)
        else:
            often = 0.7 if (pupil or age < 6) else 0.05
            facts[name] = Stated(random.random() < often, whole)
    return Citizen(f"P{number:07}", random.choice(GIVEN), family, born, facts)


def _born(random: Random, *, child: bool, on: date) -> date:
    if random.random() < 0.05:
        age = random.choice([years for years in AGES if (years < 18) is child] or AGES)
        return _years_before(on, age) + timedelta(random.choice((-1, 0, 1)))
    days = random.randrange(18 * 365) if child else random.randrange(18 * 366, 90 * 365)
    return on - timedelta(days)


def _years_before(on: date, years: int) -> date:
    try:
        return on.replace(year=on.year - years)
    except ValueError:
        return date(on.year - years, 2, 28)


def count_rows(persons: int, seed: int = 1) -> tuple[int, int]:
    """How many rows a delivery of this city has, and how many facts are stated in them."""
    rows = facts = 0
    for home in homes(persons, seed):
        size = len(home.citizens)
        stated = sum(len(one.facts) for one in home.citizens) + len(home.facts)
        rows += size + len(home.kinds) + stated
        facts += 2 * size + stated
    return rows, facts


def write(file: Path, persons: int, seed: int = 1) -> tuple[int, int]:
    """Writes the delivery as it comes over the wire; gives its rows and the facts in them."""
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    with file.open("w", encoding="utf-8") as out:
        for home in homes(persons, seed):
            out.writelines(encode(row) + "\n" for row in home.rows())
    return count_rows(persons, seed)


async def body(file: Path, piece: int = 1 << 18) -> AsyncIterator[bytes]:
    """The delivery in pieces, as a connection hands it over."""
    with file.open("rb") as source:
        while some := source.read(piece):
            yield some
