"""Lines 7, 13 and 15 of the issuer's checklist (HAIP 1.0, OpenID4VCI 1.0): credentials, and the errors of their endpoint."""

import base64
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from cryptography import x509
from jwcrypto import jwe, jwk

from core.clock import FixedClock
from tests.issuers.openid.conftest import ISSUER, City
from tests.issuers.openid.makers import waiting_person
from tests.issuers.openid.wallet import (
    Provider,
    Wallet,
    error,
    new_key,
    public_jwk,
    read_sd_jwt,
    verify_chain,
)

# ---- 7: credentials ----


async def test_vci_7_a_credential_comes_with_a_notification_id(loaded: Wallet) -> None:
    answer = await loaded.fetch([new_key()])
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"credentials", "notification_id"}


async def test_vci_7_a_batch_has_one_credential_for_each_proof(loaded: Wallet) -> None:
    keys = [new_key() for _ in range(loaded.issuer_metadata["batch_credential_issuance"]["batch_size"])]
    answer = await loaded.fetch(keys)
    bound = [read_sd_jwt(one["credential"])[1]["cnf"]["jwk"] for one in answer.json()["credentials"]]
    assert bound == [public_jwk(key) for key in keys]
    one_more = await loaded.fetch([*keys, new_key()])
    assert error(one_more) == "invalid_proof"


async def test_vci_7_an_attestation_brings_a_credential_for_each_key(
    loaded: Wallet, provider: Provider, clock: FixedClock
) -> None:
    keys = [new_key() for _ in range(3)]
    attestation = provider.key_attestation(keys, clock.now(), nonce=await loaded.nonce())
    answer = await loaded.ask_credential(proofs={"attestation": [attestation]})
    assert answer.status_code == 200, answer.text
    bound = [read_sd_jwt(one["credential"])[1]["cnf"]["jwk"] for one in answer.json()["credentials"]]
    assert bound == [public_jwk(key) for key in keys]


@pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
async def test_vci_7_the_answer_is_encrypted_where_asked(loaded: Wallet, enc: str) -> None:
    key = jwk.JWK.generate(kty="EC", crv="P-256", kid="answer", use="enc", alg="ECDH-ES")
    body = {
        "credential_configuration_id": "city-card",
        "proofs": {"jwt": [loaded.proof(new_key(), await loaded.nonce())]},
        "credential_response_encryption": {"jwk": key.export_public(as_dict=True), "enc": enc},
    }
    answer = await loaded.sealed("credential_endpoint", body, enc=enc)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/jwt")
    opened = jwe.JWE()
    opened.deserialize(answer.text, key)
    assert opened.jose_header["alg"] == "ECDH-ES"
    assert opened.jose_header["enc"] == enc
    assert opened.jose_header["kid"] == "answer"
    assert read_sd_jwt(json.loads(opened.payload)["credentials"][0]["credential"])


async def test_vci_7_an_envelope_may_be_large_and_say_more_than_we_know(loaded: Wallet) -> None:
    """RFC 7516 section 4: header parameters that are not known are passed over, `crit` and `zip` apart."""
    for more, filling, status in [
        ({"iat": 1, "x-wallet": {"a": [1]}, "x5t": "abc"}, "", 200),
        ({"apv": "a" * 2000}, "", 200),
        ({}, "a" * 100_000, 200),
        ({}, "a" * 150_000, 400),
        ({"crit": ["x-wallet"], "x-wallet": 1}, "", 400),
        ({"zip": "DEF"}, "", 400),
    ]:
        body = {
            "credential_configuration_id": "city-card",
            "proofs": {"jwt": [loaded.proof(new_key(), await loaded.nonce())]},
            "filling": filling,
        }
        assert (await loaded.sealed("credential_endpoint", body, **more)).status_code == status, more.keys()


