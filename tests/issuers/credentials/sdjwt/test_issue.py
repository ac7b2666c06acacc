"""What is hidden, how, and what is never signed."""

import base64
import hashlib
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import p256
from issuers.credentials.sdjwt.disclosing import disclose, hash_of
from issuers.credentials.sdjwt.issue import (
    Decoys,
    Disclosable,
    conceal,
    draw_salts,
    seal_header,
    sign_concealed,
)
from tests.issuers.credentials.sdjwt.making import ISSUER, digest, parts_of, unb64


def _opened(made):
    return disclose(made.payload, made.disclosures, hash_of(made.payload))


def test_a_hidden_claim_leaves_only_a_digest():
    made = conceal({"city": "Musterstadt", "given_name": Disclosable("Zoë")})

    assert made.payload == {"_sd": [digest(made.disclosures[0])], "city": "Musterstadt", "_sd_alg": "sha-256"}
    assert unb64(made.disclosures[0])[1:] == ["given_name", "Zoë"]


def test_objects_and_lists_hide_at_every_level():
    claims = {
        "address": Disclosable({"city": Disclosable("Musterstadt"), "country": "DE"}),
        "nationalities": [Disclosable("DE"), "FR", Disclosable(["AT", Disclosable("CH")])],
    }
    made = conceal(claims)

    assert len(made.disclosures) == 5
    assert _opened(made) == {
        "address": {"city": "Musterstadt", "country": "DE"},
        "nationalities": ["DE", "FR", ["AT", "CH"]],
    }


def test_a_claim_set_without_secrets_says_nothing_of_digests():
    assert conceal({"city": "Musterstadt"}).payload == {"city": "Musterstadt"}


def test_the_order_of_digests_says_nothing_about_the_order_of_claims():
    made = [conceal({name: Disclosable(name) for name in "abcdef"}) for _ in range(20)]

    assert all(one.payload["_sd"] == sorted(one.payload["_sd"]) for one in made)
    first = {next(unb64(d)[1] for d in one.disclosures if digest(d) == one.payload["_sd"][0]) for one in made}
    assert len(first) > 1


def test_decoys_make_every_credential_of_a_type_have_as_many_digests():
    few = conceal({"a": Disclosable(1), "list": [Disclosable(1)]}, decoys=Decoys(objects=6, arrays=4))
    many = conceal(
        {name: Disclosable(1) for name in "abcdef"} | {"list": [Disclosable(1), Disclosable(2)]},
        decoys=Decoys(objects=6, arrays=4),
    )

    assert len(few.payload["_sd"]) == len(many.payload["_sd"]) == 6
    assert len(few.payload["list"]) == len(many.payload["list"]) == 4
    assert len(few.disclosures) == 2
    assert {len(one) for one in few.payload["_sd"]} == {43}
    assert _opened(few) == {"a": 1, "list": [1]}


def test_salts_have_128_bits_or_more_and_never_come_again():
    salts = []
    for _ in range(50):
        made = conceal({name: Disclosable(1) for name in "abcdef"})
        salts += [unb64(one)[0] for one in made.disclosures]

    assert len(set(salts)) == 300
    assert all(len(base64.urlsafe_b64decode(salt)) >= 16 for salt in salts)


def test_decoys_are_digests_like_all_others():
    made = conceal({"a": Disclosable(1), "b": [Disclosable(2)]}, decoys=Decoys(objects=4, arrays=3))

    digests = [*made.payload["_sd"], *(one["..."] for one in made.payload["b"])]
    assert len(set(digests)) == 7
    assert {len(base64.urlsafe_b64decode(one + "=")) for one in digests} == {32}


def test_no_salt_is_given_twice_however_many_are_asked_for():
    drawn = list(islice(draw_salts(), 1_000))

    assert len(set(drawn)) == 1_000
    assert {len(base64.urlsafe_b64decode(one)) for one in drawn} == {18}


@pytest.mark.parametrize("name", ["_sd", "...", "_sd_alg"])
def test_names_that_mean_something_else_are_not_signed(name):
    for claims in (
        {name: 1},
        {name: Disclosable(1)},
        {"a": {name: 1}},
        {"a": [{name: 1}]},
        {"a": Disclosable({name: 1})},
    ):
        with pytest.raises(ValueError, match="cannot be a claim's"):
            conceal(claims)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), object(), b"octets", {1, 2}, Disclosable(Disclosable(1)), {7: 1}]
)
def test_what_is_no_json_is_not_signed(value):
    with pytest.raises(ValueError, match=r"JSON|claim's"):
        conceal({"a": value})
    with pytest.raises(ValueError, match=r"JSON|claim's"):
        conceal({"a": [Disclosable(value)]})


def test_the_signed_token_is_the_header_the_payload_and_every_disclosure():
    made = conceal({"given_name": Disclosable("Zoë"), "city": "Ålesund"})
    header = seal_header({"alg": "ES256", "typ": "example+sd-jwt"})

    sd_jwt = sign_concealed(made, header, lambda data: p256.sign(ISSUER, data))

    assert parts_of(sd_jwt) == (
        {"alg": "ES256", "typ": "example+sd-jwt"},
        made.payload,
        list(made.disclosures),
    )
    signed, _, signature = sd_jwt.split("~")[0].rpartition(".")
    assert p256.verify(ISSUER.public_key(), signed.encode(), base64.urlsafe_b64decode(signature + "=="))
    assert " " not in sd_jwt
    assert sd_jwt.endswith("~")


def _hidden(value):
    return value if isinstance(value, Disclosable) else Disclosable(value)


_NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(
    lambda name: name not in {"_sd", "...", "_sd_alg"}
)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner | inner.map(_hidden), max_size=3)
        | st.dictionaries(_NAMES, inner | inner.map(_hidden), max_size=3)
    ),
    max_leaves=10,
)


def _shown(value):
    match value:
        case Disclosable():
            return _shown(value.value)
        case dict():
            return {name: _shown(inner) for name, inner in value.items()}
        case list():
            return [_shown(inner) for inner in value]
        case _:
            return value


@given(claims=st.dictionaries(_NAMES, _VALUES | _VALUES.map(_hidden), max_size=5), fill=st.integers(0, 5))
def test_whatever_is_hidden_comes_back_when_all_of_it_is_disclosed(claims, fill):
    made = conceal(claims, decoys=Decoys(fill, fill))

    assert _opened(made) == _shown(claims)
    assert len({digest(one, hashlib.sha256) for one in made.disclosures}) == len(made.disclosures)
