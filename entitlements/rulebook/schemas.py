"""What is said of programmes, their rules and tariffs: all of it public."""

import json
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from core.schema import Schema
from entitlements.language import Tree, Type, show

from .keeping import case_to_json, version_from_json
from .models import ParameterValue, Programme, RuleVersionRow, TariffRow, VersionStatus
from .programmes import RuleVersion, WorkedCase


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


class RuleView(VersionView):
    """A rule version with all that is known of how it came about."""

    programme: str = Field(description="Whose rule it is", examples=["dortmund-karte"])
    status: VersionStatus = Field(
        description="`replaced` was released, and gave way to another before its first day",
        examples=["active"],
    )
    form: str = Field(
        description="In which form it was written; empty where nobody kept it", examples=["yaml"]
    )
    written: str = Field(description="As its author wrote it; it decides nothing")
    release_id: UUID | None = Field(description="The release that brought it; null for what came with files")
    author_id: UUID | None = Field(description="The principal who wrote it")
    approver_id: UUID | None = Field(description="The principal who approved it")
    loaded_at: datetime = Field(description="When it was released", examples=["2026-09-16T10:00:00Z"])

    @classmethod
    def told(cls, row: RuleVersionRow) -> "RuleView":
        names = (
            "programme",
            "status",
            "form",
            "written",
            "release_id",
            "author_id",
            "approver_id",
            "loaded_at",
        )
        said = {name: getattr(VersionView.of(row), name) for name in VersionView.model_fields}
        return cls(**said, **{name: getattr(row, name) for name in names})


class AmountView(Schema):
    """What an amount is from a day on."""

    name: str = Field(description="How rules call it", examples=["participation_monthly"])
    since: date = Field(description="From which day on, until its next value", examples=["2019-08-01"])
    unit: str = Field(description="Its type: cents, int, day or bool", examples=["cents"])
    value: int | str | bool = Field(description="A day in its ISO form", examples=[1500])
    statute: str = Field(description="What it rests on", examples=["§ 28 Abs. 7 SGB II"])
    source: str = Field(description="Where it was found", examples=["dortmund.de"])
    assumption: bool = Field(description="Whether the city still has to confirm it", examples=[False])
    status: VersionStatus = Field(examples=["active"])
    release_id: UUID | None = Field(description="The release that brought it; null for what came with files")
    author_id: UUID | None = Field(description="The principal who wrote it")
    approver_id: UUID | None = Field(description="The principal who approved it")

    @classmethod
    def of(cls, row: ParameterValue) -> "AmountView":
        said = {n: getattr(row, n) for n in cls.model_fields if n not in {"unit", "value"}}
        return cls(**said, unit=Type.read(row.type).kind.value, value=json.loads(row.value))


class CaseView(Schema):
    """A worked case: a made-up person, and what the rule must say."""

    programme: str = Field(examples=["dortmund-karte"])
    name: str = Field(examples=["the last day of the approval still counts"])
    day: date = Field(examples=["2026-12-31"])
    content: dict[str, Any] = Field(description="Facts, households and what is expected")

    @classmethod
    def of(cls, case: WorkedCase) -> "CaseView":
        return cls(programme=case.programme, name=case.name, day=case.day, content=case_to_json(case))
