"""Every worked case beside every rule, of every city, holds."""

import pytest

from entitlements.facts.catalogue import RULEBOOKS
from entitlements.rulebook.cases import disagreements
from entitlements.rulebook.rules import Rulebook, WorkedCase, load_rulebook

CITIES = [load_rulebook(front.parent) for front in sorted(RULEBOOKS.glob("*/rulebook.yaml"))]
CASES = [(book, case) for book in CITIES for case in book.cases]


@pytest.mark.parametrize(("book", "case"), CASES, ids=[f"{c.programme}: {c.name}" for _, c in CASES])
def test_the_rule_says_what_its_worked_case_expects(book: Rulebook, case: WorkedCase) -> None:
    assert disagreements(book, case) == ()


def test_every_programme_has_cases_for_each_outcome_a_clerk_would_ask_about() -> None:
    for book in CITIES:
        for programme in book.programmes:
            outcomes = {c.expect.get("outcome") for c in book.cases if c.programme == programme}
            assert {"granted", "refused", "undetermined"} <= outcomes, programme
