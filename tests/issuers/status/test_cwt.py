"""The list as a CWT: the draft's own example reads, ours comes back as it was, and nothing else is taken."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from core.jose import read_jwk
from core.vault import KeyUse, MemoryVault
from issuers.status.cwt import read_cwt, sign_cwt
from issuers.status.rules import Status, StatusList, StatusListRefused, StatusListToken
from tests.issuers.credentials import chains

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "tsl" / "vectors.json").read_text())
PUBLISHED_KEY = read_jwk(VECTORS["verify_jwk"]).public
NOON = datetime(2026, 9, 16, 10, tzinfo=UTC)
URI = "https://karte.example/status/1"


def a_list(bits=2):
    statuses = StatusList.blank(4096, bits)
    statuses.set(7, Status.INVALID)
    return StatusListToken(URI, statuses, NOON, NOON + timedelta(days=7), timedelta(minutes=1))


def changed(signed, *, header=None, claims=None, key=None):
    """The token with another header or claims, signed again by our key."""
    protected, unprotected, payload, signature = cbor2.loads(signed).value
    head, said = cbor2.loads(protected), cbor2.loads(payload)
    protected = cbor2.dumps(head | (header or {}))
    payload = cbor2.dumps({k: v for k, v in (said | (claims or {})).items() if v is not None})
    signature = key.sign(cbor2.dumps(["Signature1", protected, b"", payload]))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected, payload, signature]))


@pytest.fixture(scope="module")
def signer():
    vault = MemoryVault()
    return vault.signer(vault.create(KeyUse.STATUS_LIST, NOON).key_id, KeyUse.STATUS_LIST)


@pytest.fixture(scope="module")
def public(signer):
    return signer.public_key


@pytest.mark.parametrize("bits", [1, 2])
def test_a_list_comes_back_as_it_was_signed(signer, public, bits):
    assert read_cwt(sign_cwt(signer, a_list(bits)), public, URI) == a_list(bits)


def test_a_chain_goes_along_for_those_who_do_not_know_our_trust_list(signer):
    leaf, middle = chains.leaf(ec.generate_private_key(ec.SECP256R1())), chains.middle()
    certificates = [each.public_bytes(Encoding.DER) for each in (leaf, middle)]
    signed = sign_cwt(signer, a_list(), [base64.b64encode(each).decode() for each in certificates])
    header = cbor2.loads(cbor2.loads(signed).value[0])
    assert header[33] == certificates
    alone = sign_cwt(signer, a_list(), [base64.b64encode(certificates[0]).decode()])
    assert cbor2.loads(cbor2.loads(alone).value[0])[33] == certificates[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"header": {1: -8}},
        {"header": {16: "application/cwt"}},
        {"claims": {2: "https://karte.example/status/2"}},
        {"claims": {6: None}},
        {"claims": {6: "now"}},
        {"claims": {6: True}},
        {"claims": {6: float("nan")}},
        {"claims": {65534: 0}},
        {"claims": {65533: None}},
        {"claims": {65533: {"bits": 3, "lst": b""}}},
        {"claims": {65533: {"bits": 1, "lst": b"not zlib"}}},
    ],
)
def test_a_signed_token_of_another_form_is_refused(signer, public, wrong):
    good = sign_cwt(signer, a_list())
    assert read_cwt(changed(good, key=signer), public, URI) == a_list()
    with pytest.raises(StatusListRefused):
        read_cwt(changed(good, key=signer, **wrong), public, URI)


def test_parts_of_seconds_are_as_good_as_whole_ones(signer, public):
    good = sign_cwt(signer, a_list())
    token = read_cwt(changed(good, key=signer, claims={6: NOON.timestamp() + 0.5}), public, URI)
    assert token.issued_at == NOON + timedelta(seconds=0.5)


def test_another_key_and_a_changed_byte_are_refused(signer, public):
    good = sign_cwt(signer, a_list())
    with pytest.raises(StatusListRefused):
        read_cwt(good, ec.generate_private_key(ec.SECP256R1()).public_key(), URI)
    for at in range(0, len(good), 7):
        spoiled = bytearray(good)
        spoiled[at] ^= 1
        with pytest.raises(StatusListRefused):
            read_cwt(bytes(spoiled), public, URI)


@given(st.binary(max_size=200))
def test_no_bytes_whatever_break_the_reader(octets):
    with pytest.raises(StatusListRefused):
        read_cwt(octets, ec.derive_private_key(5, ec.SECP256R1()).public_key(), URI)


def test_the_drafts_example_reads():
    token = read_cwt(
        bytes.fromhex(VECTORS["status_list_cwt_hex"]), PUBLISHED_KEY, "https://example.com/statuslists/1"
    )
    assert token.statuses.octets().hex() == "b9a3"
    assert token.ttl == timedelta(seconds=43200)
