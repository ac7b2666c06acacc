"""The npm library takes what this house issues, reads our status lists as we do, and refuses what was spoiled."""

from datetime import timedelta

from core import p256
from core.jose import jwk
from issuers.credentials.sdjwt.issue import Decoys, Disclosable
from issuers.status.rules import Reference, Status, StatusList, StatusListToken
from tests.issuers.credentials.sdjwt.making import (
    ASKED,
    ISSUER,
    NOON,
    STRANGER,
    a_credential,
    bind,
    choose,
    token,
)
from tests.peers.node import ask

URI = "https://karte.musterstadt.example/status/7"
CLAIMS = {"given_name": Disclosable("Zoë"), "tariff": Disclosable("reduced"), "city": "Musterstadt"}


def status_list(*revoked, bits=1, issued_at=NOON):
    statuses = StatusList.blank(10_000, bits)
    for index in revoked:
        statuses.set(index, Status.INVALID)
    made = StatusListToken(URI, statuses, issued_at, issued_at + timedelta(days=1), timedelta(minutes=10))
    return token({"alg": "ES256", "typ": "statuslist+jwt", "kid": "1"}, made.claims(), ISSUER)


def case(sd_jwt, *, issuer=ISSUER, lists=None, nonce=None):
    return {
        "token": sd_jwt,
        "issuer": jwk(issuer.public_key()),
        "status": jwk(ISSUER.public_key()),
        "lists": lists or {URI: status_list()},
        "nonce": nonce,
    }


def answers(*cases):
    return ask("sdjwt.mjs", {"now": int(NOON.timestamp()), "cases": cases})


def test_it_takes_what_we_issue_and_what_was_chosen_of_it():
    whole = a_credential(CLAIMS, decoys=Decoys(2, 5))
    some = choose(whole, {"tariff": True})
    shown = bind(some)
    all_of_it, part, bound = answers(case(whole), case(some), case(shown, nonce=ASKED.nonce))
    assert all_of_it["accepted"], all_of_it
    assert (all_of_it["claims"]["given_name"], all_of_it["claims"]["tariff"]) == ("Zoë", "reduced")
    assert part["accepted"], part
    assert "given_name" not in part["claims"]
    assert bound["accepted"], bound
    assert bound["kb"]["nonce"] == ASKED.nonce


def test_it_reads_revoked_and_valid_from_our_lists():
    held = [
        a_credential(status=Reference(URI, index), sign=lambda data: p256.sign(ISSUER, data))
        for index in (3, 4, 9_999)
    ]
    for bits in (1, 2):
        lists = {URI: status_list(4, 9_999, bits=bits)}
        assert [each["accepted"] for each in answers(*(case(one, lists=lists) for one in held))] == [
            True,
            False,
            False,
        ]


def test_it_refuses_what_somebody_else_signed_bound_or_ended():
    good = a_credential(CLAIMS)
    stolen = bind(choose(good, {}), key=STRANGER)
    old = a_credential(CLAIMS, now=NOON - timedelta(days=30), ends=NOON - timedelta(days=5))
    made = answers(
        case(good, issuer=STRANGER),
        case(stolen, nonce=ASKED.nonce),
        case(bind(good), nonce="another"),
        case(old),
        case(good, lists={"https://elsewhere.example/1": status_list()}),
    )
    assert [each["accepted"] for each in made] == [False] * 5
