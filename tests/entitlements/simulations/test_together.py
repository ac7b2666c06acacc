"""Two rulebooks as one: nothing twice, and nothing mixed up."""

from dataclasses import replace
from datetime import date

import pytest

from entitlements.simulations.statements import differing, side_of
from entitlements.simulations.together import Side, together
from tests.rulebooks import dortmund

ON = date(2026, 9, 16)


@pytest.fixture(scope="module")
def before() -> Side:
    return side_of(dortmund(), ON)


def amounts_of(side: Side, programme: str) -> set[str]:
    version = side.version(programme)
    assert version is not None
    return {name for tree in version.trees() for name in tree.parameters()}


def test_what_both_say_is_there_once(before: Side) -> None:
    both = together(before, before, differing(before, before))
    assert both.side.versions == before.versions
    assert both.before == both.after


def test_another_amount_gives_only_its_programme_a_second_rule(before: Side) -> None:
    after = replace(before, parameters={**before.parameters, "participation_monthly": 2_000})
    both = together(before, after, differing(before, after))
    twice = {name for name in both.before if both.before[name] != both.after[name]}
    assert twice == set(differing(before, after))
    assert len(both.side.versions) == len(before.versions) + len(twice)
    for name in twice & {
        v.programme for v in before.versions if "participation_monthly" in amounts_of(before, v.programme)
    }:
        assert "participation_monthly" in amounts_of(both.side, both.before[name])
        assert "participation_monthly" not in amounts_of(both.side, both.after[name])
    values = sorted(v for n, v in both.side.parameters.items() if n.startswith("participation_monthly"))
    assert values == sorted([before.parameters["participation_monthly"], 2_000])


def test_whoever_waits_for_a_changed_rule_waits_for_the_changed_one(before: Side) -> None:
    changed = tuple(
        replace(v, grounds=v.grounds[:-1]) if v.programme == "bildungskarte" else v for v in before.versions
    )
    after = replace(before, versions=changed)
    both = together(before, after, differing(before, after))
    second = {v.programme: v for v in both.side.versions if v.programme not in both.before.values()}
    assert both.after["bildungskarte"] in second
    waiting = [v for v in second.values() if v.depends_on]
    assert waiting
    for version in waiting:
        assert {needed.programme for needed in version.depends_on} <= set(both.after.values())


def test_a_rule_that_is_called_like_the_mark_is_not_mistaken(before: Side) -> None:
    odd = tuple(
        replace(v, programme="odd_then") if v.programme == before.versions[-1].programme else v
        for v in before.versions
    )
    one = replace(before, versions=odd)
    after = replace(one, versions=tuple(replace(v, grounds=v.grounds[:1]) for v in odd))
    both = together(one, after, differing(one, after))
    names = [v.programme for v in both.side.versions]
    assert len(names) == len(set(names))