async def test_vci_7_a_request_alone_may_be_encrypted(loaded: Wallet) -> None:
    proofs = {"jwt": [loaded.proof(new_key(), await loaded.nonce())]}
    body = {"credential_configuration_id": "city-card", "proofs": proofs}
    answer = await loaded.sealed("credential_endpoint", body)
    assert answer.status_code == 200, answer.text
    assert read_sd_jwt(answer.json()["credentials"][0]["credential"])


async def test_vci_7_a_key_for_the_answer_is_not_taken_from_an_open_request(loaded: Wallet) -> None:
    # OpenID4VCI 1.0 sections 8.2 and 9.1: it could be that of somebody in between.
    wish = {"jwk": public_jwk(new_key(), alg="ECDH-ES", use="enc"), "enc": "A256GCM"}
    answer = await loaded.fetch([new_key()], credential_response_encryption=wish)
    assert error(answer) == "invalid_encryption_parameters"
    waiting = {"transaction_id": "made-up", "credential_response_encryption": wish}
    answer = await loaded.behind_token("deferred_credential_endpoint", waiting)
    assert error(answer) == "invalid_encryption_parameters"
    sealed = await loaded.sealed("deferred_credential_endpoint", waiting)
    assert error(sealed) == "invalid_transaction_id"


async def test_vci_7_what_waits_for_a_decision_is_deferred(wallet: Wallet, city: City) -> None:
    person_id = await waiting_person(city)
    offered = await city.offer(person_id)
    await wallet.redeem(await wallet.read_offer(offered.link), offered.tx_code)
    answer = await wallet.fetch([new_key()])
    assert answer.status_code == 202, answer.text
    assert set(answer.json()) == {"transaction_id", "interval"}
    assert answer.json()["interval"] > 0


# ---- 13: the credential ----


async def test_vci_13_the_credential_is_as_haip_wants_it(
    loaded: Wallet, city: City, clock: FixedClock
) -> None:
    answer = await loaded.fetch([new_key()])
    credential = answer.json()["credentials"][0]["credential"]
    header, payload, disclosures = read_sd_jwt(credential)
    assert header.keys() == {"alg", "typ", "x5c"}
    assert (header["alg"], header["typ"]) == ("ES256", "dc+sd-jwt")
    verify_chain(credential, city.anchor)
    leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["karte.example"]
    assert payload["iss"] == ISSUER
    assert payload["vct"] == "urn:citycard:dortmund:card:1"
    assert payload["_sd_alg"] == "sha-256"
    assert payload["iat"] % 86_400 == 0 == payload["exp"] % 86_400
    now = clock.now().timestamp()
    assert payload["iat"] <= now < payload["exp"] <= now + 93 * 86_400
    assert payload["status"].keys() == {"status_list"}
    assert payload["status"]["status_list"].keys() == {"idx", "uri"}
    assert payload.keys() == {"iss", "vct", "iat", "exp", "cnf", "status", "tariff", "_sd", "_sd_alg"}
    # However much there is to say, each object shows eight digests.
    assert len(payload["_sd"]) == len(payload["tariff"]["_sd"]) == 8
    assert {one[1] for one in disclosures} == {
        "reduced",
        "social_ticket",
        "given_name",
        "family_name",
        "birthdate",
    }


async def test_vci_13_the_city_says_nothing_of_the_benefit(loaded: Wallet) -> None:
    credential = (await loaded.fetch([new_key()])).json()["credentials"][0]["credential"]
    _, payload, disclosures = read_sd_jwt(credential)
    said = json.dumps(
        [{**payload, "cnf": None, "_sd": None, "tariff": None}, [one[1:] for one in disclosures]]
    )
    for word in ("sgb", "jobcenter", "wohngeld", "asyl", "ground", "dortmund-karte"):
        assert word not in said.lower()


