"""How the demo city's departments tell what they know: the rows of the deliveries that real registers send."""

import json
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from app.demo.city import City, Period
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS, REGISTERS
from entitlements.registers.rules import Remit

Row = dict[str, Any]

NAMES = {
    "melderegister": "Melderegister",
    "jobcenter": "Jobcenter",
    "sozialamt": "Sozialamt",
    "wohngeldstelle": "Wohngeldstelle",
    "familienkasse": "Familienkasse",
    "jugendamt": "Jugendamt",
    "bafoeg_amt": "Amt für Ausbildungsförderung",
    "versorgungsamt": "Soziale Entschädigung",
    "school": "Schulen",
    "schulverwaltungsamt": "Schulverwaltungsamt",
}
"""What the departments' systems are called."""


def remit_of(register: str) -> Remit:
    """What a department may state: all that the catalogue names it for, and who people are only the one that keeps it."""
    assert register in REGISTERS
    residents = register == "melderegister"
    return Remit(
        facts=frozenset(name for name, kind in CATALOGUE.items() if register in kind.suppliers),
        households=frozenset(name for name, kind in HOUSEHOLDS.items() if register in kind.suppliers),
        identities=residents,
        identification_numbers=residents,
    )


def rows(city: City, register: str) -> Iterator[Row]:
    """Everything that a department states, home by home."""
    for home in city.homes:
        for member in home.members:
            number = member.number_at(register)
            if register == "melderegister":
                yield {
                    "row": "person",
                    "number": number,
                    "given_name": member.given,
                    "family_name": member.family,
                    "birth_date": member.birth_date,
                    "street": home.street,
                    "postcode": home.postcode,
                    "town": "Dortmund",
                }
            for said in member.facts:
                if said.register == register:
                    yield fact(number, said.fact, said.value, said.period)
        for group in home.groupings:
            if group.register == register:
                yield household(
                    group.number,
                    group.kind,
                    [member.number_at(register) for member in group.members],
                    group.period,
                )


def fact(number: str, name: str, value: object, period: Period) -> Row:
    """A row that states a fact about a person."""
    return {"row": "fact", "number": number, "fact": name, "value": value, **_days(period)}


def household(number: str, kind: str, members: list[str], period: Period) -> Row:
    """A row that states who belongs to a household."""
    return {"row": "household", "household": number, "kind": kind, "members": members, **_days(period)}


def _days(period: Period) -> Row:
    said: dict[str, date] = {"from": period.since}
    if period.until is not None:
        said["until"] = period.until
    return {name: day.isoformat() for name, day in said.items()}


def ndjson(told: Iterable[Row]) -> bytes:
    """The rows as they are posted."""
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in told)
