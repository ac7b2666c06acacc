"""What is sent to try a rule, what comes back, and the list from which a page for writing rules is built."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from pydantic import Field, model_validator

from core.languages import Language
from core.schema import Schema
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS, REGISTERS, department_to_ask, label_of
from entitlements.language import Fault, Kind, Known, Result, RuleError, Unknown, show
from entitlements.language.forms import CONDITIONS, GROUPS, ConditionKind
from entitlements.language.interpreter import Traced
from entitlements.language.messages import catalogue
from entitlements.language.tables import Collect, Hit
from entitlements.language.tree import CALCULATIONS
from entitlements.rulebook.programmes import Parameter

from .rules import Given, Trial, names_in, told_of

MAX_FACTS, MAX_MEMBERS = 100, 30
Scalar = bool | int | str


class StatedFact(Schema):
    """A fact with the days on which it holds."""

    value: Scalar = Field(description="What is stated", examples=[True])
    since: date | None = Field(default=None, description="The first day; long ago if not given")
    until: date | None = Field(default=None, description="The last day; no end if not given")

    def details(self) -> dict[str, Any]:
        """The fact as a worked case writes it."""
        return {
            name: value for name in ("value", "since", "until") if (value := getattr(self, name)) is not None
        }


Facts = dict[str, bool | int | str | StatedFact]


class NewTrial(Schema):
    """A rule, written in one of three ways, and a made-up person to judge by it."""

    expression: str | None = Field(
        default=None,
        max_length=20_000,
        description="The rule as text",
        examples=["sgb2 && under(birth_date, 18)"],
    )
    form: dict[str, Any] | None = Field(
        default=None,
        description="The rule as a condition form: groups (all, any, not) of conditions, each with its kind",
        examples=[{"all": [{"kind": "holds", "fact": "sgb2"}, {"kind": "holds", "fact": "kindergeld"}]}],
    )
    table: dict[str, Any] | None = Field(
        default=None,
        description="The rule as a decision table: hit, inputs, rows of cells, and otherwise",
        examples=[
            {"hit": "first", "inputs": ["sgb2"], "rows": [{"when": ["true"], "then": "1"}], "otherwise": "0"}
        ],
    )
    facts: Facts = Field(
        default_factory=dict,
        max_length=MAX_FACTS,
        description="What is known of the person, by fact; what is not named is unknown",
        examples=[{"sgb2": {"value": True, "until": "2026-12-31"}, "birth_date": "2010-05-01"}],
    )
    households: dict[str, list[Facts]] = Field(
        default_factory=dict,
        max_length=10,
        description="Who else is in each kind of household",
        examples=[{"registered_household": [{"kiz": True}]}],
    )
    rest_absent: bool = Field(
        default=False, description="Whether to read silence as the registers' complete lists mean it"
    )
    day: date | None = Field(default=None, description="The day to decide for; today if not given")

    @model_validator(mode="after")
    def _one_rule(self) -> "NewTrial":
        if sum(given is not None for given in (self.expression, self.form, self.table)) != 1:
            raise ValueError("one of expression, form and table is needed")
        if any(len(members) > MAX_MEMBERS for members in self.households.values()):
            raise ValueError(f"a household has at most {MAX_MEMBERS} other members")
        return self

    def rule(self) -> Given:
        """The rule as it was written."""
        return Given(self.expression, self.form, self.table)


def plain_facts(facts: Mapping[str, bool | int | str | StatedFact]) -> dict[str, Any]:
    """Facts as a worked case writes them."""
    return {name: fact.details() if isinstance(fact, StatedFact) else fact for name, fact in facts.items()}


class AnswerView(Schema):
    """What one back end says: a value, or what is missing, or why there is no result."""

    says: str = Field(description="value, unknown or error", examples=["value"])
    value: Scalar | None = Field(default=None, description="The value, a day as 2026-01-31", examples=[True])
    unknown: list[str] = Field(default_factory=list, description="The facts that could decide it")
    error: str | None = Field(
        default=None, description="Why the calculation has no result", examples=["overflow"]
    )

    @classmethod
    def of(cls, result: Result) -> "AnswerView":
        match result:
            case Known(value):
                return cls(says="value", value=value.isoformat() if isinstance(value, date) else value)
            case Unknown(facts):
                return cls(says="unknown", unknown=sorted(facts))
            case Fault():
                return cls(says="error", error=result.code)


class BecauseView(Schema):
    """A part of the rule that made the answer what it is."""

    rule: str = Field(description="The part, as text", examples=["under(birth_date, 18)"])
    says: AnswerView = Field(description="What it came to")
    labels: list[str] = Field(
        description="What it looks at, as people call it", examples=[["das Geburtsdatum"]]
    )

    @classmethod
    def of(cls, part: Traced, language: str, on: date) -> "BecauseView":
        labels = [label_of(name, language, on) for name in names_in(part.node)]
        return cls(rule=show(part.node), says=AnswerView.of(part.result), labels=labels)


class NeededView(Schema):
    """What would have to be known, and whom to ask."""

    fact: str = Field(description="The fact or kind of household", examples=["kiz"])
    label: str = Field(description="As people call it", examples=["der Kinderzuschlag"])
    ask: str = Field(description="The register to ask", examples=["familienkasse"])

    @classmethod
    def of(cls, name: str, language: str, on: date) -> "NeededView":
        return cls(fact=name, label=label_of(name, language, on), ask=department_to_ask(name))


class MistakeView(Schema):
    """Something about the rule that is wrong, or that can hardly be meant."""

    code: str = Field(description="Stable name of the mistake", examples=["never-together"])
    advice: str | None = Field(description="Stable name of what to do", examples=["did-you-mean"])
    text: str = Field(description="What is wrong and what to do")
    place: str = Field(description="The field of the form or cell of the table", examples=["rows[2].when[0]"])
    line: int | None = Field(description="The line in the text, from 1")
    column: int | None = Field(description="The column in the text, from 1")
    length: int | None = Field(description="How many characters are meant")
    excerpt: str | None = Field(description="The line, and a caret under what is meant")
    params: dict[str, str | int | list[str]] = Field(
        description="What the text speaks of, such as found and allowed"
    )

    @classmethod
    def of(cls, mistake: RuleError, language: str, text: str | None) -> "MistakeView":
        return cls(**told_of(mistake, language, text))


class TrialView(Schema):
    """What a rule says of a made-up person, by both back ends, and the rule in each way to write it."""

    day: date = Field(description="The day that was decided for")
    type: str = Field(description="The kind of value that the rule answers with", examples=["bool"])
    interpreter: AnswerView = Field(description="What the interpreter says")
    sql: AnswerView = Field(description="What the database says")
    agree: bool = Field(description="Whether both say the same; anything else is a mistake of ours")
    reasons: list[BecauseView] = Field(description="The fewest parts that made the answer what it is")
    missing: list[NeededView] = Field(description="What would have to be known, and whom to ask")
    changes_on: date | None = Field(description="The next day with another answer, if nothing new is learned")
    doubts: list[MistakeView] = Field(description="What can be read and yet hardly be meant")
    text: str = Field(description="The rule as text", examples=["sgb2 && under(birth_date, 18)"])
    form: dict[str, Any] | None = Field(description="The rule as a form; null where it cannot be one")
    table: dict[str, Any] | None = Field(
        description="The rule as a decision table; null where it cannot be one"
    )
    tree: dict[str, Any] = Field(description="The typed tree, which is the stored truth")
    tree_hash: str = Field(description="SHA-256 over the canonical tree")
    parameters: dict[str, Scalar] = Field(description="The amounts that the rule used")

    @classmethod
    def of(cls, trial: Trial, given: NewTrial, on: date, language: Language) -> "TrialView":
        return cls(
            day=on,
            type=str(trial.tree.type),
            interpreter=AnswerView.of(trial.interpreter),
            # Where neither has a result, the database does not tell why, and the interpreter does.
            sql=AnswerView.of(trial.interpreter if trial.sql == trial.interpreter else trial.sql),
            agree=trial.interpreter == trial.sql,
            reasons=[BecauseView.of(part, language, on) for part in trial.reasons],
            missing=[NeededView.of(name, language, on) for name in trial.missing],
            changes_on=trial.changes_on,
            doubts=[MistakeView.of(doubt, language, given.expression) for doubt in trial.doubts],
            text=str(trial.tree),
            form=trial.form(),
            table=trial.table(),
            tree=trial.tree.to_json(),
            tree_hash=trial.tree.tree_hash,
            parameters={
                name: value.isoformat() if isinstance(value, date) else value
                for name, value in trial.parameters.items()
            },
        )


# --- the vocabulary -------------------------------------------------------------------------------------------


class FactView(Schema):
    """A fact that rules may ask about."""

    name: str = Field(description="As rules write it", examples=["school_route_m"])
    label: str = Field(description="As people call it today", examples=["die Länge des Schulwegs"])
    type: str = Field(description="bool, int, enum, day or cents", examples=["int"])
    unit: str = Field(description="What its number counts", examples=["m"])
    members: list[str] = Field(description="For an enum, its members", examples=[["primary", "sek1"]])
    about: str = Field(description="Whether it is stated of a person or of a household", examples=["person"])
    suppliers: list[str] = Field(description="The registers that may state it", examples=[["school"]])
    always_known: bool = Field(description="Whether it is never unknown")
    known_in_part: bool = Field(description="A day of which perhaps only the month or year is known")
    kinds: list[str] = Field(
        description="The kinds of condition that can be asked of it", examples=[["holds"]]
    )


class NamedView(Schema):
    """Something with a name and what people call it."""

    name: str = Field(description="As rules write it", examples=["registered_household"])
    label: str = Field(description="As people call it", examples=["der gemeinsame Haushalt"])


class ParameterView(Schema):
    """A dated amount that rules may use as param.name."""

    name: str = Field(description="As rules write it, after param.", examples=["route_limit_sek1"])
    type: str = Field(description="bool, int, day or cents", examples=["int"])
    value: Scalar | None = Field(
        description="What it is on the day asked for; null if nothing yet", examples=[3500]
    )
    since: date | None = Field(description="Since when it is that")

    @classmethod
    def of(cls, parameter: Parameter, on: date) -> "ParameterView":
        dated = parameter.on(on)
        value = dated and dated.value
        return cls(
            name=parameter.name,
            type=str(parameter.type),
            value=value.isoformat() if isinstance(value, date) else value,
            since=dated and dated.since,
        )


class FieldView(Schema):
    """A field of a condition in a form."""

    name: str = Field(description="Its name in the form", examples=["operator"])
    input: str = Field(description="What a page offers there", examples=["operator"])
    operators: list[str] = Field(description="For a comparison, the signs that fit", examples=[["==", "<"]])
    optional: bool = Field(description="Whether it may be left out")


class ConditionKindView(Schema):
    """A kind of condition that a form can hold."""

    name: str = Field(description="Its name in the form", examples=["younger_than"])
    label: str = Field(description="What a page calls it", examples=["ist jünger als"])
    fits: list[str] = Field(description="The types of fact it can be asked of", examples=[["day"]])
    fields: list[FieldView] = Field(description="What it consists of")

    @classmethod
    def of(cls, kind: ConditionKind, language: str) -> "ConditionKindView":
        fields = [
            FieldView(name=f.name, input=f.input, operators=list(f.operators), optional=f.optional)
            for f in kind.fields
        ]
        return cls(name=kind.name, label=kind.label(language), fits=[*kind.fits], fields=fields)


class VocabularyView(Schema):
    """Everything that a rule may speak of, and every way to say it."""

    facts: list[FactView] = Field(description="What registers can state")
    households: list[NamedView] = Field(description="The kinds of household that can be asked")
    registers: list[NamedView] = Field(description="Who states facts")
    parameters: list[ParameterView] = Field(description="Dated amounts")
    conditions: list[ConditionKindView] = Field(description="The kinds of condition that a form can hold")
    groups: list[str] = Field(description="How a form joins conditions", examples=[["all", "any", "not"]])
    operators: list[NamedView] = Field(description="The signs of comparison")
    calculations: list[str] = Field(description="The signs of calculation", examples=[["+", "-", "*"]])
    functions: list[str] = Field(
        description="The functions of the text form", examples=[["under(birth_date, 18)"]]
    )
    hits: list[NamedView] = Field(description="The hit policies of a decision table")
    collects: list[str] = Field(
        description="What a table that collects makes of its rows", examples=[["any"]]
    )

    @classmethod
    def of(cls, parameters: Mapping[str, Parameter], language: str, on: date) -> "VocabularyView":
        return cls(
            facts=[_fact(name, language, on) for name in CATALOGUE],
            households=[NamedView(name=n, label=label_of(n, language, on)) for n in HOUSEHOLDS],
            registers=[NamedView(name=n, label=label_of(n, language, on)) for n in REGISTERS],
            parameters=[ParameterView.of(parameters[name], on) for name in sorted(parameters)],
            conditions=[ConditionKindView.of(kind, language) for kind in CONDITIONS.values()],
            groups=list(GROUPS),
            operators=_named("operators", language),
            calculations=sorted(CALCULATIONS),
            functions=list(FUNCTIONS),
            hits=[one for one in _named("hits", language) if one.name in set(Hit)],
            collects=list(Collect),
        )


FUNCTIONS = (
    "under(birth_date, 18)",
    "under(birth_date, 18, month_start)",
    "until(fact)",
    'day("2026-01-31")',
    "cents(1500)",
    "least(a, b)",
    "greatest(a, b)",
    "any_member(household, condition)",
    "count_members(household, condition)",
    "rank_among(household, condition)",
)


def _named(section: str, language: str) -> list[NamedView]:
    return [NamedView(name=name, label=texts[language]) for name, texts in catalogue()[section].items()]


def _fact(name: str, language: str, on: date) -> FactView:
    kind = CATALOGUE[name]
    fitting = [one.name for one in CONDITIONS.values() if kind.type in one.fits]
    if kind.latest:
        fitting = [name for name in fitting if name in {"younger_than", "has_reached", "stated_until"}]
    elif kind.type is Kind.DAY:
        fitting = [name for name in fitting if name != "share"]
    return FactView(
        name=name,
        label=label_of(name, language, on),
        type=str(kind.type),
        unit=kind.unit,
        members=list(kind.members),
        about=kind.about,
        suppliers=list(kind.suppliers),
        always_known=kind.always_known,
        known_in_part=bool(kind.latest),
        kinds=fitting,
    )