async def test_vci_13_members_of_a_batch_have_indices_of_their_own_and_nothing_else_in_common(
    loaded: Wallet,
) -> None:
    answer = await loaded.fetch([new_key() for _ in range(8)])
    payloads = [read_sd_jwt(one["credential"])[1] for one in answer.json()["credentials"]]
    indices = [payload["status"]["status_list"]["idx"] for payload in payloads]
    assert len(set(indices)) == 8
    assert indices not in (sorted(indices), sorted(indices, reverse=True))
    digests = [digest for payload in payloads for digest in payload["_sd"] + payload["tariff"]["_sd"]]
    assert len(set(digests)) == len(digests)
    assert len({(payload["iat"], payload["exp"]) for payload in payloads}) == 1


async def test_vci_13_it_ends_with_the_entitlement(wallet: Wallet, city: City, clock: FixedClock) -> None:
    person_id = await city.newcomer(until=date(2026, 9, 30))
    offered = await city.offer(person_id)
    await wallet.redeem(await wallet.read_offer(offered.link), offered.tx_code)
    answer = await wallet.fetch([new_key()])
    payload = read_sd_jwt(answer.json()["credentials"][0]["credential"])[1]
    # Announced today, the end takes effect after four days of post and fourteen of grace: the 4th of October. The
    # city's midnight after it is at 22 hours UTC, and the day is rounded up.
    assert datetime.fromtimestamp(payload["exp"], UTC) == datetime(2026, 10, 5, tzinfo=UTC)


async def test_vci_13_other_libraries_accept_it(loaded: Wallet, city: City) -> None:
    from jwcrypto.jwk import JWK
    from sd_jwt.holder import SDJWTHolder
    from sd_jwt.verifier import SDJWTVerifier

    key = new_key()
    credential = (await loaded.fetch([key])).json()["credentials"][0]["credential"]
    leaf = x509.load_der_x509_certificate(base64.b64decode(read_sd_jwt(credential)[0]["x5c"][0]))
    issuer_key = JWK.from_pyca(leaf.public_key())
    holder = SDJWTHolder(credential)
    holder.create_presentation(
        {"tariff": {"reduced": True}},
        nonce="n-1",
        aud="https://venue.example",
        holder_key=JWK.from_pyca(key),
        sign_alg="ES256",
    )
    seen = SDJWTVerifier(
        holder.sd_jwt_presentation, lambda _issuer, _header: issuer_key, "https://venue.example", "n-1"
    ).get_verified_payload()
    assert seen["tariff"] == {"reduced": True}
    assert not {"given_name", "family_name", "birthdate"} & set(seen)


# ---- 15: errors at the credential endpoint ----


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"credential_configuration_id": None}, "invalid_credential_request"),
        ({"credential_identifier": "city-card/1"}, "invalid_credential_request"),
        (
            {"credential_configuration_id": None, "credential_identifier": "city-card/1"},
            "invalid_credential_request",
        ),
        ({"credential_configuration_id": "other"}, "unknown_credential_configuration"),
        (
            {"credential_configuration_id": None, "credential_identifier": "other"},
            "unknown_credential_identifier",
        ),
        ({"proofs": None}, "invalid_proof"),
        ({"proofs": {}}, "invalid_proof"),
        ({"proofs": {"jwt": []}}, "invalid_proof"),
        ({"proofs": {"jwt": "x"}}, "invalid_proof"),
        ({"proofs": {"jwt": [1]}}, "invalid_proof"),
        ({"proofs": {"di_vp": [{}]}}, "invalid_proof"),
        ({"proofs": {"jwt": ["x"], "attestation": ["x"]}}, "invalid_proof"),
        ({"proofs": {"attestation": ["x", "y"]}}, "invalid_proof"),
        ({"credential_response_encryption": {}}, "invalid_encryption_parameters"),
        ({"credential_response_encryption": "x"}, "invalid_encryption_parameters"),
    ],
)
async def test_vci_15_a_wrong_credential_request_has_its_own_code(
    loaded: Wallet, body: dict[str, Any], code: str
) -> None:
    full = {
        "credential_configuration_id": "city-card",
        "proofs": {"jwt": [loaded.proof(new_key(), await loaded.nonce())]},
    } | body
    answer = await loaded.behind_token(
        "credential_endpoint", {name: value for name, value in full.items() if value is not None}
    )
    assert error(answer) == code


