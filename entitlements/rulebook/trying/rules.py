"""Judges one made-up person by one rule, by both back ends, and tells how the answer came about and when it turns."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from core.errors import Unprocessable
from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS
from entitlements.language import (
    Fault,
    Mismatch,
    Result,
    RuleError,
    Subject,
    Tree,
    Unknown,
    Value,
    Vocabulary,
    changes_on,
    evaluate,
    minimal_reasons,
    parse,
)
from entitlements.language import tree as t
from entitlements.language.forms import Form, as_form, read_form
from entitlements.language.interpreter import Traced
from entitlements.language.sql import answer
from entitlements.language.tables import as_table, faults, read_table
from entitlements.rulebook.cases import subject_of
from entitlements.rulebook.programmes import WorkedCase


class RuleNotReadable(Unprocessable):
    """A rule that cannot stand; each mistake has a stable code, a place, and a text that says what to do."""

    slug = "rule-not-readable"
    title = "The rule cannot be read"

    def __init__(self, mistakes: list[RuleError], language: str, text: str | None = None) -> None:
        told = [told_of(mistake, language, text) for mistake in mistakes]
        super().__init__(mistakes[0].complaint(language), errors=told)


def told_of(mistake: RuleError, language: str, text: str | None = None) -> dict[str, Any]:
    """A mistake as plain data: for a page that marks the place, and for a person who reads it."""
    return {
        "code": mistake.code,
        "advice": mistake.advice or None,
        "text": mistake.text(language),
        "place": mistake.place,
        "line": mistake.line or None,
        "column": mistake.column or None,
        "length": mistake.length or None,
        "excerpt": (mistake.excerpt(text) or None) if text is not None and not mistake.place else None,
        "params": {name: list(v) if isinstance(v, tuple) else v for name, v in mistake.params.items()},
    }


@dataclass(frozen=True, slots=True)
class Given:
    """A rule in one of the three ways to write it."""

    expression: str | None = None
    form: Form | None = None
    table: Mapping[str, Any] | None = None

    def read(self, known: Vocabulary, parameters: Mapping[str, Value]) -> tuple[Tree, list[RuleError]]:
        """Its tree, and what can be read there and yet hardly be meant; RuleError where it cannot be read."""
        doubts: list[RuleError] = []
        if self.form is not None:
            tree = read_form(self.form, known)
            # The places of doubts are those in the text that the form becomes.
            parse(str(tree), known, doubts=doubts)
            return tree, doubts
        if self.table is not None:
            table = read_table(self.table, known)
            try:
                doubts = faults(table, parameters)
            except Mismatch as error:
                doubts = [RuleError(error)]
            return table.tree(), doubts
        return parse(self.expression or "", known, doubts=doubts), doubts


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a rule and a made-up person."""

    tree: Tree
    doubts: list[RuleError]
    interpreter: Result
    sql: Result
    reasons: tuple[Traced, ...]
    changes_on: date | None
    parameters: Mapping[str, Value]
    """The amounts that the rule used."""

    @property
    def missing(self) -> tuple[str, ...]:
        """What would have to be known."""
        return tuple(sorted(self.interpreter.facts)) if isinstance(self.interpreter, Unknown) else ()

    def form(self) -> Form | None:
        """The rule as a form, if it can be one."""
        return as_form(self.tree)

    def table(self) -> dict[str, Any] | None:
        """The rule as a decision table, if it can be one."""
        table = as_table(self.tree)
        return None if table is None else table.to_json()


def person(
    facts: Mapping[str, Any],
    households: Mapping[str, list[Mapping[str, Any]]],
    day: date,
    *,
    rest_absent: bool,
) -> Subject:
    """The person as a worked case describes one; RuleError for a fact or household that there is not."""
    for place, given in (
        ("facts", facts),
        *(
            (f"households.{kind}[{n}]", member)
            for kind, members in households.items()
            for n, member in enumerate(members)
        ),
    ):
        for name in given:
            if name not in CATALOGUE:
                raise RuleError(Mismatch("unknown-fact", advice="see-the-list", found=name)).at(place)
    for kind in households:
        if kind not in HOUSEHOLDS:
            raise RuleError(Mismatch("unknown-household", found=kind, allowed=tuple(HOUSEHOLDS))).at(
                "households"
            )
    case = WorkedCase(
        programme="",
        name="",
        day=day,
        facts=facts,
        households={kind: tuple(members) for kind, members in households.items()},
        rest_absent=rest_absent,
        expect={},
        file="",
        line=0,
    )
    return subject_of(case)


def attempt(
    given: Given, known: Vocabulary, subject: Subject, parameters: Mapping[str, Value], on: date
) -> Trial:
    """Judges the person by the rule; RuleError where the rule cannot be read or lacks an amount on this day."""
    tree, doubts = given.read(known, parameters)
    for name in sorted(tree.parameters()):
        if name not in parameters:
            raise RuleError(Mismatch("parameter-without-value", found=name, on=on.isoformat()))
    return Trial(
        tree=tree,
        doubts=doubts,
        interpreter=evaluate(tree, subject, parameters, on),
        sql=answer(tree, subject, parameters, on),
        reasons=minimal_reasons(tree, subject, parameters, on),
        changes_on=changes_on(tree, subject, parameters, on),
        parameters={name: parameters[name] for name in sorted(tree.parameters())},
    )


def names_in(node: t.Node) -> tuple[str, ...]:
    """The facts and kinds of household that a part of a rule looks at."""
    return tuple(sorted(Tree(node).mentions()))


__all__ = ["Fault", "Given", "RuleNotReadable", "Trial", "attempt", "names_in", "person", "told_of"]
