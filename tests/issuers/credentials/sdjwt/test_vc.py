"""Credentials that any wallet takes: what stands in the open, what the days say, who stands behind."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from issuers.credentials.sdjwt import vc
from issuers.credentials.sdjwt.issue import Decoys, Disclosable
from issuers.credentials.sdjwt.reasons import Reason
from issuers.credentials.sdjwt.verify import Accepted, Anchored, Expected, verify
from issuers.credentials.x5c import Anchors
from issuers.status.rules import Reference
from tests.issuers.credentials import chains
from tests.issuers.credentials.sdjwt.making import (
    CHAIN,
    EXPECTED,
    HOLDER,
    ISS,
    NOON,
    STRANGER,
    TRUST,
    VCT,
    a_credential,
    bind,
    choose,
    issued,
    parts_of,
    plain_claims,
    reason,
)


def test_a_credential_of_this_house_is_accepted_with_what_its_holder_chose():
    answer = verify(bind(choose(a_credential(), {"tariff": True})), TRUST, EXPECTED, NOON)

    assert isinstance(answer, Accepted)
    assert answer.claims["tariff"] == "reduced"
    assert answer.claims["city"] == "Musterstadt"
    assert "given_name" not in answer.claims
    assert answer.status == Reference("https://karte.musterstadt.example/status/7", 4711)


def test_issuer_type_key_status_and_times_stand_in_the_open():
    header, payload, _ = parts_of(a_credential(begins=NOON))

    assert header == {"alg": "ES256", "typ": "dc+sd-jwt", "x5c": CHAIN}
    assert {"iss", "vct", "iat", "nbf", "exp", "cnf", "status", "_sd", "_sd_alg", "city"} == payload.keys()
    assert (payload["iss"], payload["vct"]) == (ISS, VCT)
    assert payload["cnf"] == {"jwk": vc.holder_jwk(HOLDER.public_key())}
    assert payload["status"] == {
        "status_list": {"idx": 4711, "uri": "https://karte.musterstadt.example/status/7"}
    }


def test_every_moment_is_rounded_to_the_day():
    early = parts_of(a_credential(now=NOON, begins=NOON, ends=NOON + timedelta(days=10)))[1]
    late = parts_of(
        a_credential(
            now=NOON + timedelta(hours=13, minutes=59),
            begins=NOON + timedelta(seconds=1),
            ends=NOON + timedelta(days=10, hours=14),
        )
    )[1]
    times = {name: (early[name], late[name]) for name in ("iat", "nbf", "exp")}

    assert times == {
        "iat": (_at(2026, 9, 16),) * 2,
        "nbf": (_at(2026, 9, 16),) * 2,
        "exp": (_at(2026, 9, 27),) * 2,
    }


def test_nobody_loses_the_last_day_and_midnight_stays_midnight():
    midnight = datetime(2026, 10, 1, tzinfo=UTC)

    assert parts_of(a_credential(ends=midnight))[1]["exp"] == _at(2026, 10, 1)
    assert parts_of(a_credential(ends=midnight + timedelta(seconds=1)))[1]["exp"] == _at(2026, 10, 2)
    assert parts_of(a_credential(ends=midnight - timedelta(hours=2)))[1]["exp"] == _at(2026, 10, 1)


def _at(*day):
    return int(datetime(*day, tzinfo=UTC).timestamp())


def test_a_credential_that_is_made_now_holds_now():
    assert reason(bind(a_credential(now=NOON, begins=NOON))) is None


def test_credentials_of_one_batch_share_nothing_that_is_random():
    first, second = (parts_of(a_credential(decoys=Decoys(objects=8)))[1] for _ in range(2))

    assert not set(first["_sd"]) & set(second["_sd"])
    assert len(first["_sd"]) == len(second["_sd"]) == 8


@pytest.mark.parametrize("name", ["iss", "nbf", "exp", "iat", "cnf", "vct", "status"])
def test_what_follows_from_the_credential_is_not_handed_in(name):
    with pytest.raises(ValueError, match="follow from the credential"):
        a_credential({name: "x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aka_vcts", Disclosable(["urn:eu:1"])),
        ("aka_vcts", [Disclosable("urn:eu:1")]),
        ("vct#integrity", Disclosable("sha256-x")),
    ],
)
def test_what_must_stand_in_the_open_is_never_hidden(name, value):
    with pytest.raises(ValueError, match="never disclosable"):
        a_credential({name: value})


def test_other_types_of_the_credential_may_be_named():
    presentation = bind(a_credential({"aka_vcts": ["urn:eu:1"]}))

    answer = verify(presentation, TRUST, Expected(EXPECTED.binding, vcts=["urn:eu:1"]), NOON)

    assert isinstance(answer, Accepted)


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP256K1()], ids=lambda curve: curve.name)
def test_a_holders_key_is_on_p256(curve):
    with pytest.raises(ValueError, match="P-256"):
        vc.holder_jwk(ec.generate_private_key(curve).public_key())


@pytest.mark.parametrize("spoiled", [{"issuer": ""}, {"vct": ""}, {"x5c": []}])
def test_a_kind_names_issuer_type_and_chain(spoiled):
    with pytest.raises(ValueError, match="names its issuer"):
        vc.prepare(**({"issuer": ISS, "vct": VCT, "x5c": ["Zm9v"]} | spoiled))


# ---- who stands behind ----


ANCHORED = Anchored(Anchors([chains.root()]))


def test_a_credential_is_trusted_by_its_chain():
    answer = verify(bind(a_credential()), ANCHORED, EXPECTED, NOON)

    assert isinstance(answer, Accepted)
    assert len(answer.authority_key_ids) == 2


def test_a_chain_to_nobody_known_is_refused():
    assert reason(bind(a_credential()), trust=Anchored(Anchors([]))) is Reason.CHAIN
    assert reason(bind(a_credential()), trust=Anchored(Anchors([chains.root(ca=False)]))) is Reason.CHAIN
    assert reason(bind(issued(plain_claims())), trust=ANCHORED) is Reason.CHAIN


def test_a_sound_chain_does_not_help_another_key():
    assert reason(bind(issued(plain_claims(), key=STRANGER, x5c=CHAIN)), trust=ANCHORED) is Reason.SIGNATURE
    assert reason(bind(issued(plain_claims(), key=STRANGER, x5c=CHAIN))) is Reason.SIGNATURE


def test_a_known_key_does_not_help_a_certificate_for_another():
    assert reason(bind(issued(plain_claims(), x5c=CHAIN))) is None
    strange = chains.x5c(chains.leaf(STRANGER))
    assert reason(bind(issued(plain_claims(), x5c=strange))) is Reason.UNKNOWN_KEY


def test_a_chain_that_has_run_out_ends_what_it_vouched_for():
    late = NOON + timedelta(days=301)
    credential = bind(a_credential(ends=late + timedelta(days=9)), at=late)

    assert reason(credential, now=late) is None
    assert reason(credential, now=late, trust=ANCHORED) is Reason.CHAIN
