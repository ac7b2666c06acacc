"""Lines 1, 2 and 11 of the issuer's checklist (HAIP 1.0, OpenID4VCI 1.0): what issuer and server say of themselves."""

import base64
import json
import re

import jwt
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from app import create_app
from core.clock import FixedClock
from tests.issuers.openid.conftest import ISSUER, City, House
from tests.issuers.openid.wallet import PRE_AUTHORIZED, Provider, Wallet, new_key, unb64, verify_chain

Client = AsyncTestClient[Litestar]

# ---- 1: issuer metadata ----


async def test_vci_1_metadata_stands_between_host_and_path(client: Client, city: City) -> None:
    answer = await client.get("/.well-known/openid-credential-issuer")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json()["credential_issuer"] == ISSUER
    assert (await client.get("/.well-known/openid-credential-issuer/elsewhere")).status_code == 404


async def test_vci_1_an_issuer_with_a_path_has_it_behind(house: House, clock: FixedClock) -> None:
    with_path = house.settings.model_copy(update={"public_url": "https://stadt.example/karte"})
    application = create_app(with_path, clock, vault=house.vault, work=False)
    async with AsyncTestClient(application, base_url="https://stadt.example") as client:
        for name, claim in (
            ("openid-credential-issuer", "credential_issuer"),
            ("oauth-authorization-server", "issuer"),
        ):
            answer = await client.get(f"/.well-known/{name}/karte")
            assert answer.json()[claim] == "https://stadt.example/karte"


@pytest.mark.parametrize(
    ("accept", "signed"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("application/jwt", True),
        ("application/jwt, application/json;q=0.9", True),
        ("application/json, application/jwt", False),
        ("application/jwt;q=0", False),
    ],
)
async def test_vci_1_metadata_is_signed_where_asked(
    client: Client, city: City, clock: FixedClock, accept: str | None, signed: bool
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    answer = await client.get("/.well-known/openid-credential-issuer", headers=headers)
    assert answer.headers["vary"] == "Accept"
    if not signed:
        assert answer.json()["credential_issuer"] == ISSUER
        return
    assert answer.headers["content-type"].startswith("application/jwt")
    header = jwt.get_unverified_header(answer.text)
    assert header["typ"] == "openidvci-issuer-metadata+jwt"
    assert "kid" not in header
    verify_chain(answer.text, city.anchor)
    claims = json.loads(unb64(answer.text.split(".")[1]))
    assert claims["sub"] == ISSUER
    assert claims["iat"] == int(clock.now().timestamp())
    unsigned = (await client.get("/.well-known/openid-credential-issuer")).json()
    assert {name: claims[name] for name in unsigned} == unsigned


# ---- 2: OAuth metadata ----


async def test_vci_2_the_server_describes_itself(client: Client, city: City) -> None:
    answer = await client.get("/.well-known/oauth-authorization-server")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    said = answer.json()
    assert said["issuer"] == ISSUER
    for name in (
        "authorization_endpoint",
        "token_endpoint",
        "pushed_authorization_request_endpoint",
        "challenge_endpoint",
    ):
        assert said[name].startswith(ISSUER + "/")
    expected = {
        "require_pushed_authorization_requests": True,
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": ["ES256"],
        "authorization_response_iss_parameter_supported": True,
        "token_endpoint_auth_methods_supported": ["attest_jwt_client_auth"],
        "client_attestation_signing_alg_values_supported": ["ES256"],
        "client_attestation_pop_signing_alg_values_supported": ["ES256"],
        "pre-authorized_grant_anonymous_access_supported": True,
        "status_list_aggregation_endpoint": f"{ISSUER}/status",
        "response_types_supported": ["code"],
    }
    assert {name: said[name] for name in expected} == expected
    assert {"authorization_code", PRE_AUTHORIZED, "refresh_token"} <= set(said["grant_types_supported"])


async def test_vci_2_the_status_lists_stand_where_it_says(loaded: Wallet, client: Client) -> None:
    await loaded.fetch([new_key()])
    listed = (await client.get(loaded.server["status_list_aggregation_endpoint"])).json()["status_lists"]
    assert f"{ISSUER}/status/1" in listed


# ---- 11: metadata rules ----


async def test_vci_11_every_configuration_says_what_wallets_need(wallet: Wallet, provider: Provider) -> None:
    assert wallet.issuer_metadata["batch_credential_issuance"]["batch_size"] >= 2
    for configuration in wallet.configurations.values():
        assert configuration["format"] == "dc+sd-jwt"
        assert configuration["vct"] == "urn:citycard:dortmund:card:1"
        assert configuration["scope"] in wallet.server["scopes_supported"]
        assert configuration["cryptographic_binding_methods_supported"] == ["jwk"]
        assert configuration["credential_signing_alg_values_supported"] == ["ES256"]
        for kind in ("jwt", "attestation"):
            proof = configuration["proof_types_supported"][kind]
            assert proof == {"proof_signing_alg_values_supported": ["ES256"]}
        shown = configuration["credential_metadata"]
        assert {display["locale"] for display in shown["display"]} == {"de", "en"}
        for display in shown["display"]:
            assert display["name"]
            # The form that @openid4vc/utils asks of a data URI; with `svg+xml` it refuses all of the metadata.
            picture = re.fullmatch(r"data:[\w/\-.]+;base64,([A-Za-z0-9+/]+=*)", display["logo"]["uri"])
            assert picture is not None
            assert base64.b64decode(picture[1]).startswith(b"\x89PNG\r\n\x1a\n")
        for claim in shown["claims"]:
            assert {display["locale"] for display in claim["display"]} == {"de", "en"}
        paths = [tuple(claim["path"]) for claim in shown["claims"]]
        assert len(set(paths)) == len(paths)
        assert {("tariff",), ("tariff", "reduced"), ("given_name",), ("birthdate",)} <= set(paths)


async def test_vci_6_the_nonce_endpoint_is_named_where_credentials_are_bound(wallet: Wallet) -> None:
    bound = [
        one
        for one in wallet.configurations.values()
        if one.keys() & {"cryptographic_binding_methods_supported", "proof_types_supported"}
    ]
    assert bound
    assert wallet.issuer_metadata["nonce_endpoint"] == f"{ISSUER}/openid/nonce"
    for one in bound:
        assert {"cryptographic_binding_methods_supported", "proof_types_supported"} <= one.keys()


async def test_vci_11_addresses_are_https_and_encryption_is_announced(wallet: Wallet) -> None:
    said = wallet.issuer_metadata
    for name in said:
        if name.endswith("_endpoint"):
            assert said[name].startswith("https://")
    assert said["credential_response_encryption"] == {
        "alg_values_supported": ["ECDH-ES"],
        "enc_values_supported": ["A128GCM", "A256GCM"],
        "encryption_required": False,
    }
    (key,) = said["credential_request_encryption"]["jwks"]["keys"]
    assert key["kid"]
    assert key["alg"] == "ECDH-ES"
    assert "d" not in key
