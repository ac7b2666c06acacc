"""What is said of a pre-filled request, and of an answer to it."""

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import Field

from core.schema import Schema
from entitlements.allowances.rules import name_of
from entitlements.facts.catalogue import CATALOGUE, label_of
from entitlements.notices.rules import cents_in_words, language_of
from entitlements.notices.values import value_from_json, value_in_words
from entitlements.requests.models import BenefitRequest, RequestState
from entitlements.rulebook.rules import Reason
from entitlements.rulebook.texts import render


class Shown(StrEnum):
    """How a request stands for whoever reads it."""

    OPEN = RequestState.OPEN.value
    ACCEPTED = RequestState.ACCEPTED.value


class FilledIn(Schema):
    """A fact as the request has it."""

    fact: str = Field(description="Stable name of the fact", examples=["kindergeld"])
    label: str = Field(examples=["Kindergeld"])
    value: str = Field(description="In words", examples=["ja"])
    register_label: str = Field(description="Who stated it", examples=["die Familienkasse"])
    since: date


class RequestView(Schema):
    """A request that the city has filled in, to be accepted with one tap."""

    id: UUID
    programme: str = Field(examples=["bildungskarte"])
    name: str = Field(description="What the programme is called", examples=["Bildungskarte"])
    state: Shown = Field(description="`open`: waits for an answer", examples=["open"])
    expires_on: date = Field(description="The last day on which it can be accepted")
    received_on: date | None = Field(description="Since which day it counts, once accepted")
    accepted_at: datetime | None
    why: list[str] = Field(
        description="Why it would be granted, with the law",
        examples=[["Für Sie wird Kindergeld gezahlt, und Ihr Haushalt erhält Wohngeld. (§ 6b Abs. 1 BKGG)"]],
    )
    brings: list[str] = Field(
        description="What it would bring", examples=[["Soziale und kulturelle Teilhabe: 15 Euro im Monat"]]
    )
    filled_in: list[FilledIn] = Field(description="The person's own facts that it rests on")

    @classmethod
    def of(cls, row: BenefitRequest, names: Mapping[str, str], language: str) -> "RequestView":
        return cls(
            id=row.id,
            programme=row.programme,
            name=names[row.programme],
            state=Shown(row.state.value),
            expires_on=row.expires_on,
            received_on=row.received_on,
            accepted_at=row.accepted_at,
            why=[render(Reason(r["code"], r["params"]), language) for r in row.content["reasons"]],
            brings=brought(row.content["brings"], language),
            filled_in=[
                filled_in(one, language, row) for one in row.content["facts"] if one["fact"] not in LATEST
            ],
        )


class NewAcceptance(Schema):
    """That a person asks for it."""

    received_on: date | None = Field(
        default=None,
        description="The day on which a letter arrived, recorded by a case worker; by default today",
        examples=["2026-09-14"],
    )


LATEST = frozenset(kind.latest for kind in CATALOGUE.values() if kind.latest)
"""Facts that only say how late another may lie; people see that one alone."""

_A_MONTH = {"de": "im Monat", "de-simple": "jeden Monat", "en": "a month"}
_ACTUAL = {
    "de": "die tatsächlichen Kosten",
    "de-simple": "so viel, wie es kostet",
    "en": "the actual cost",
}


def brought(brings: Mapping[str, Any], language: str) -> list[str]:
    """The money that a request is for, in words."""
    language = language_of(language)
    found = []
    for allowance in brings.get("allowances", ()):
        monthly = allowance["monthly_cents"]
        how_much = (
            f"{cents_in_words(monthly, language)} {_A_MONTH[language]}" if monthly else _ACTUAL[language]
        )
        found.append(f"{name_of(allowance['kind'], language)}: {how_much}")
    return found


def filled_in(stored: Mapping[str, Any], language: str, row: BenefitRequest) -> FilledIn:
    """One fact of the form."""
    language, on = language_of(language), row.prepared_at.date()
    return FilledIn(
        fact=stored["fact"],
        label=label_of(stored["fact"], language, on),
        value=value_in_words(stored["fact"], value_from_json(stored["fact"], stored["value"]), language),
        register_label=label_of(stored["register"], language, on),
        since=date.fromisoformat(stored["since"]),
    )
