"""A third opinion: where a rule says only what CEL can say, the CEL of its authors says the same."""

import re
from collections.abc import Mapping
from datetime import date
from random import Random
from typing import Any

import pytest

from entitlements.language import Kind, Known, Stated, Subject, Tree, Value, evaluate, parse
from tests.entitlements.language.worlds import FACTS, LEARNED, VOCABULARY, Writer, a_world

cel = pytest.importorskip("cel_expr_python.cel")

KINDS: Mapping[Kind, Any] = {
    Kind.BOOL: cel.Type.BOOL,
    Kind.INT: cel.Type.INT,
    Kind.STRING: cel.Type.STRING,
    Kind.ENUM: cel.Type.STRING,
}
CEL = cel.NewEnv(variables={name: KINDS[f.type.kind] for name, f in FACTS.items() if f.type.kind in KINDS})


def opinion(tree: Tree, subject: Subject) -> tuple[Any, type] | None:
    """CEL's value with its type; `None` where it says error, and a missing value is one to it."""
    known = {name: stated.value for name, stated in subject.facts.items() if FACTS[name].type.kind in KINDS}
    # To CEL an enum is a string, and nothing needs to tell which.
    text = re.sub(r"member\(\w+, (\"\w*\")\)", r"\1", str(tree))
    said = CEL.compile(text).eval(data=known)
    return None if said.type() == cel.Type.ERROR else (said.value(), type(said.value()))


def ours(tree: Tree, subject: Subject, on: date) -> tuple[Any, type] | None:
    said = evaluate(tree, subject, {}, on)
    return (said.value, type(said.value)) if isinstance(said, Known) else None


@pytest.mark.parametrize("seed", range(10))
def test_cel_itself_agrees(seed: int) -> None:
    random = Random(seed)
    writer = Writer(random, plain=True)
    # To CEL a fact is there or not; days on which it holds are ours.
    worlds = [world for world in (a_world(random, families=4) for _ in range(4)) if world.current]
    for _ in range(60):
        rule = writer.rule()
        for world in worlds:
            for who in world.people:
                assert opinion(rule, who) == ours(rule, who, world.on), f"{rule} for {who.facts}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a || b", (True, bool)),
        ("b || a", (True, bool)),
        ("b && a", None),
        ("9223372036854775807 + n", None),
        ("9223372036854775807 + n > 0 || a", (True, bool)),
        ("b ? 1 : 1", None),
        ("n in [] ? 1 : 2", (2, int)),
        ('stage == "sek1" ? "x" : word', ("x", str)),
    ],
)
def test_what_is_missing_or_overflows_is_an_error_to_cel(text: str, said: object) -> None:
    who = Subject("p", {n: Stated(v, date.min, None, "", LEARNED) for n, v in _KNOWN.items()})
    tree = parse(text, VOCABULARY)
    assert opinion(tree, who) == said == ours(tree, who, date(2026, 9, 16))


_KNOWN: Mapping[str, Value] = {"a": True, "n": 1, "stage": "sek1"}
