"""Lines 6 and 12 of the issuer's checklist (HAIP 1.0, OpenID4VCI 1.0): nonces, and the proofs that take them up."""

import base64
import hashlib
import json
import zlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.clock import FixedClock
from core.http import Outgoing
from issuers.openid.foreign import ForeignLists
from issuers.status.rules import StatusList
from tests.issuers.openid.conftest import ISSUER, City, House
from tests.issuers.openid.wallet import Provider, Wallet, error, new_key, public_jwk, read_sd_jwt, unb64

Client = AsyncTestClient[Litestar]


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


# ---- 6: nonces ----


async def test_vci_6_anybody_gets_a_nonce_and_one_for_dpop(client: Client, city: City) -> None:
    answers = [await client.post("/openid/nonce") for _ in range(2)]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.json()["c_nonce"]) >= 22
        assert answer.headers["DPoP-Nonce"]
    assert answers[0].json() != answers[1].json()


async def test_vci_6_the_dpop_nonce_of_the_nonce_endpoint_is_good_behind_the_token(loaded: Wallet) -> None:
    loaded.dpop_nonce = None
    nonce = await loaded.nonce()
    url = loaded.issuer_metadata["credential_endpoint"]
    token = loaded.tokens["access_token"]
    ath = jwt.utils.base64url_encode(hashlib.sha256(token.encode()).digest()).decode()
    answer = await loaded.http.post(
        url,
        headers={"Authorization": f"DPoP {token}", "DPoP": loaded.dpop("POST", url, ath=ath)},
        json={
            "credential_configuration_id": "city-card",
            "proofs": {"jwt": [loaded.proof(new_key(), nonce)]},
        },
    )
    assert answer.status_code == 200, answer.text


# ---- 12: proofs ----


@pytest.mark.parametrize(
    "wrong",
    [
        {"header": {"typ": "JWT"}},
        {"header": {"jwk": None}},
        {"header": {"kid": "also"}},
        {"header": {"x5c": ["MIIB"]}},
        {"header": {"trust_chain": ["x"]}},
        {"header": {"jwk": None, "kid": "did:key:z6Mk#z6Mk"}},
        {"aud": "https://other.example"},
        {"aud": [ISSUER, "https://other.example"]},
        {"aud": None},
        {"iat": None},
        {"iat": 1_000},
        {"iat": True},
        {"exp": 1_000},
        {"nbf": 2**33},
        {"iss": "https://wallet.example"},  # nobody is named by an anonymous token
        {"signed_by": new_key()},
    ],
)
async def test_vci_12_a_proof_that_breaks_one_rule_is_refused(loaded: Wallet, wrong: dict[str, Any]) -> None:
    key, nonce = new_key(), await loaded.nonce()
    answer = await loaded.ask_credential(proofs={"jwt": [loaded.proof(key, nonce, **wrong)]})
    assert error(answer) == "invalid_proof"


async def test_vci_12_a_header_that_nobody_knows_is_passed_over(loaded: Wallet) -> None:
    # RFC 7515 section 4: what is not understood must be ignored, unless `crit` names it.
    proof = loaded.proof(new_key(), await loaded.nonce(), header={"wallet_version": "3"})
    assert (await loaded.ask_credential(proofs={"jwt": [proof]})).status_code == 200


async def test_vci_12_a_private_key_in_the_header_is_refused(loaded: Wallet) -> None:
    from tests.issuers.openid.wallet import private_jwk

    key = new_key()
    proof = loaded.proof(key, await loaded.nonce(), header={"jwk": private_jwk(key)})
    assert error(await loaded.ask_credential(proofs={"jwt": [proof]})) == "invalid_proof"


@pytest.mark.parametrize("alg", ["none", "HS256", "ES384", "RS256", "EdDSA", "es256", None])
async def test_vci_12_an_unsigned_proof_or_one_of_another_algorithm_is_refused(
    loaded: Wallet, alg: str | None
) -> None:
    header, claims, signature = loaded.proof(new_key(), await loaded.nonce()).split(".")
    opened = json.loads(unb64(header)) | {"alg": alg}
    header = base64.urlsafe_b64encode(json.dumps(opened).encode()).rstrip(b"=").decode()
    for signed in (signature, ""):
        answer = await loaded.ask_credential(proofs={"jwt": [f"{header}.{claims}.{signed}"]})
        assert error(answer) == "invalid_proof"


