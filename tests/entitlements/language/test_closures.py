"""A tree that was made ready says what the interpreter says, of any rule and anybody."""

from random import Random

import pytest

from entitlements.language import evaluate
from entitlements.language.closures import ready
from tests.entitlements.language.worlds import Writer, a_world


@pytest.mark.parametrize("series", range(4))
def test_both_say_the_same_of_any_rule_and_anybody(series: int) -> None:
    said = set()
    for seed in range(series, 80, 4):
        random = Random(seed)
        writer, world = Writer(random), a_world(random)
        for _ in range(60):
            rule = writer.rule()
            for who in world.people:
                expected = evaluate(rule, who, world.parameters, world.on)
                told = ready(rule)(who, world.parameters, world.on)
                assert told == expected, f"{rule} for {who.key} in world {seed}"
                assert type(getattr(told, "value", None)) is type(getattr(expected, "value", None))
                said.add(type(told))
    assert len(said) == 3
