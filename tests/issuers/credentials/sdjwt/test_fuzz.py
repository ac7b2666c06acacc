"""Whatever is presented is answered: with Refused, never with an exception, and never with a wrong yes."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from issuers.credentials.sdjwt.issue import Disclosable
from issuers.credentials.sdjwt.reasons import Reason
from issuers.credentials.sdjwt.verify import Accepted, Expected, Refused, verify
from tests.issuers.credentials.sdjwt.making import (
    EXPECTED,
    NOON,
    TRUST,
    a_credential,
    b64,
    bind,
    digest,
    issued,
    plain_claims,
)

CLAIMS = {
    "given_name": Disclosable("Zoë"),
    "address": Disclosable({"city": Disclosable("Musterstadt"), "country": "DE"}),
    "nationalities": [Disclosable("DE"), Disclosable("FR")],
}
SOUND = bind(a_credential(CLAIMS))


def test_the_presentation_that_is_spoiled_below_is_sound():
    assert isinstance(verify(SOUND, TRUST, EXPECTED, NOON), Accepted)


@settings(max_examples=150)
@given(at=st.integers(0, len(SOUND) - 1), new=st.characters(), cut=st.integers(0, 3))
def test_no_changed_character_is_accepted(at, new, cut):
    spoiled = SOUND[:at] + new + SOUND[at + cut :]

    answer = verify(spoiled, TRUST, EXPECTED, NOON)

    assert isinstance(answer, Refused) or spoiled == SOUND


@settings(max_examples=100)
@given(
    pieces=st.lists(
        st.sampled_from(SOUND.split("~") + SOUND.split(".") + ["", "~", ".", "{}", "e30"]), max_size=12
    ),
    glue=st.sampled_from(["~", "."]),
)
def test_no_other_arrangement_of_the_same_parts_is_accepted(pieces, glue):
    arranged = glue.join(pieces)

    assert isinstance(verify(arranged, TRUST, EXPECTED, NOON), Refused) or arranged == SOUND


@given(text=st.text(max_size=300) | st.text('~.{}[]":,eyJ0_-=', max_size=300))
def test_any_text_is_refused(text):
    assert isinstance(verify(text, TRUST, EXPECTED, NOON), Refused)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["_sd", "...", "_sd_alg", "cnf", "jwk", "status", "status_list", "idx", "x", "a"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_CLAIM = st.sampled_from(
    [*plain_claims(), "nbf", "sub", "aka_vcts", "vct#integrity", "_sd", "...", "nationalities"]
)


@settings(max_examples=150)
@given(changes=st.dictionaries(_CLAIM, _JSON, max_size=4), disclosures=st.lists(_JSON.map(b64), max_size=3))
def test_a_careless_or_hostile_issuer_raises_nothing(changes, disclosures):
    claims = plain_claims() | {"_sd": [digest(one) for one in disclosures]} | changes
    presentation = bind(issued(claims, disclosures))

    for expected in (EXPECTED, Expected(None)):
        answer = verify(presentation, TRUST, expected, NOON)
        assert isinstance(answer, Accepted | Refused)
        if isinstance(answer, Accepted):
            assert "_sd" not in json.dumps(answer.claims)


@settings(max_examples=100)
@given(
    header=st.dictionaries(st.sampled_from(["alg", "typ", "kid", "x5c", "crit", "jwk"]), _JSON, max_size=3),
    claims=st.dictionaries(
        st.sampled_from(["aud", "nonce", "iat", "nbf", "exp", "sd_hash"]), _JSON, max_size=3
    ),
)
def test_a_careless_or_hostile_holder_raises_nothing(header, claims):
    answer = verify(bind(a_credential(CLAIMS), header=header, **claims), TRUST, EXPECTED, NOON)

    if isinstance(answer, Refused):
        assert answer.reason.value.startswith("binding-")
    else:
        assert not {"aud", "nonce", "sd_hash", "alg", "typ", "crit", "jwk"} & {
            name for name, value in (header | claims).items() if value is not None
        }


@settings(max_examples=100)
@given(header=st.dictionaries(st.sampled_from(["alg", "typ", "kid", "x5c", "crit"]), _JSON, min_size=1))
def test_a_header_that_was_not_agreed_on_raises_nothing(header):
    answer = verify(bind(issued(plain_claims(), **header)), TRUST, EXPECTED, NOON)

    assert isinstance(answer, Accepted | Refused)


@given(
    document=_JSON
    | st.dictionaries(
        st.sampled_from(
            ["payload", "protected", "signature", "signatures", "header", "disclosures", "kb_jwt"]
        ),
        _JSON,
    )
)
def test_any_json_document_is_refused(document):
    answer = verify(json.dumps(document), TRUST, EXPECTED, NOON)

    assert isinstance(answer, Refused)
    assert answer.reason in {Reason.MALFORMED, Reason.BINDING_MISSING, Reason.ALGORITHM}