async def test_vci_12_the_nonce_must_be_live(loaded: Wallet, clock: FixedClock) -> None:
    nonce = await loaded.nonce()
    clock.forward(timedelta(minutes=5))
    answer = await loaded.ask_credential(proofs={"jwt": [loaded.proof(new_key(), nonce)]})
    assert error(answer) == "invalid_nonce"


async def test_vci_12_iss_is_the_client(wallet: Wallet, city: City) -> None:
    await wallet.sign_in(await city.session())
    for iss, expected in (("https://other.example", 400), ("https://wallet.example", 200), (None, 200)):
        proof = wallet.proof(new_key(), await wallet.nonce(), iss=iss)
        assert (await wallet.ask_credential(proofs={"jwt": [proof]})).status_code == expected


async def test_vci_12_a_key_attestation_in_the_proof_brings_every_attested_key(
    loaded: Wallet, provider: Provider, clock: FixedClock
) -> None:
    keys = [new_key(), new_key()]
    attestation = provider.key_attestation(keys, clock.now())
    proof = loaded.proof(keys[0], await loaded.nonce(), header={"key_attestation": attestation})
    answer = await loaded.ask_credential(proofs={"jwt": [proof]})
    assert answer.status_code == 200, answer.text
    bound = [read_sd_jwt(one["credential"])[1]["cnf"]["jwk"] for one in answer.json()["credentials"]]
    assert bound == [public_jwk(key) for key in keys]


@pytest.mark.parametrize(
    ("wrong", "typ"),
    [
        ({"exp": None}, None),
        ({"exp": 1_000}, None),
        ({"nbf": 2**33}, None),
        ({"iat": None}, None),
        ({"attested_keys": []}, None),
        ({"attested_keys": None}, None),
        ({"attested_keys": [{"kty": "oct", "k": "AAAA"}]}, None),
        ({}, "keyattestation+jwt"),
    ],
)
async def test_vci_12_a_key_attestation_that_does_not_hold_is_refused(
    loaded: Wallet, provider: Provider, clock: FixedClock, wrong: dict[str, Any], typ: str | None
) -> None:
    key = new_key()
    now = int(clock.now().timestamp())
    claims = {"iat": now, "exp": now + 600, "attested_keys": [public_jwk(key)]} | wrong
    attestation = provider.sign(typ or "key-attestation+jwt", claims)
    proof = loaded.proof(key, await loaded.nonce(), header={"key_attestation": attestation})
    assert error(await loaded.ask_credential(proofs={"jwt": [proof]})) == "invalid_proof"


async def test_vci_12_a_proof_by_a_key_that_is_not_attested_is_refused(
    loaded: Wallet, provider: Provider, clock: FixedClock
) -> None:
    attestation = provider.key_attestation([new_key()], clock.now())
    proof = loaded.proof(new_key(), await loaded.nonce(), header={"key_attestation": attestation})
    assert error(await loaded.ask_credential(proofs={"jwt": [proof]})) == "invalid_proof"


async def test_vci_12_the_first_attested_key_signs_for_all(
    loaded: Wallet, provider: Provider, clock: FixedClock
) -> None:
    keys = [new_key(), new_key()]
    attestation = provider.key_attestation(keys, clock.now())
    for key, status in ((keys[1], 400), (keys[0], 200)):
        proof = loaded.proof(key, await loaded.nonce(), header={"key_attestation": attestation})
        assert (await loaded.ask_credential(proofs={"jwt": [proof]})).status_code == status


async def test_vci_12_a_foreign_key_attestation_is_refused(loaded: Wallet, clock: FixedClock) -> None:
    stranger, key = Provider(clock.now(), "Nobody"), new_key()
    nonce = await loaded.nonce()
    alone = stranger.key_attestation([key], clock.now(), nonce=nonce)
    assert error(await loaded.ask_credential(proofs={"attestation": [alone]})) == "invalid_proof"
    beside = loaded.proof(
        key, nonce, header={"key_attestation": stranger.key_attestation([key], clock.now())}
    )
    assert error(await loaded.ask_credential(proofs={"jwt": [beside]})) == "invalid_proof"


LIST = "https://provider.example/status/1"


