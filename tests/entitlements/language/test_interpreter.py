"""What a rule answers where facts are missing, amounts overflow, households count and time passes."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entitlements.language import (
    Fault,
    Kind,
    Known,
    Mismatch,
    Node,
    Result,
    Speakable,
    Stated,
    Subject,
    Tree,
    Type,
    Unknown,
    Value,
    Vocabulary,
    changes_on,
    evaluate,
    holds_until,
    minimal_reasons,
    parse,
    trace,
    turning_days,
)
from entitlements.language import tree as t

STAGE = Type(Kind.ENUM, "stage")
FACTS = {
    "a": Speakable(t.BOOL),
    "b": Speakable(t.BOOL),
    "c": Speakable(t.BOOL),
    "n": Speakable(t.INT),
    "m": Speakable(t.INT),
    "income": Speakable(t.CENTS),
    "need": Speakable(t.CENTS),
    "left_on": Speakable(t.DAY),
    "birth_date": Speakable(t.DAY, latest="birth_date_latest"),
    "birth_date_latest": Speakable(t.DAY),
    "stage": Speakable(STAGE, ("primary", "sek1", "sek2")),
}
VOCABULARY = Vocabulary(FACTS, {"limit": t.INT, "price": t.CENTS}, frozenset({"registered_household"}))
PARAMETERS: Mapping[str, Value] = {"limit": 3, "price": 1500}
TODAY = date(2026, 9, 15)
LONG_AGO = date(2000, 1, 1)
TRUE, FALSE = Known(value=True), Known(value=False)
OVERFLOW = "9223372036854775807 + n > 0"


def stated(value: Value, since: date = LONG_AGO, until: date | None = None) -> Stated:
    return Stated(value, since, until, "melderegister", datetime(2026, 1, 1, tzinfo=UTC))


def person(key: str = "p", **facts: Value | Stated) -> Subject:
    return Subject(key, {k: v if isinstance(v, Stated) else stated(v) for k, v in facts.items()})


def household(who: Subject, *others: Subject) -> Subject:
    return Subject(who.key, who.facts, {"registered_household": (who, *others)})


def ask(text: str, subject: Subject, on: date = TODAY) -> Result:
    return evaluate(parse(text, VOCABULARY), subject, PARAMETERS, on)


def unknown(*facts: str) -> Unknown:
    return Unknown(frozenset(facts))


# --- missing facts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", unknown("a")),
        ("!a", unknown("a")),
        ("a && b", unknown("a", "b")),
        ("a && c", unknown("a")),
        ("a || c", TRUE),
        ("c || a", TRUE),
        ("a && !c", FALSE),
        ("!c && a", FALSE),
        ("a == b", unknown("a", "b")),
        ("a == a", unknown("a")),
        ("income * 100 <= need * 130", unknown("income", "need")),
        ("a ? 1 == 1 : 1 == 1", unknown("a")),
        ("c ? a : b", unknown("a")),
        ("!c ? a : b", unknown("b")),
        ("m in [1, 2]", unknown("m")),
        ("least(1, m) == 1", unknown("m")),
        ("greatest(m, 1) == 1", unknown("m")),
        ("m > 1 || income > need", unknown("m", "income", "need")),
        ("until(a) > today", unknown("a")),
        ("under(birth_date, 18)", unknown("birth_date")),
        ("any_member(registered_household, c)", unknown("registered_household")),
        ("count_members(registered_household, c) > 0", unknown("registered_household")),
        ("rank_among(registered_household, c) > 0", unknown("registered_household")),
        ("rank_among(registered_household, !c) == 0", TRUE),
        (f"({OVERFLOW}) || c", TRUE),
        (f"c || ({OVERFLOW})", TRUE),
        (f"({OVERFLOW}) && !c", FALSE),
        (f"({OVERFLOW}) || a", unknown("a")),
        (f"a && ({OVERFLOW})", unknown("a")),
        ("9223372036854775807 + n > m", unknown("m")),
    ],
)
def test_what_is_missing_is_named_unless_the_rest_decides(text: str, expected: Result) -> None:
    assert ask(text, person(c=True, n=1)) == expected


def test_an_overflow_is_a_fault_and_neither_yes_nor_no() -> None:
    assert isinstance(ask(OVERFLOW, person(n=1)), Fault)
    assert ask(OVERFLOW, person(n=0)) == TRUE
    assert isinstance(ask(f"{OVERFLOW} ? a : b", person(n=1, a=True, b=True)), Fault)


def test_a_parameter_without_a_value_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(Mismatch, match="limit has no value"):
        evaluate(parse("n > param.limit", VOCABULARY), person(n=1), {}, TODAY)


def test_a_statement_counts_from_its_first_to_its_last_day() -> None:
    subject = person(
        a=stated(value=True, since=date(2026, 9, 1), until=date(2026, 9, 30)),
        n=stated(5, since=date(2026, 9, 1), until=date(2026, 9, 30)),
        b=stated(value=False, since=date(2026, 9, 1), until=date(2026, 9, 30)),
    )
    for day, inside in [(31, False), (1, True), (30, True), (31, False)]:
        on = date(2026, 9, 30) + timedelta(1) if day == 31 and not inside else date(2026, 9, day)
        assert ask("a", subject, on) == (TRUE if inside else FALSE)
        assert ask("n == 5", subject, on) == (TRUE if inside else unknown("n"))
        assert ask("b", subject, on) == (FALSE if inside else unknown("b"))
    assert ask("a", subject, date(2026, 8, 31)) == FALSE


def test_the_last_day_of_a_fact_can_be_asked() -> None:
    assert ask('until(a) == day("2026-09-30")', person(a=stated(value=True, until=date(2026, 9, 30)))) == TRUE
    assert ask('until(a) == day("9999-12-31")', person(a=True)) == TRUE


# --- birth dates known in part ------------------------------------------------------------------------------


def born(first: date, last: date) -> Subject:
    return person(birth_date=first, birth_date_latest=last)


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        (date(2008, 1, 1), TRUE),
        (date(2025, 12, 31), TRUE),
        (date(2026, 1, 1), unknown("birth_date_precise")),
        (date(2026, 12, 30), unknown("birth_date_precise")),
        (date(2026, 12, 31), FALSE),
    ],
)
def test_a_year_of_birth_alone_is_doubtful_only_while_the_limit_lies_within(
    on: date, expected: Result
) -> None:
    assert ask("under(birth_date, 18)", born(date(2008, 1, 1), date(2008, 12, 31)), on) == expected


def test_at_the_first_of_the_month_an_age_is_asked_for_that_day() -> None:
    child = person(birth_date=date(2008, 9, 2))
    assert ask("under(birth_date, 18, month_start)", child, date(2026, 9, 30)) == TRUE
    assert ask("under(birth_date, 18)", child, date(2026, 9, 30)) == FALSE
    assert ask("under(birth_date, 18, month_start)", person(birth_date=date(2008, 9, 1)), TODAY) == FALSE


# --- households ---------------------------------------------------------------------------------------------


def test_a_household_answers_when_one_member_decides() -> None:
    family = household(person("p", a=False), person("q"), person("r", a=True))
    assert ask("any_member(registered_household, a)", family) == TRUE
    open_ = household(person("p", a=False), person("q"))
    assert ask("any_member(registered_household, a)", open_) == unknown("a")
    assert ask("count_members(registered_household, a) == 1", open_) == unknown("a")
    nobody = Subject("p", {}, {"registered_household": ()})
    assert ask("any_member(registered_household, a)", nobody) == FALSE
    assert ask("count_members(registered_household, a) == 0", nobody) == TRUE


def test_the_eldest_is_first_and_who_is_not_among_them_has_no_place() -> None:
    old = person("old", a=True, birth_date=date(2010, 1, 1))
    mid = person("mid", a=True, birth_date=date(2012, 1, 1))
    not_among = person("not", a=False, birth_date=date(2009, 1, 1))
    rank = "rank_among(registered_household, a)"
    assert ask(f"{rank} == 1", household(old, mid, not_among)) == TRUE
    assert ask(f"{rank} == 2", household(mid, not_among, old)) == TRUE
    assert ask(f"{rank} == 0", household(not_among, mid, old)) == TRUE


def test_twins_have_places_of_their_own_whoever_is_asked_first() -> None:
    twins = [person(key, a=True, birth_date=date(2012, 1, 1)) for key in ("x", "y")]
    for others in (twins, twins[::-1]):
        ranks = {
            who.key: evaluate(
                parse("rank_among(registered_household, a)", VOCABULARY),
                Subject(who.key, who.facts, {"registered_household": tuple(others)}),
                PARAMETERS,
                TODAY,
            )
            for who in twins
        }
        assert ranks == {"x": Known(1), "y": Known(2)}


def test_a_place_is_open_only_while_a_missing_fact_could_move_it() -> None:
    me = person("me", a=True, birth_date=date(2012, 1, 1))
    rank = "rank_among(registered_household, a) == 1"
    assert ask(rank, household(me, person("baby", birth_date=date(2020, 1, 1)))) == TRUE
    assert ask(rank, household(me, person("big", birth_date=date(2008, 1, 1)))) == unknown("a")
    assert ask(rank, household(me, person("x", a=True))) == unknown("birth_date")
    assert ask(rank, household(me, person("x", a=False))) == TRUE
    partly = person("x", a=True, birth_date=date(2012, 1, 1), birth_date_latest=date(2012, 12, 31))
    assert ask(rank, household(person("me", a=True, birth_date=date(2012, 6, 1)), partly)) == unknown(
        "birth_date_precise"
    )


# --- explanations -------------------------------------------------------------------------------------------


def reasons(text: str, subject: Subject) -> list[str]:
    tree = parse(text, VOCABULARY)
    return [str(Tree(part.node)) for part in minimal_reasons(tree, subject, PARAMETERS, TODAY)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a && n > 3 && c", ["n > 3"]),
        ("a && (b || n > 3) && income > need", ["b", "n > 3"]),
        ("b || a || c", ["a"]),
        ("a && c", ["a", "c"]),
        ("b || n > 3", ["b", "n > 3"]),
        ("!(a && c)", ["a", "c"]),
        ("a ? n > 1 : b", ["a", "n > 1"]),
        ("b ? a : n > 3", ["b", "n > 3"]),
        ("b || m > 1", ["m > 1"]),
        ("a && (b || income > need)", ["income > need"]),
        ("income > need ? a : b", ["income > need"]),
        ("a && a", ["a"]),
    ],
)
def test_only_what_decides_is_given_as_reason(text: str, expected: list[str]) -> None:
    assert reasons(text, person(a=True, b=False, c=True, n=2)) == expected


def test_the_trace_shows_the_answer_of_every_part() -> None:
    traced = trace(parse("a && (n > 3 || b)", VOCABULARY), person(a=True, n=2), PARAMETERS, TODAY)
    assert traced.result == unknown("b")
    assert [part.result for part in traced.below] == [TRUE, unknown("b")]
    assert [part.result for part in traced.below[1].below] == [FALSE, unknown("b")]


# --- time ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", date(2026, 10, 1)),
        ("b", date(2027, 1, 1)),
        ("n > 1", None),
        ("under(birth_date, 18)", date(2026, 11, 20)),
        ("under(birth_date, 18, month_start)", date(2026, 12, 1)),
        ("under(birth_date, 30)", date(2038, 11, 20)),
        ("today > left_on", date(2026, 9, 21)),
        ("today >= left_on", date(2026, 9, 20)),
        ("today == left_on", date(2026, 9, 20)),
        ("today <= until(a)", date(2026, 10, 1)),
        ("a || n > 1", None),
        ("a && n > 3", None),
        ("m > 1", None),
        ('today < day("2030-01-01")', date(2030, 1, 1)),
    ],
)
def test_the_next_change_is_the_day_on_which_the_answer_is_another(text: str, expected: date | None) -> None:
    subject = person(
        a=stated(value=True, until=date(2026, 9, 30)),
        b=stated(value=True, since=date(2027, 1, 1)),
        n=2,
        birth_date=date(2008, 11, 20),
        left_on=date(2026, 9, 20),
    )
    assert changes_on(parse(text, VOCABULARY), subject, PARAMETERS, TODAY) == expected


def test_a_condition_holds_until_the_last_of_its_grounds_ends() -> None:
    subject = person(
        a=stated(value=True, until=date(2026, 12, 31)), b=stated(value=True, since=date(2027, 1, 1))
    )
    assert holds_until(parse("a", VOCABULARY), subject, PARAMETERS, TODAY) == date(2026, 12, 31)
    assert holds_until(parse("a || b", VOCABULARY), subject, PARAMETERS, TODAY) is None


def test_the_end_of_a_members_benefit_is_seen() -> None:
    family = household(person("p", a=False), person("q", a=stated(value=True, until=date(2026, 10, 31))))
    tree = parse("any_member(registered_household, a)", VOCABULARY)
    assert changes_on(tree, family, PARAMETERS, TODAY) == date(2026, 11, 1)


# --- laws, over many rules and many people ------------------------------------------------------------------

DAYS = st.sampled_from([date(2026, 9, d) for d in (14, 15, 16)] + [date(2026, 2, 28), date(2028, 2, 29)])
INTS = st.sampled_from([-1, 0, 1, 2, 3, 2**62, 2**63 - 1, -(2**63)])


def _grown(make: dict[Type, st.SearchStrategy[Node]]) -> dict[Type, st.SearchStrategy[Node]]:
    boolean, whole, money, day = (make[x] for x in (t.BOOL, t.INT, t.CENTS, t.DAY))
    order = st.sampled_from(sorted(t.OPERATORS))
    several = st.lists(boolean, min_size=2, max_size=3).map(tuple)

    def choice(kind: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        return st.builds(
            t.Choose, st.lists(st.tuples(boolean, kind), min_size=1, max_size=2).map(tuple), kind
        )

    def calculated(kind: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        return st.builds(t.Arithmetic, st.sampled_from("+-"), kind, kind) | st.builds(t.Negative, kind)

    def extreme(kind: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        terms = st.lists(kind, min_size=1, max_size=3).map(tuple)
        return st.builds(t.Extreme, st.sampled_from(["least", "greatest"]), terms)

    return {
        t.BOOL: boolean
        | st.builds(t.Not, boolean)
        | st.builds(t.And, several)
        | st.builds(t.Or, several)
        | st.one_of([st.builds(t.Compare, order, kind, kind) for kind in (whole, money, day)])
        | st.builds(t.Compare, st.sampled_from(["==", "!="]), boolean, boolean)
        | st.builds(
            t.OneOf, whole, st.lists(st.builds(t.Literal, st.just(t.INT), INTS), max_size=2).map(tuple)
        )
        | choice(boolean),
        t.INT: whole
        | calculated(whole)
        | st.builds(t.Arithmetic, st.just("*"), whole, whole)
        | extreme(whole),
        t.CENTS: money
        | calculated(money)
        | st.builds(t.Arithmetic, st.just("*"), whole, money)
        | choice(money),
        t.DAY: day | extreme(day) | choice(day),
    }


def _rules() -> st.SearchStrategy[Tree]:
    make: dict[Type, st.SearchStrategy[Node]] = {
        kind: st.sampled_from(
            [t.Fact(n, f.type) for n, f in FACTS.items() if f.type == kind and "birth" not in n]
        )
        for kind in (t.BOOL, t.INT, t.CENTS, t.DAY)
    }
    stage = st.builds(t.Literal, st.just(STAGE), st.sampled_from(FACTS["stage"].members))
    make[t.BOOL] |= (
        st.builds(
            t.Under,
            st.just("birth_date"),
            st.just("birth_date_latest"),
            st.sampled_from([t.Literal(t.INT, 18), t.Parameter("limit", t.INT)]),
            st.sampled_from(["today", "month_start"]),
        )
        | st.builds(t.Literal, st.just(t.BOOL), st.booleans())
        | st.builds(t.Compare, st.sampled_from(["==", "!="]), st.just(t.Fact("stage", STAGE)), stage)
        | st.builds(t.OneOf, st.just(t.Fact("stage", STAGE)), st.lists(stage, max_size=3).map(tuple))
    )
    make[t.INT] |= st.just(t.Parameter("limit", t.INT)) | st.builds(t.Literal, st.just(t.INT), INTS)
    make[t.CENTS] |= st.just(t.Parameter("price", t.CENTS)) | st.builds(t.Literal, st.just(t.CENTS), INTS)
    make[t.DAY] |= (
        st.just(t.Today())
        | st.builds(t.Until, st.sampled_from(["a", "b", "n"]))
        | st.builds(t.Literal, st.just(t.DAY), DAYS)
    )
    make = _grown(make)
    family = st.just("registered_household")
    inner = make[t.BOOL]
    make[t.BOOL] |= st.builds(t.AnyMember, family, inner)
    make[t.INT] |= st.builds(t.CountMembers, family, inner) | st.builds(
        t.RankAmong, family, inner, st.just("birth_date"), st.just("birth_date_latest")
    )
    return _grown(make)[t.BOOL].map(Tree)


@st.composite
def _statements(draw: st.DrawFn) -> Mapping[str, Stated]:
    values: Mapping[Type, st.SearchStrategy[Value]] = {
        t.BOOL: st.booleans(),
        t.INT: INTS,
        t.CENTS: INTS,
        t.DAY: DAYS,
        STAGE: st.sampled_from(FACTS["stage"].members),
    }
    facts: dict[str, Stated] = {}
    for name, fact in FACTS.items():
        if not draw(st.booleans()):
            continue
        if name == "birth_date":
            birth = draw(
                st.sampled_from([date(2008, 9, 15), date(2008, 9, 16), date(2008, 2, 29), date(2024, 1, 1)])
            )
            facts[name] = stated(birth)
            facts["birth_date_latest"] = stated(birth + timedelta(days=draw(st.sampled_from([0, 0, 30]))))
        elif name != "birth_date_latest":
            since = draw(st.sampled_from([LONG_AGO, date(2026, 9, 10), date(2026, 9, 16)]))
            until = draw(st.sampled_from([None, date(2026, 9, 15), date(2026, 9, 30), date(2027, 2, 28)]))
            facts[name] = stated(draw(values[fact.type]), since, until)
    return facts


@st.composite
def _people(draw: st.DrawFn) -> Subject:
    me = Subject("me", draw(_statements()))
    if draw(st.integers(0, 3)) == 0:
        return me
    return household(me, *(Subject(f"m{n}", draw(_statements())) for n in range(draw(st.integers(0, 2)))))


RULES, PEOPLE = _rules(), _people()


@given(RULES)
def test_a_tree_parses_back_from_what_it_prints(tree: Tree) -> None:
    assert parse(str(tree), VOCABULARY) == tree
    assert Tree.from_json(tree.canonical) == tree


@given(RULES, PEOPLE)
def test_the_trace_and_the_answer_agree(tree: Tree, subject: Subject) -> None:
    traced = trace(tree, subject, PARAMETERS, TODAY)
    assert traced.result == evaluate(tree, subject, PARAMETERS, TODAY)
    assert isinstance(traced.result, Unknown | Fault) or type(traced.result.value) is bool


@given(st.lists(RULES, min_size=2, max_size=4), PEOPLE, st.randoms())
def test_the_order_of_sides_never_matters(trees: list[Tree], subject: Subject, random: object) -> None:
    shuffled = list(trees)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for chain in (t.And, t.Or):
        one, other = (Tree(chain(tuple(x.root for x in order))) for order in (trees, shuffled))
        assert evaluate(one, subject, PARAMETERS, TODAY) == evaluate(other, subject, PARAMETERS, TODAY)


@given(RULES, RULES, PEOPLE)
def test_a_negated_conjunction_is_the_disjunction_of_the_negated(
    one: Tree, two: Tree, subject: Subject
) -> None:
    whole = Tree(t.Not(t.And((one.root, two.root))))
    parts = Tree(t.Or((t.Not(one.root), t.Not(two.root))))
    assert evaluate(whole, subject, PARAMETERS, TODAY) == evaluate(parts, subject, PARAMETERS, TODAY)


@given(RULES, PEOPLE, PEOPLE)
@settings(max_examples=200)
def test_learning_more_never_turns_yes_into_no(tree: Tree, subject: Subject, more: Subject) -> None:
    before = evaluate(tree, subject, PARAMETERS, TODAY)
    learned = Subject(subject.key, {**more.facts, **subject.facts}, subject.households)
    if "registered_household" in subject.households:
        learned = household(
            learned, *(m for m in subject.households["registered_household"] if m.key != "me")
        )
    # The latest possible day belongs to its birth date and is never learned by itself.
    if "birth_date" in subject.facts:
        same = learned.facts.get("birth_date_latest") == subject.facts.get("birth_date_latest")
        assert same
    if isinstance(before, Known):
        assert evaluate(tree, learned, PARAMETERS, TODAY) == before


@given(RULES, PEOPLE)
@settings(max_examples=300)
def test_nothing_changes_before_the_predicted_day_and_something_on_it(tree: Tree, subject: Subject) -> None:
    now, change = evaluate(tree, subject, PARAMETERS, TODAY), changes_on(tree, subject, PARAMETERS, TODAY)
    last = min(change or date(2029, 1, 1), date(2029, 1, 1))
    for days in range((last - TODAY).days):
        assert evaluate(tree, subject, PARAMETERS, TODAY + timedelta(days)) == now
    if change is not None:
        assert evaluate(tree, subject, PARAMETERS, change) != now


@given(RULES, PEOPLE)
def test_between_two_turning_days_the_answer_stands(tree: Tree, subject: Subject) -> None:
    for day, following in pairwise(turning_days(tree, subject, PARAMETERS)):
        if day < following - timedelta(1) and following.year < 9999:
            answers = [evaluate(tree, subject, PARAMETERS, d) for d in (day, following - timedelta(1))]
            assert answers[0] == answers[1]


@given(RULES, PEOPLE)
def test_unknown_names_only_what_the_rule_looks_at(tree: Tree, subject: Subject) -> None:
    result = evaluate(tree, subject, PARAMETERS, TODAY)
    if isinstance(result, Unknown):
        assert {name.removesuffix("_precise") for name in result.facts} <= tree.mentions()
        assert result.facts
