"""Every worked case beside every rule, of every city, holds, and together they leave nothing out."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from entitlements.allowances import rules as allowances
from entitlements.facts.catalogue import LANGUAGES
from entitlements.rulebook.cases import disagreements, ruling_of
from entitlements.rulebook.rules import Rulebook, RuleVersion, Ruling, WorkedCase
from entitlements.rulebook.texts import texts
from tests.rulebooks import cities

CITIES = cities()
CASES = [(book, case) for book in CITIES for case in book.cases]
VERSIONS = [
    (book, version)
    for book in CITIES
    for programme in book.programmes.values()
    for version in programme.versions
]
LONGEST_SENTENCE = 16
"""Words in a sentence of plain German; the law's own names are not counted."""


def named(value: object) -> str | None:
    return f"{value.programme} from {value.since}" if isinstance(value, RuleVersion) else None


def rulings(book: Rulebook, version: RuleVersion) -> Iterator[Ruling]:
    """What the worked cases of one version come to."""
    for case in book.cases:
        if case.programme == version.programme and version.covers(case.day):
            yield ruling_of(book, case)


@pytest.mark.parametrize(("book", "case"), CASES, ids=[f"{c.programme}: {c.name}" for _, c in CASES])
def test_the_rule_says_what_its_worked_case_expects(book: Rulebook, case: WorkedCase) -> None:
    assert disagreements(book, case) == ()


def test_every_programme_has_cases_for_each_outcome_a_clerk_would_ask_about() -> None:
    for book in CITIES:
        for programme in book.programmes:
            outcomes = {c.expect.get("outcome") for c in book.cases if c.programme == programme}
            assert {"granted", "refused", "undetermined"} <= outcomes, programme


def test_no_two_cases_of_a_programme_have_one_name() -> None:
    for book in CITIES:
        names = Counter((case.programme, case.name) for case in book.cases)
        assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(("book", "version"), VERSIONS, ids=named)
def test_every_ground_of_every_version_is_what_some_case_is_granted_on(
    book: Rulebook, version: RuleVersion
) -> None:
    granted = {ruling.ground for ruling in rulings(book, version)}
    # Who pays is the same question in each part of the Bildungskarte; the card's own cases ask it in full.
    shared = bool(version.depends_on)
    assert (
        granted & {g.name for g in version.grounds}
        if shared
        else {g.name for g in version.grounds} <= granted
    )


@pytest.mark.parametrize(("book", "version"), VERSIONS, ids=named)
def test_every_reason_of_every_version_is_given_in_some_case(book: Rulebook, version: RuleVersion) -> None:
    given = {reason.code for ruling in rulings(book, version) for reason in ruling.reasons}
    own = {template.code for template, _ in version.reasons()}
    if any(str(ground.when) == "true" for ground in version.grounds):
        own -= {version.otherwise.code}
    if version.depends_on:
        own -= {ground.reason.code for ground in version.grounds} | {version.otherwise.code}
        given |= {"other_programme_first"} if len(version.depends_on) == 1 else set()
        assert {"other_programme_first", "other_programme_needed", "other_programme_open"} <= given
    assert own <= given


@pytest.mark.parametrize(("book", "version"), VERSIONS, ids=named)
def test_all_that_a_version_can_bring_is_brought_in_some_case(book: Rulebook, version: RuleVersion) -> None:
    brought = list(rulings(book, version))
    for what in ("allowances", "amounts", "charges"):
        kinds = {part.kind for ruling in brought for part in getattr(ruling, what)}
        assert kinds == {rule.kind for rule in getattr(version, what)}
    assert {name for ruling in brought for name in ruling.tariffs} == {rule.name for rule in version.tariffs}


def test_every_value_that_an_amount_had_is_met_in_some_case() -> None:
    """The day before and the day of each change would tell if a figure moved."""
    for book in CITIES:
        for parameter in book.parameters.values():
            users = {
                name
                for name, programme in book.programmes.items()
                for version in programme.versions
                if any(parameter.name in tree.parameters() for tree in version.trees())
            }
            days = [case.day for case in book.cases if case.programme in users]
            for dated in parameter.values:
                if all(v.since > dated.since for p in users for v in book.programmes[p].versions):
                    continue
                assert any(parameter.on(day) is dated for day in days), (parameter.name, dated.since)


def test_money_of_every_kind_has_a_name_in_every_language() -> None:
    kinds = {
        kind
        for _, version in VERSIONS
        for kind in (
            *(rule.kind for rule in version.allowances),
            *(rule.kind for rule in version.amounts),
            *(rule.kind for rule in version.charges),
        )
    }
    for language in LANGUAGES:
        assert kinds <= allowances.names(language).keys()
        assert all(allowances.name_of(kind, language) != kind for kind in kinds)


@pytest.mark.parametrize("code", sorted(texts()["reasons"]))
def test_every_reason_is_worded_in_each_language_and_plainly_in_plain_german(code: str) -> None:
    worded = texts()["reasons"][code]
    assert set(worded) == set(LANGUAGES)
    assert all(text.strip() and text.rstrip()[-1] in ".?" for text in worded.values())
    plain = worded["de-simple"]
    for sentence in re.split(r"[.:?!]\s+", plain):
        assert len(sentence.split()) <= LONGEST_SENTENCE, sentence
    assert not re.search(r"\b(würde|hätte|könnte|müsste|sollte|wäre|z\. ?B\.|bzw|ggf|§)", plain)


def test_every_figure_says_where_it_comes_from() -> None:
    """Nothing is assumed in silence: what no public source says is marked, and says in words what is assumed."""
    for book in CITIES:
        for parameter in book.parameters.values():
            for dated in parameter.values:
                assert dated.origin.statute, parameter.name
                assert dated.origin.source, (parameter.name, dated.since)