@pytest.fixture
def asked(house: House, provider: Provider, clock: FixedClock) -> Iterator[list[str]]:
    """The wallet provider's status list, in which the seventh place is revoked; and who asked for it."""
    seen: list[str] = []
    statuses = StatusList.blank(64, bits=1)
    statuses.set(7, 1)

    def serve(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        if str(request.url) != LIST:
            return httpx.Response(404)
        now = int(clock.now().timestamp())
        listed = {"bits": 1, "lst": b64(zlib.compress(statuses.octets()))}
        claims = {"sub": LIST, "iat": now, "exp": now + 3600, "status_list": listed}
        token = provider.sign("statuslist+jwt", claims)
        return httpx.Response(200, text=token, headers={"Content-Type": "application/statuslist+jwt"})

    state = house.application.state
    before = state.get("provider_lists")
    state.provider_lists = ForeignLists(house.settings, lambda: Outgoing(httpx.MockTransport(serve)))
    yield seen
    if before is None:
        del state["provider_lists"]
    else:
        state.provider_lists = before


def at_place(index: int, uri: str = LIST) -> dict[str, Any]:
    return {"status_list": {"idx": index, "uri": uri}}


@pytest.mark.parametrize("kind", ["jwt", "attestation"])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        ({"key_storage_status": {"status": at_place(5), "exp": 2**32}}, None),
        ({"key_storage_status": {"status": at_place(7), "exp": 2**32}}, "invalid_proof"),
        ({"status": at_place(7)}, "invalid_proof"),
        ({"status": at_place(5)}, None),
        ({"status": at_place(5), "key_storage_status": {"status": at_place(7)}}, "invalid_proof"),
        ({"status": at_place(64)}, "invalid_proof"),  # the list has no such place
        ({"status": at_place(-1)}, "invalid_proof"),
        ({"status": {"status_list": {"idx": 5}}}, "invalid_proof"),
        ({"status": at_place(7, "https://provider.example/gone")}, None),  # out of reach is no revocation
        ({"status": {"another_mechanism": {}}}, None),
    ],
)
async def test_vci_12_the_status_of_a_key_attestation_is_looked_up(
    *,
    loaded: Wallet,
    provider: Provider,
    clock: FixedClock,
    asked: list[str],
    kind: str,
    status: dict[str, Any],
    code: str | None,
) -> None:
    key, nonce = new_key(), await loaded.nonce()
    attestation = provider.key_attestation([key], clock.now(), nonce=nonce, **status)
    proof = loaded.proof(key, nonce, header={"key_attestation": attestation})
    answer = await loaded.ask_credential(proofs={kind: [proof if kind == "jwt" else attestation]})
    assert (answer.status_code, answer.json().get("error")) == (200 if code is None else 400, code)


async def test_vci_12_of_an_attestation_that_does_not_hold_nobody_is_asked(
    loaded: Wallet, provider: Provider, clock: FixedClock, asked: list[str]
) -> None:
    stranger, key, nonce = Provider(clock.now(), "Nobody"), new_key(), await loaded.nonce()
    forged = stranger.key_attestation([key], clock.now(), nonce=nonce, status=at_place(5))
    stale = provider.key_attestation([key], clock.now(), nonce="made-up", status=at_place(5))
    for attestation in (forged, stale):
        answer = await loaded.ask_credential(proofs={"attestation": [attestation]})
        assert answer.status_code == 400
    assert asked == []


async def test_vci_12_an_attestation_alone_needs_a_live_nonce(
    loaded: Wallet, provider: Provider, clock: FixedClock
) -> None:
    without = provider.key_attestation([new_key()], clock.now())
    assert error(await loaded.ask_credential(proofs={"attestation": [without]})) == "invalid_proof"
    made_up = provider.key_attestation([new_key()], clock.now(), nonce="made-up")
    assert error(await loaded.ask_credential(proofs={"attestation": [made_up]})) == "invalid_nonce"
    other = provider.key_attestation([key := new_key()], clock.now(), nonce=await loaded.nonce())
    proof = loaded.proof(key, await loaded.nonce(), header={"key_attestation": other})
    assert error(await loaded.ask_credential(proofs={"jwt": [proof]})) == "invalid_nonce"


async def test_vci_12_a_key_gets_one_credential_of_a_batch(loaded: Wallet) -> None:
    key, nonce = new_key(), await loaded.nonce()
    answer = await loaded.ask_credential(proofs={"jwt": [loaded.proof(key, nonce), loaded.proof(key, nonce)]})
    assert error(answer) == "invalid_proof"
