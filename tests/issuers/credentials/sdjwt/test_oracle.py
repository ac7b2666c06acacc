"""What this house issues, the reference implementation takes; what that issues and presents, this house takes."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from jwcrypto.jwk import JWK
from sd_jwt.common import SDObj
from sd_jwt.holder import SDJWTHolder
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

from issuers.credentials.sdjwt import vc
from issuers.credentials.sdjwt.issue import Decoys, Disclosable, conceal
from issuers.credentials.sdjwt.verify import Accepted, verify
from tests.issuers.credentials.sdjwt.making import (
    ASKED,
    EXPECTED,
    HOLDER,
    ISSUER,
    NOON,
    TRUST,
    a_credential,
    b64,
    bind,
    choose,
    parts_of,
    plain_claims,
    unb64,
)

OURS = {
    "given_name": Disclosable("Zoë"),
    "age": Disclosable({"over18": Disclosable(True), "over65": Disclosable(False)}),
    "nationalities": [Disclosable("DE"), Disclosable("FR"), "AT"],
    "nothing": Disclosable(None),
    "city": "Musterstadt",
}
THEIRS = {
    SDObj("given_name"): "Zoë",
    SDObj("age"): {SDObj("over18"): True, SDObj("over65"): False},
    "nationalities": [SDObj("DE"), SDObj("FR"), "AT"],
    SDObj("nothing"): None,
    "city": "Musterstadt",
}
SHOWN = {"given_name": True, "age": {"over18": True}, "nationalities": [False, True]}
SEEN = {"given_name": "Zoë", "age": {"over18": True}, "nationalities": ["FR", "AT"], "city": "Musterstadt"}


def _jwk(private):
    secret = private.private_numbers().private_value.to_bytes(32, "big")
    return JWK(**vc.holder_jwk(private.public_key()), d=b64(secret))


def _theirs(**options):
    open_claims = {name: value for name, value in plain_claims().items() if name not in {"cnf", "_sd_alg"}}
    return SDJWTIssuer(
        THEIRS | open_claims,
        _jwk(ISSUER),
        holder_key=JWK(**vc.holder_jwk(HOLDER.public_key())),
        extra_header_parameters={"typ": "dc+sd-jwt"},
        **options,
    )


def _presented(sd_jwt):
    holder = SDJWTHolder(sd_jwt)
    holder.create_presentation(SHOWN, ASKED.nonce, ASKED.audience, _jwk(HOLDER))
    return holder.sd_jwt_presentation


def _seen(claims):
    return {name: claims.get(name) for name in SEEN} | ({"nothing": 1} if "nothing" in claims else {})


@pytest.mark.parametrize("decoys", [Decoys(), Decoys(objects=8, arrays=5)])
def test_the_reference_verifier_takes_what_this_house_issued(decoys):
    presentation = bind(choose(a_credential(OURS, decoys=decoys), SHOWN))

    verifier = SDJWTVerifier(presentation, lambda _iss, _header: _jwk(ISSUER), ASKED.audience, ASKED.nonce)

    assert _seen(verifier.get_verified_payload()) == SEEN


def test_the_reference_holder_presents_what_this_house_issued():
    now = datetime.now(UTC)  # the reference asks the machine what time it is

    presentation = _presented(a_credential(OURS, now=now, ends=now + timedelta(days=1)))
    answer = verify(presentation, TRUST, EXPECTED, now + timedelta(seconds=1))

    assert isinstance(answer, Accepted), answer
    assert _seen(answer.claims) == SEEN


@pytest.mark.parametrize("decoys", [False, True])
def test_this_house_takes_what_the_reference_issued(decoys):
    presentation = bind(choose(_theirs(add_decoy_claims=decoys).sd_jwt_issuance, SHOWN))

    answer = verify(presentation, TRUST, EXPECTED, NOON)

    assert isinstance(answer, Accepted), answer
    assert _seen(answer.claims) == SEEN


def test_the_same_salts_make_the_same_digests():
    issued = _theirs().sd_jwt_issuance
    _header, payload, disclosures = parts_of(issued)
    salts = iter([unb64(one)[0] for one in disclosures])

    made = conceal(OURS, encode=lambda value: json.dumps(value).encode(), salts=salts)

    assert sorted(made.disclosures) == sorted(disclosures)
    assert made.payload["_sd"] == payload["_sd"]
    assert made.payload["nationalities"] == payload["nationalities"]
