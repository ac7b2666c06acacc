"""What is said of programmes, their rules and tariffs: all of it public."""

from datetime import date
from enum import StrEnum
from typing import Any

from pydantic import Field

from core.schema import Schema
from entitlements.language import Tree, show

from .keeping import version_from_json
from .models import Programme, RuleVersionRow, TariffRow
from .programmes import RuleVersion


class Language(StrEnum):
    """The languages in which texts for people exist."""

    DE = "de"
    DE_SIMPLE = "de-simple"
    """Plain German (Leichte Sprache)."""
    EN = "en"


class TariffView(Schema):
    """A tariff that a card can carry."""

    name: str = Field(description="The tariff's stable name", examples=["reduced"])
    bit: int = Field(description="Its place among the bits of a card", examples=[0])
    label: str = Field(description="What it is called", examples=["ermäßigt"])

    @classmethod
    def of(cls, row: TariffRow, language: str) -> "TariffView":
        return cls(name=row.name, bit=row.bit, label=row.names.get(language, row.names["de"]))


class ProgrammeView(Schema):
    """A programme of the city."""

    slug: str = Field(description="The programme's stable name", examples=["dortmund-karte"])
    name: str = Field(description="What it is called in the language asked for", examples=["Dortmund-Karte"])
    names: dict[str, str] = Field(
        description="What it is called, by language",
        examples=[{"de": "Dortmund-Karte", "en": "Dortmund Card"}],
    )

    @classmethod
    def of(cls, row: Programme, language: str) -> "ProgrammeView":
        return cls(slug=row.slug, name=row.names.get(language, row.names["de"]), names=row.names)


class ProgrammesView(Schema):
    """Everything that the city grants under rules, and the tariffs that it brings."""

    programmes: list[ProgrammeView]
    tariffs: list[TariffView]


class ConditionView(Schema):
    """One condition of a rule, as text and with the law it rests on."""

    name: str = Field(description="The name of a ground, or the code of the reason given", examples=["sgb2"])
    rule: str = Field(description="The condition in the rule language", examples=["sgb2"])
    statute: str = Field(description="What it rests on", examples=["§§ 19 ff. SGB II"])
    assumption: bool = Field(description="Whether the city still has to confirm it", examples=[False])
    payer: str | None = Field(default=None, description="Who pays on this ground", examples=["jobcenter"])


class VersionView(Schema):
    """One version of a programme's rule."""

    since: date = Field(description="The first day on which it is in force", examples=["2024-01-01"])
    until: date | None = Field(description="The last one; null while it is open")
    statute: str = Field(description="What it rests on", examples=["§§ 28, 29 SGB II"])
    rule_hash: str = Field(description="SHA-256 over everything it says, as decisions name it")
    requirements: list[ConditionView] = Field(description="What must hold whatever the ground")
    grounds: list[ConditionView] = Field(description="Of these, one must hold")
    referrals: list[ConditionView] = Field(description="When a human has to decide")
    tariffs: list[str] = Field(description="The tariffs that it can bring", examples=[["reduced"]])
    content: dict[str, Any] = Field(description="The whole version as the typed trees by which it decides")

    @classmethod
    def of(cls, row: RuleVersionRow) -> "VersionView":
        # Printed from the trees: they decide, and the text that people once wrote does not.
        version = version_from_json(row.content)
        return cls(
            since=row.since,
            until=row.until,
            statute=row.statute,
            rule_hash=row.rule_hash,
            requirements=[_condition(r.reason.code, r.when, r.origin) for r in version.requirements],
            grounds=_grounds(version),
            referrals=[_condition(r.reason.code, r.when, r.origin) for r in version.referrals],
            tariffs=[rule.name for rule in version.tariffs],
            content=row.content,
        )


def _condition(name: str, when: Tree, origin: Any, payer: str | None = None) -> ConditionView:
    return ConditionView(
        name=name, rule=show(when.root), statute=origin.statute, assumption=origin.assumption, payer=payer
    )


def _grounds(version: RuleVersion) -> list[ConditionView]:
    return [_condition(g.name, g.when, g.origin, g.payer) for g in version.grounds]