async def test_vci_15_a_missing_nonce_is_an_invalid_proof_and_a_foreign_one_an_invalid_nonce(
    loaded: Wallet,
) -> None:
    without = await loaded.ask_credential(proofs={"jwt": [loaded.proof(new_key(), None)]})
    assert error(without) == "invalid_proof"
    foreign = await loaded.ask_credential(proofs={"jwt": [loaded.proof(new_key(), "made-up")]})
    assert error(foreign) == "invalid_nonce"
    # The nonce for DPoP is not the one for proofs.
    other = await loaded.ask_credential(proofs={"jwt": [loaded.proof(new_key(), loaded.dpop_nonce)]})
    assert error(other) == "invalid_nonce"


@pytest.mark.parametrize(
    "wrong",
    [
        {"enc": "A128CBC-HS256"},
        {"enc": None},
        {"zip": "DEF"},
        {"jwk": {"kty": "RSA"}},
        {"jwk": None},
        {"alg": "RSA-OAEP"},
        {"alg": None},
        {"use": "sig"},
        {"d": "AAAA"},
        {"x": "AAAA"},
    ],
)
async def test_vci_15_invalid_encryption_parameters_are_answered_in_the_open(
    loaded: Wallet, wrong: dict[str, Any]
) -> None:
    in_key = {"alg", "use", "d", "x"}
    key = public_jwk(new_key(), alg="ECDH-ES", use="enc") | {n: v for n, v in wrong.items() if n in in_key}
    wish = {"jwk": {n: v for n, v in key.items() if v is not None}, "enc": "A256GCM"} | {
        name: value for name, value in wrong.items() if name not in in_key
    }
    body = {
        "credential_configuration_id": "city-card",
        "proofs": {"jwt": [loaded.proof(new_key(), await loaded.nonce())]},
        "credential_response_encryption": wish,
    }
    answer = await loaded.sealed("credential_endpoint", body)
    assert error(answer) == "invalid_encryption_parameters"
    assert "encrypted request only" not in answer.json()["error_description"]


async def test_vci_15_a_request_that_is_badly_encrypted_is_refused(loaded: Wallet) -> None:
    for content in ("x", "a.b.c.d.e", "ä"):
        answer = await loaded.post(
            loaded.issuer_metadata["credential_endpoint"],
            token=loaded.tokens["access_token"],
            content=content.encode(),
            headers={"Content-Type": "application/jwt"},
        )
        assert error(answer) in {"invalid_encryption_parameters", "invalid_credential_request"}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "application/json"),
        (b"[]", "application/json"),
        (b"{", "application/json"),
        (b'{"proofs": 1, "proofs": 2}', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"a=b", "application/x-www-form-urlencoded"),
    ],
)
async def test_vci_15_what_is_no_json_object_is_an_invalid_credential_request(
    loaded: Wallet, content: bytes, kind: str
) -> None:
    answer = await loaded.post(
        loaded.issuer_metadata["credential_endpoint"],
        token=loaded.tokens["access_token"],
        content=content,
        headers={"Content-Type": kind},
    )
    assert error(answer) == "invalid_credential_request"


async def test_vci_15_credential_request_denied_where_nothing_is_held_any_more(
    loaded: Wallet, city: City
) -> None:
    await city.take()
    assert error(await loaded.fetch([new_key()])) == "credential_request_denied"


async def test_vci_15_unknown_parameters_are_passed_over(loaded: Wallet) -> None:
    assert (await loaded.fetch([new_key()], format="dc+sd-jwt", something={"else": 1})).status_code == 200
