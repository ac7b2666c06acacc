"""Whose attestations state which facts: read from data, and told of one that a person has shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from entitlements.facts.catalogue import CATALOGUE, LANGUAGES, REGISTERS, RULEBOOKS
from entitlements.people.matching import Field, Level, compare, traits
from entitlements.people.rules import PersonIdentity
from verifiers.presentations.dcql import SD_JWT_VC as FORMAT
from verifiers.presentations.dcql import (
    ClaimPath,
    ClaimQuery,
    CredentialQuery,
    Query,
    Scalar,
    TrustedAuthorities,
    select,
)

QUERY_ID: Final = "attestation"
FOLDER: Final = RULEBOOKS / "attestations"


class AttestationsUnreadable(ValueError):
    """The file of a city's attestations says something that cannot be; the message says what."""


@dataclass(frozen=True, slots=True)
class States:
    """A fact, and what a claim must say for it."""

    fact: str
    claim: ClaimPath
    value: Scalar
    states: Scalar


@dataclass(frozen=True, slots=True)
class Attestation:
    """A kind of credential of somebody else's that states facts."""

    name: str
    labels: Mapping[str, str]
    vcts: tuple[str, ...]
    issuers: tuple[str, ...] | None
    authorities: tuple[str, ...]
    register: str
    given_name: ClaimPath
    family_name: ClaimPath
    birth_date: ClaimPath
    first: ClaimPath | None
    last: ClaimPath
    at_most: int
    """Months after which it has to be shown again, however long it holds."""
    facts: tuple[States, ...]

    def query(self) -> Query:
        """What a wallet is asked for; every claim of it is needed."""
        paths = [self.given_name, self.family_name, self.birth_date, *([self.first] if self.first else [])]
        wanted = {path: ClaimQuery(path) for path in [*paths, self.last]}
        wanted |= {one.claim: ClaimQuery(one.claim, values=self._values(one.claim)) for one in self.facts}
        authorities = (TrustedAuthorities("aki", self.authorities),) if self.authorities else None
        return Query(
            (
                CredentialQuery(
                    QUERY_ID,
                    FORMAT,
                    {"vct_values": list(self.vcts)},
                    claims=tuple(wanted.values()),
                    trusted_authorities=authorities,
                ),
            )
        )

    def _values(self, claim: ClaimPath) -> tuple[Scalar, ...]:
        return tuple(dict.fromkeys(one.value for one in self.facts if one.claim == claim))


@cache
def attestations(city: str, folder: Path = FOLDER) -> Mapping[str, Attestation]:
    """Every attestation that a city takes, by name; none where it has no file. AttestationsUnreadable."""
    path = folder / f"{city}.yaml"
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8") as file:
            source: Mapping[str, Any] = yaml.safe_load(file) or {}
        return {name: _read(name, entry) for name, entry in source.items()}
    except (KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise AttestationsUnreadable(f"{path.name}: an entry lacks {error}") from error


def _read(name: str, entry: Mapping[str, Any]) -> Attestation:
    person = entry["person"]
    read = Attestation(
        name=name,
        labels={language: str(entry["label"][language]) for language in LANGUAGES},
        vcts=tuple(map(str, entry["vct"])),
        issuers=tuple(map(str, entry["issuers"])) if "issuers" in entry else None,
        authorities=tuple(map(str, entry.get("authorities", ()))),
        register=entry["register"],
        given_name=tuple(person["given_name"]),
        family_name=tuple(person["family_name"]),
        birth_date=tuple(person["birth_date"]),
        first=tuple(entry["from"]) if "from" in entry else None,
        last=tuple(entry["until"]),
        at_most=int(entry["at_most"]),
        facts=tuple(
            States(one["fact"], tuple(one["claim"]), one["value"], one["states"]) for one in entry["facts"]
        ),
    )
    for holds, why in (
        (bool(read.vcts and read.facts), "names a type and a fact"),
        (read.register in REGISTERS, "comes in by a kind of register that facts.yaml has"),
        (read.at_most > 0, "holds for a month at least"),
        (all(one.fact in CATALOGUE for one in read.facts), "states facts that facts.yaml has"),
    ):
        if not holds:
            raise AttestationsUnreadable(f"{name}: an attestation {why}")
    for one in read.facts:
        if CATALOGUE[one.fact].about != "person":
            raise AttestationsUnreadable(
                f"{name}: {one.fact} is about a household; an attestation is a person's"
            )
        CATALOGUE[one.fact].read(one.states)
    return read


# ---- one that was shown ----

_SAME: Final = {Field.FAMILY_NAME: Level.EXACT, Field.GIVEN_NAME: Level.EXACT, Field.BIRTH_DATE: Level.EXACT}


def is_about(attestation: Attestation, claims: Mapping[str, object], person: PersonIdentity) -> bool:
    """Whether the attestation names this very person: both names, whatever the spelling, and the whole birth date."""
    said = PersonIdentity(
        given_name=_text(attestation.given_name, claims),
        family_name=_text(attestation.family_name, claims),
        birth_date=_text(attestation.birth_date, claims),
    )
    alike = compare(traits(said), traits(person))
    # A credential has a field for each name; names in each other's place are another person's.
    return not alike.swapped and all(alike.levels.get(field) is level for field, level in _SAME.items())


@dataclass(frozen=True, slots=True)
class Fact:
    """What is to be written down of a person."""

    fact: str
    value: Scalar
    first: date
    last: date

    def row(self, number: str) -> dict[str, object]:
        """A delivery's row about whoever has this number."""
        return {
            "row": "fact",
            "number": number,
            "fact": self.fact,
            "value": self.value,
            "from": self.first.isoformat(),
            "until": self.last.isoformat(),
        }


def facts_in(
    attestation: Attestation, claims: Mapping[str, object], *, today: date, ends: date | None
) -> Sequence[Fact]:
    """The facts that it states, with their days; nothing where its days cannot be read or are over.

    `ends`: the last day of the credential itself.
    """
    first, last = _day(attestation.first, claims, today), _day(attestation.last, claims, None)
    if first is None or last is None:
        return ()
    last = min(day for day in (last, ends, months_after(today, attestation.at_most)) if day is not None)
    if last < today or last < first:
        return ()
    stated = {
        one.fact: Fact(one.fact, one.states, first, last)
        for one in attestation.facts
        if any(type(said) is type(one.value) and said == one.value for said in select(one.claim, claims))
    }
    return tuple(stated.values())


def months_after(day: date, months: int) -> date:
    """So many months later; the last day of the month where that one is shorter."""
    years, month = divmod(day.month - 1 + months, 12)
    for last in range(day.day, 27, -1):
        try:
            return date(day.year + years, month + 1, last)
        except ValueError:
            continue
    return date(day.year + years, month + 1, day.day)


def _text(path: ClaimPath, claims: Mapping[str, object]) -> str:
    match select(path, claims):
        case [str(text)] if len(text) <= 200:
            return text
        case _:
            return ""


def _day(path: ClaimPath | None, claims: Mapping[str, object], otherwise: date | None) -> date | None:
    if path is None:
        return otherwise
    text = _text(path, claims)
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None
