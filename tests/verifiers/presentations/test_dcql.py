"""What may be asked, said precisely where it may not, and what counts as an answer."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import DomainError
from verifiers.presentations.dcql import (
    ClaimQuery,
    CredentialQuery,
    CredentialSetQuery,
    Presented,
    Query,
    QueryRefused,
    Satisfied,
    TrustedAuthorities,
    Unmet,
    Unsatisfied,
    evaluate,
    read_query,
    select,
)

EXAMPLES = sorted((Path(__file__).parents[2] / "data/vp/query_lang").glob("*.json"))
VCT = "urn:de.musterstadt:karte:1"
AKI = "s9tIpPmhxdiuNkHMEWNpYim8S8Y"


def a_credential(**changes):
    whole = {"id": "card", "format": "dc+sd-jwt", "meta": {"vct_values": [VCT]}} | changes
    return {name: value for name, value in whole.items() if value is not None}


def a_query(*credentials, **changes):
    return {"credentials": list(credentials or [a_credential()])} | changes


def presented(**changes):
    claims = {
        "given_name": "Zoë",
        "tariff": "reduced",
        "address": {"city": "Musterstadt", "zip": "12345"},
        "nationalities": ["DE", "FR"],
        "degrees": [{"type": "A"}, {"type": "B"}],
        "number": 1,
        "flag": True,
    }
    return Presented(
        **(
            {"format": "dc+sd-jwt", "types": (VCT,), "claims": claims, "holder_bound": True}
            | {"authority_key_ids": frozenset({AKI})}
            | changes
        )
    )


def answer(query, **credentials):
    return evaluate(read_query(query), {name: list(values) for name, values in credentials.items()})


# ---- reading ----


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_published_query_is_read_and_written_as_it_was(path):
    published = json.loads(path.read_text(encoding="utf-8"))

    assert read_query(published).as_json() == published


def test_seven_queries_are_published():
    assert len(EXAMPLES) == 7


def test_everything_a_query_can_say_comes_back_as_it_was():
    said = a_query(
        a_credential(
            multiple=True,
            require_cryptographic_holder_binding=False,
            trusted_authorities=[
                {"type": "aki", "values": [AKI]},
                {"type": "etsi_tl", "values": ["https://a"]},
            ],
            claims=[
                {"id": "a", "path": ["given_name"], "values": ["Zoë", 1, True]},
                {"id": "b", "path": ["list", None, 0, "x"]},
            ],
            claim_sets=[["a", "b"], ["b"]],
        ),
        a_credential(id="other"),
        credential_sets=[
            {"options": [["card", "other"], ["other"]]},
            {"options": [["card"]], "required": False},
        ],
    )

    assert read_query(said).as_json() == said


def test_defaults_may_be_written_out_and_are_understood():
    said = a_query(
        a_credential(multiple=False, require_cryptographic_holder_binding=True),
        credential_sets=[{"options": [["card"]], "required": True}],
    )

    assert read_query(said) == Query(
        (CredentialQuery("card", "dc+sd-jwt", {"vct_values": [VCT]}),), (CredentialSetQuery((("card",),)),)
    )


def test_unknown_members_are_passed_over():
    said = a_query(a_credential(claims=[{"path": ["a"], "new": 1}], new=2), new=3)

    assert read_query(said) == Query(
        (CredentialQuery("card", "dc+sd-jwt", {"vct_values": [VCT]}, (ClaimQuery(("a",)),)),)
    )


def claims(*entries, **changes):
    return a_query(a_credential(claims=list(entries), **changes))


REFUSED = [
    (None, "", "object"),
    ([], "", "object"),
    ({}, "credentials", "missing"),
    ({"credentials": []}, "credentials", "at least one"),
    ({"credentials": {}}, "credentials", "list"),
    ({"credentials": [7]}, "credentials[0]", "object"),
    (a_query(a_credential(id=None)), "credentials[0].id", "letters"),
    (a_query(a_credential(id="")), "credentials[0].id", "letters"),
    (a_query(a_credential(id="my card")), "credentials[0].id", "letters"),
    (a_query(a_credential(id="karte\n")), "credentials[0].id", "letters"),
    (a_query(a_credential(), a_credential()), "credentials", "twice"),
    (a_query(a_credential(format=None)), "credentials[0].format", "format"),
    (a_query(a_credential(format=7)), "credentials[0].format", "format"),
    (a_query(a_credential(meta=None)), "credentials[0].meta", "object"),
    (a_query(a_credential(meta=[])), "credentials[0].meta", "object"),
    (a_query(a_credential(meta={})), "credentials[0].meta.vct_values", "missing"),
    (a_query(a_credential(meta={"vct_values": []})), "credentials[0].meta.vct_values", "at least one"),
    (a_query(a_credential(meta={"vct_values": [7]})), "credentials[0].meta.vct_values[0]", "text"),
    (a_query(a_credential(format="mso_mdoc", meta={})), "credentials[0].meta.doctype_value", "text"),
    (a_query(a_credential(format="ldp_vc", meta={})), "credentials[0].meta.type_values", "missing"),
    (
        a_query(a_credential(format="jwt_vc_json", meta={"type_values": ["A"]})),
        "credentials[0].meta.type_values[0]",
        "list",
    ),
    (a_query(a_credential(multiple="yes")), "credentials[0].multiple", "true or false"),
    (a_query(a_credential(multiple=1)), "credentials[0].multiple", "true or false"),
    (
        a_query(a_credential(require_cryptographic_holder_binding="no")),
        "credentials[0].require_cryptographic_holder_binding",
        "true or false",
    ),
    (a_query(a_credential(trusted_authorities=[])), "credentials[0].trusted_authorities", "at least one"),
    (
        a_query(a_credential(trusted_authorities=[{"values": ["a"]}])),
        "credentials[0].trusted_authorities[0].type",
        "text",
    ),
    (
        a_query(a_credential(trusted_authorities=[{"type": "aki"}])),
        "credentials[0].trusted_authorities[0].values",
        "missing",
    ),
    (
        a_query(a_credential(trusted_authorities=[{"type": "aki", "values": ["a=="]}])),
        "credentials[0].trusted_authorities[0].values[0]",
        "base64url",
    ),
    (a_query(a_credential(claims=[])), "credentials[0].claims", "at least one"),
    (claims(7), "credentials[0].claims[0]", "object"),
    (claims({}), "credentials[0].claims[0].path", "missing"),
    (claims({"path": []}), "credentials[0].claims[0].path", "at least one"),
    (claims({"path": "a"}), "credentials[0].claims[0].path", "list"),
    (claims({"path": [True]}), "credentials[0].claims[0].path[0]", "position"),
    (claims({"path": ["a", -1]}), "credentials[0].claims[0].path[1]", "counted from 0"),
    (claims({"path": ["a", 1.5]}), "credentials[0].claims[0].path[1]", "position"),
    (claims({"path": [["a"]]}), "credentials[0].claims[0].path[0]", "position"),
    (claims({"path": ["a"], "id": "ä"}), "credentials[0].claims[0].id", "letters"),
    (claims({"path": ["a"], "id": None}), "credentials[0].claims[0].id", "letters"),
    (claims({"path": ["a"], "values": []}), "credentials[0].claims[0].values", "at least one"),
    (claims({"path": ["a"], "values": [1.5]}), "credentials[0].claims[0].values[0]", "whole number"),
    (claims({"path": ["a"], "values": [None]}), "credentials[0].claims[0].values[0]", "whole number"),
    (claims({"path": ["a"]}, {"path": ["a"]}), "credentials[0].claims", "path stands twice"),
    (
        claims({"path": ["a"], "id": "x"}, {"path": ["b"], "id": "x"}),
        "credentials[0].claims",
        "id stands twice",
    ),
    (a_query(a_credential(claim_sets=[["a"]])), "credentials[0].claim_sets", "without claims"),
    (claims({"path": ["a"]}, claim_sets=[["a"]]), "credentials[0].claims", "need an id"),
    (claims({"path": ["a"], "id": "a"}, claim_sets=[]), "credentials[0].claim_sets", "at least one"),
    (claims({"path": ["a"], "id": "a"}, claim_sets=[[]]), "credentials[0].claim_sets[0]", "at least one"),
    (
        claims({"path": ["a"], "id": "a"}, claim_sets=[["b"]]),
        "credentials[0].claim_sets[0][0]",
        "names nothing",
    ),
    (claims({"path": ["a"], "id": "a"}, claim_sets=[["a", "a"]]), "credentials[0].claim_sets[0]", "twice"),
    (
        a_query(a_credential(format="mso_mdoc", meta={"doctype_value": "d"}, claims=[{"path": ["one"]}])),
        "credentials[0].claims[0].path",
        "namespace",
    ),
    (a_query(credential_sets=[]), "credential_sets", "at least one"),
    (a_query(credential_sets=[{}]), "credential_sets[0].options", "missing"),
    (a_query(credential_sets=[{"options": []}]), "credential_sets[0].options", "at least one"),
    (a_query(credential_sets=[{"options": [[]]}]), "credential_sets[0].options[0]", "at least one"),
    (a_query(credential_sets=[{"options": [["pass"]]}]), "credential_sets[0].options[0][0]", "names nothing"),
    (
        a_query(credential_sets=[{"options": [["card"]], "required": None}]),
        "credential_sets[0].required",
        "true or false",
    ),
    (a_query(*[a_credential(id=f"c{number}") for number in range(101)]), "credentials", "more than 100"),
]


@pytest.mark.parametrize(
    ("document", "at", "why"), REFUSED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_is_no_query_is_refused_with_its_place_and_the_rule(document, at, why):
    with pytest.raises(QueryRefused) as refused:
        read_query(document)

    assert refused.value.at == at
    assert why in refused.value.why
    assert isinstance(refused.value, DomainError)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "credentials",
                    "id",
                    "format",
                    "meta",
                    "vct_values",
                    "claims",
                    "path",
                    "values",
                    "claim_sets",
                ]
            ),
            inner,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=200)
@given(document=_JSON, claim=_JSON)
def test_any_document_is_a_query_or_refused(document, claim):
    for one in (document, a_query(document), claims({"path": ["a"], "values": document}, claim)):
        try:
            query = read_query(one)
        except QueryRefused:
            continue
        assert read_query(query.as_json()) == query


# ---- paths ----

ARTHUR = {
    "name": "Arthur Dent",
    "address": {"street_address": "42 Market Street", "locality": "Milliways", "postal_code": "12345"},
    "degrees": [
        {"type": "Bachelor of Science", "university": "University of Betelgeuse"},
        {"type": "Master of Science", "university": "University of Betelgeuse"},
    ],
    "nationalities": ["British", "Betelgeusian"],
}


@pytest.mark.parametrize(
    ("path", "selected"),
    [
        (("name",), ["Arthur Dent"]),
        (("address",), [ARTHUR["address"]]),
        (("address", "street_address"), ["42 Market Street"]),
        (("degrees", None, "type"), ["Bachelor of Science", "Master of Science"]),
        (("nationalities", 1), ["Betelgeusian"]),
        (("nationalities", None), ["British", "Betelgeusian"]),
        (("nationalities", 2), []),
        (("nationalities", "British"), []),
        (("nobody",), []),
        (("name", "first"), []),
        (("name", None), []),
        (("address", 0), []),
        (("address", None), []),
        ((0,), []),
        ((None,), []),
        (("degrees", None, "place"), []),
    ],
)
def test_a_path_selects_what_the_specification_says(path, selected):
    assert select(path, ARTHUR) == selected


def test_elements_without_the_name_are_left_out_and_of_another_kind_end_the_search():
    assert select(("list", None, "a"), {"list": [{"a": 1}, {"b": 2}]}) == [1]
    assert select(("list", None, "a"), {"list": [{"a": 1}, "text"]}) == []
    assert select(("list", None, 0), {"list": [[1], [], [2]]}) == [1, 2]


# ---- answers ----


def test_a_credential_of_the_type_answers_a_query_without_claims():
    assert answer(a_query(), card=[presented()]) == Satisfied(frozenset({"card"}))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"format": "mso_mdoc"}, Unmet.FORMAT),
        ({"types": ("urn:another:1",)}, Unmet.TYPE),
        ({"types": ()}, Unmet.TYPE),
        ({"holder_bound": False}, Unmet.HOLDER_BINDING),
        ({"authority_key_ids": frozenset({"another"})}, Unmet.AUTHORITY),
        ({"authority_key_ids": frozenset()}, Unmet.AUTHORITY),
    ],
)
def test_another_credential_than_was_asked_for_is_no_answer(changes, why):
    query = a_query(a_credential(trusted_authorities=[{"type": "aki", "values": ["other", AKI]}]))

    assert answer(query, card=[presented()]) == Satisfied(frozenset({"card"}))
    assert answer(query, card=[presented(**changes)]) == Unsatisfied(why, "card")


def test_an_additional_type_counts():
    assert isinstance(answer(a_query(), card=[presented(types=("urn:de:1", VCT))]), Satisfied)


def test_frameworks_that_cannot_be_seen_in_a_credential_match_nothing():
    query = a_query(a_credential(trusted_authorities=[{"type": "etsi_tl", "values": ["https://a"]}]))

    assert read_query(query).credentials[0].trusted_authorities == (
        TrustedAuthorities("etsi_tl", ("https://a",)),
    )
    assert answer(query, card=[presented()]) == Unsatisfied(Unmet.AUTHORITY, "card")


def test_a_proof_of_the_holder_may_be_left_out_where_the_query_says_so():
    query = a_query(a_credential(require_cryptographic_holder_binding=False))

    assert isinstance(answer(query, card=[presented(holder_bound=False)]), Satisfied)


def test_one_credential_is_one_unless_several_are_asked_for():
    two = [presented(), presented()]

    assert answer(a_query(), card=two) == Unsatisfied(Unmet.TOO_MANY, "card")
    assert isinstance(answer(a_query(a_credential(multiple=True)), card=two), Satisfied)
    assert answer(a_query(), card=[]) == Unsatisfied(Unmet.NOTHING_PRESENTED, "card")
    mixed = [presented(), presented(types=())]
    assert answer(a_query(a_credential(multiple=True)), card=mixed) == Unsatisfied(Unmet.TYPE, "card")


def test_every_claim_must_be_there():
    query = claims(
        {"path": ["given_name"]}, {"path": ["address", "city"]}, {"path": ["degrees", None, "type"]}
    )

    assert isinstance(answer(query, card=[presented()]), Satisfied)
    missing = answer(query, card=[presented(claims={"given_name": "Zoë", "address": {}})])
    assert missing == Unsatisfied(Unmet.CLAIM, "card", ("address", "city"))


@pytest.mark.parametrize(
    ("path", "values", "met"),
    [
        (["tariff"], ["free", "reduced"], True),
        (["tariff"], ["free"], False),
        (["number"], [1], True),
        (["number"], [True], False),
        (["number"], ["1"], False),
        (["flag"], [True], True),
        (["flag"], [1], False),
        (["nationalities", None], ["FR"], True),
        (["nationalities", None], ["AT"], False),
        (["nationalities"], ["FR"], False),
    ],
)
def test_values_are_checked_again_by_type_and_value(path, values, met):
    query = claims({"path": path, "values": values})

    expected = Satisfied(frozenset({"card"})) if met else Unsatisfied(Unmet.CLAIM, "card", tuple(path))
    assert answer(query, card=[presented()]) == expected


def test_one_of_the_claim_sets_is_enough():
    query = claims(
        {"id": "a", "path": ["given_name"]},
        {"id": "b", "path": ["birthdate"]},
        {"id": "c", "path": ["tariff"]},
        claim_sets=[["a", "b"], ["c"]],
    )

    assert isinstance(answer(query, card=[presented()]), Satisfied)
    assert isinstance(answer(query, card=[presented(claims={"tariff": "x"})]), Satisfied)
    assert isinstance(
        answer(query, card=[presented(claims={"given_name": "x", "birthdate": "y"})]), Satisfied
    )
    assert answer(query, card=[presented(claims={"given_name": "x"})]) == Unsatisfied(
        Unmet.CLAIM, "card", ("birthdate",)
    )


def test_without_sets_every_credential_is_needed():
    query = a_query(a_credential(), a_credential(id="other"))

    assert answer(query, card=[presented()]) == Unsatisfied(Unmet.CREDENTIAL_MISSING, "other")
    assert answer(query) == Unsatisfied(Unmet.CREDENTIAL_MISSING, "card")
    both = answer(query, card=[presented()], other=[presented()])
    assert both == Satisfied(frozenset({"card", "other"}))


def test_of_a_required_set_one_option_must_be_whole():
    query = a_query(
        a_credential(),
        a_credential(id="first"),
        a_credential(id="second"),
        a_credential(id="extra"),
        credential_sets=[
            {"options": [["card"], ["first", "second"]]},
            {"options": [["extra"]], "required": False},
        ],
    )

    assert isinstance(answer(query, card=[presented()]), Satisfied)
    assert isinstance(answer(query, first=[presented()], second=[presented()]), Satisfied)
    assert isinstance(answer(query, card=[presented()], extra=[presented()]), Satisfied)
    assert answer(query, first=[presented()]) == Unsatisfied(Unmet.CREDENTIAL_SET)
    assert answer(query, extra=[presented()]) == Unsatisfied(Unmet.CREDENTIAL_SET)


def test_what_comes_unneeded_must_be_right_all_the_same():
    query = a_query(a_credential(), a_credential(id="extra"), credential_sets=[{"options": [["card"]]}])

    wrong = answer(query, card=[presented()], extra=[presented(types=())])
    assert wrong == Unsatisfied(Unmet.TYPE, "extra")


def test_what_nobody_asked_for_is_no_answer():
    assert answer(a_query(), card=[presented()], passport=[presented()]) == Unsatisfied(
        Unmet.UNKNOWN_CREDENTIAL
    )


def test_credentials_of_other_formats_are_matched_by_what_they_call_a_type():
    mdoc = a_credential(
        format="mso_mdoc",
        meta={"doctype_value": "org.iso.18013.5.1.mDL"},
        claims=[{"path": ["org.iso.18013.5.1", "given_name"]}],
    )
    given = {"org.iso.18013.5.1": {"given_name": "Zoë"}}
    licence = presented(format="mso_mdoc", types=("org.iso.18013.5.1.mDL",), claims=given)

    assert isinstance(answer(a_query(mdoc), card=[licence]), Satisfied)
    linked = a_credential(format="ldp_vc", meta={"type_values": [["A"], ["B", "C"]]})
    assert isinstance(answer(a_query(linked), card=[presented(format="ldp_vc", types=("C", "B"))]), Satisfied)
    assert answer(a_query(linked), card=[presented(format="ldp_vc", types=("B",))]) == Unsatisfied(
        Unmet.TYPE, "card"
    )
