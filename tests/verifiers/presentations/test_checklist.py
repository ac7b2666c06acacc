"""The verifier's checklist of HAIP 1.0 and OpenID4VP 1.0, line by line: `test_vp_<line>_<what>`.

Line 6 goes on in test_hostile.py, with answers that break one rule each.
"""

import asyncio
import base64
import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from core import texts
from core.access.rules import Role
from issuers.openid.encryption import unlock
from tests.makers import sign_in
from tests.verifiers.presentations.conftest import PUBLIC, REGISTRATION, Counter, Holder
from tests.verifiers.presentations.wallet import Link, unb64
from verifiers.presentations.dcql import read_query
from verifiers.presentations.service import LASTS

VECTORS = Path(__file__).parents[2] / "data/vp"
TYPE = "urn:citycard:dortmund:card:1"

# ---- 1: the link ----


@pytest.mark.parametrize("scheme", ["openid4vp", "haip-vp"])
async def test_vp_1_the_link_names_the_certificate_and_where_the_request_is(
    counter: Counter, holder: Holder, scheme: str
) -> None:
    asked = await counter.ask(scheme=scheme)
    link = Link.read(asked["authorization_request"])
    assert link.scheme == scheme
    assert re.fullmatch(r"x509_hash:[A-Za-z0-9_-]{43}", link.client_id)
    assert link.request_uri.startswith(f"{PUBLIC}/openid/presentations/")
    assert asked["authorization_request"].startswith(f"{scheme}://?client_id=")
    assert asked["flow"] == "cross-device"
    # The wallet opens it only if the hash is that of the certificate which signs.
    await holder.wallet.open(asked["authorization_request"])


@pytest.mark.parametrize(("method", "said"), [("post", "post"), ("get", None)])
async def test_vp_1_the_link_says_how_the_request_is_fetched(
    counter: Counter, method: str, said: str | None
) -> None:
    asked = await counter.ask(request_uri_method=method)
    assert Link.read(asked["authorization_request"]).method == said


async def test_vp_1_the_link_is_short_enough_for_a_code_on_a_screen(counter: Counter) -> None:
    asked = await counter.ask()
    assert len(asked["authorization_request"]) < 300


async def test_vp_1_whoever_sees_the_code_cannot_read_what_comes_of_it(counter: Counter) -> None:
    asked = await counter.ask()
    reference = Link.read(asked["authorization_request"]).request_uri.rsplit("/", 1)[1]
    watch = asked["status_url"].rsplit("/", 1)[1]
    assert reference != watch
    assert len(unb64(reference)) >= 16 <= len(unb64(watch))
    assert (await counter.city.client.get(f"/v1/presentations/{reference}")).status_code == 404


# ---- 2: the request by reference ----


async def test_vp_2_the_request_is_signed_with_its_chain_and_without_the_anchor(
    counter: Counter, holder: Holder
) -> None:
    request = await holder.wallet.open((await counter.ask())["authorization_request"])
    assert request.header["alg"] == "ES256"
    assert request.header["typ"] == "oauth-authz-req+jwt"
    chain = [x509.load_der_x509_certificate(base64.b64decode(one)) for one in request.header["x5c"]]
    assert counter.house.anchor not in chain
    assert all(one.issuer != one.subject for one in chain)
    chain[-1].verify_directly_issued_by(counter.house.anchor)


async def test_vp_2_a_wallet_nonce_comes_back_signed(counter: Counter, holder: Holder) -> None:
    asked = await counter.ask()
    request = await holder.wallet.open(asked["authorization_request"], wallet_nonce="qPmxiNFCR3QTm19POc8u")
    assert request.claims["wallet_nonce"] == "qPmxiNFCR3QTm19POc8u"
    again = await holder.wallet.open(asked["authorization_request"])
    assert "wallet_nonce" not in again.claims
    assert again.claims["nonce"] == request.claims["nonce"]


async def test_vp_2_a_post_without_a_word_gets_the_same_request(counter: Counter) -> None:
    link = Link.read((await counter.ask())["authorization_request"])
    answer = await counter.city.client.post(link.request_uri)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/oauth-authz-req+jwt")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "form",
    [
        {"wallet_metadata": "[]"},
        {"wallet_metadata": "{"},
        {"wallet_metadata": "[" * 50_000},
        {"wallet_nonce": "n" * 513},
    ],
)
async def test_vp_2_what_a_wallet_says_of_itself_must_be_readable(
    counter: Counter, form: dict[str, str]
) -> None:
    link = Link.read((await counter.ask())["authorization_request"])
    answer = await counter.city.client.post(link.request_uri, data=form)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"


async def test_vp_2_no_answer_is_ever_a_redirect(counter: Counter, holder: Holder) -> None:
    client = counter.city.client
    link = Link.read((await counter.ask())["authorization_request"])
    request = await holder.wallet.open((await counter.ask())["authorization_request"])
    await holder.wallet.send(request, holder.wallet.show(request))
    for url in (
        link.request_uri,
        link.request_uri[:-1],
        request.claims["response_uri"].removesuffix("/response"),
    ):
        for answer in (
            await client.get(url, follow_redirects=False),
            await client.post(url, data={"wallet_nonce": "n"}, follow_redirects=False),
        ):
            assert answer.status_code in {200, 404}


# ---- 3: the request object ----


async def test_vp_3_the_object_says_what_haip_wants_and_no_redirect(counter: Counter, holder: Holder) -> None:
    link = Link.read((asked := await counter.ask())["authorization_request"])
    claims = (await holder.wallet.open(asked["authorization_request"])).claims
    assert claims["client_id"] == link.client_id
    assert claims["response_type"] == "vp_token"
    assert claims["response_mode"] == "direct_post.jwt"
    assert claims["response_uri"].startswith(f"{PUBLIC}/openid/presentations/")
    assert "redirect_uri" not in claims
    assert claims["aud"] == "https://self-issued.me/v2"
    assert "presentation_definition" not in claims
    assert read_query(claims["dcql_query"]).as_json() == claims["dcql_query"]


async def test_vp_3_nonce_and_state_cannot_be_guessed(counter: Counter, holder: Holder) -> None:
    seen = set()
    for _ in range(3):
        claims = (await holder.wallet.open((await counter.ask())["authorization_request"])).claims
        for name in ("nonce", "state"):
            assert re.fullmatch(r"[A-Za-z0-9_-]+", claims[name])
            assert len(unb64(claims[name])) >= 16
            seen.add(claims[name])
    assert len(seen) == 6


async def test_vp_3_the_encryption_key_is_for_this_request_alone(counter: Counter, holder: Holder) -> None:
    keys = []
    for _ in range(2):
        request = await holder.wallet.open((await counter.ask())["authorization_request"])
        key = request.encryption_key
        assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ECDH-ES", "enc")
        assert key["kid"]
        assert "d" not in key
        keys.append(key)
    assert keys[0]["x"] != keys[1]["x"]
    assert keys[0]["kid"] != keys[1]["kid"]


async def test_vp_3_the_private_key_is_gone_once_it_was_answered(counter: Counter, holder: Holder) -> None:
    asked = await counter.ask()
    request = await holder.wallet.open(asked["authorization_request"])
    before = await counter.row(asked)
    assert before is not None
    assert before.sealed is not None
    await holder.wallet.send(request, holder.wallet.show(request))
    after = await counter.row(asked)
    assert after is not None
    assert (after.state, after.sealed) == ("verified", None)


async def test_vp_3_both_encodings_and_the_formats_are_announced(counter: Counter, holder: Holder) -> None:
    metadata = (await holder.wallet.open((await counter.ask())["authorization_request"])).claims[
        "client_metadata"
    ]
    assert metadata["encrypted_response_enc_values_supported"] == ["A128GCM", "A256GCM"]
    assert metadata["vp_formats_supported"] == {
        "dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]}
    }


async def test_vp_3_the_registration_certificate_goes_with_it(counter: Counter, holder: Holder) -> None:
    claims = (await holder.wallet.open((await counter.ask())["authorization_request"])).claims
    assert claims["verifier_info"] == [{"format": "registration_cert", "data": REGISTRATION}]


# ---- 4: the query ----


async def test_vp_4_the_query_is_for_the_venues_tariffs_and_says_little(
    new_counter: Counter, holder: Holder
) -> None:
    await new_counter.city.offer(new_counter.venue, tariffs=["reduced_youth"])
    request = await holder.wallet.open((await new_counter.ask())["authorization_request"])
    query = request.query
    assert query["format"] == "dc+sd-jwt"
    assert query["meta"] == {"vct_values": [TYPE]}
    paths = {tuple(claim["path"]) for claim in query["claims"]}
    assert paths == {("tariff", "reduced"), ("tariff", "reduced_youth")}
    assert all(claim["values"] == [True] for claim in query["claims"])
    # One of them is enough, so that a wallet shows no second one.
    assert sorted(map(len, query["claim_sets"])) == [1, 1]
    assert "multiple" not in query


async def test_vp_4_the_name_is_asked_for_where_an_offer_compares_it(
    new_counter: Counter, holder: Holder
) -> None:
    named = await new_counter.city.offer(new_counter.venue, needs_name=True)
    asked = await new_counter.ask(offer_id=named)
    request = await holder.wallet.open(asked["authorization_request"])
    assert {claim["path"][-1] for claim in request.query["claims"]} == {
        "reduced",
        "given_name",
        "family_name",
    }
    assert all(len(one) == 3 for one in request.query["claim_sets"])
    assert (await holder.wallet.send(request, holder.wallet.show(request))).status_code == 200
    found = await new_counter.status(asked)
    assert found["name"] == "Änne Müller"
    assert {offer["id"] for offer in found["offers"]} == {named, new_counter.offer_id}


async def test_vp_4_the_authorities_that_are_trusted_are_named_by_key(
    counter: Counter, holder: Holder
) -> None:
    request = await holder.wallet.open((await counter.ask())["authorization_request"])
    header = jwt.get_unverified_header(holder.wallet.credential.split("~")[0])
    leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    named = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert named is not None
    assert request.query["trusted_authorities"] == [{"type": "aki", "values": [texts.b64url(named)]}]


async def test_vp_4_holder_binding_is_always_asked_for(counter: Counter, holder: Holder) -> None:
    request = await holder.wallet.open((await counter.ask())["authorization_request"])
    assert request.query.get("require_cryptographic_holder_binding", True) is True


async def test_vp_4_values_are_a_wish_that_the_server_checks_again(counter: Counter, holder: Holder) -> None:
    asked = await counter.ask(tariffs=["education"])
    request = await holder.wallet.open(asked["authorization_request"])
    answer = await holder.wallet.send(request, holder.wallet.show(request, ["reduced"]))
    assert answer.status_code == 400
    assert (await counter.status(asked))["reason"] == "query-claim"


# ---- 5: the response ----


@pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
async def test_vp_5_an_encrypted_response_is_taken_with_either_encoding(
    counter: Counter, holder: Holder, enc: str
) -> None:
    asked = await counter.ask()
    assert (await counter.status(asked))["status"] == "waiting"
    request = await holder.wallet.open(asked["authorization_request"], wallet_nonce="n-1")
    sealed = holder.wallet.close(request, holder.wallet.answer(request, holder.wallet.show(request)), enc=enc)
    answer = await holder.wallet.post(request, response=sealed)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {}
    found = await counter.status(asked)
    assert found["status"] == "verified"
    assert found["tariffs"] == ["reduced"]
    assert [offer["id"] for offer in found["offers"]] == [counter.offer_id]
    assert found["name"] is None
    assert found["reason"] is None


def test_vp_5_the_published_response_opens_with_its_key() -> None:
    published = json.loads((VECTORS / "response_encryption.json").read_text(encoding="utf-8"))
    members = published["private_jwk"]
    private = ec.derive_private_key(int.from_bytes(unb64(members["d"])), ec.SECP256R1())
    assert texts.read_object(unlock(published["jwe"], private, members["kid"])) == published["plaintext"]
    with pytest.raises(ValueError, match="encrypted for us"):
        unlock(published["jwe"], private, "another")


async def test_vp_5_from_the_same_device_the_presentation_counts_once_the_browser_is_back(
    counter: Counter, holder: Holder
) -> None:
    asked = await counter.ask(flow="same-device", return_to="/venues")
    assert asked["flow"] == "same-device"
    request = await holder.wallet.open(asked["authorization_request"])
    answer = await holder.wallet.send(request, holder.wallet.show(request))
    assert answer.status_code == 200
    where = urlsplit(answer.json()["redirect_uri"])
    assert f"{where.scheme}://{where.netloc}" == PUBLIC
    (code,) = parse_qs(where.query)["response_code"]
    assert len(unb64(code)) >= 16
    assert (await counter.status(asked))["status"] == "received"
    back = await counter.city.client.get(answer.json()["redirect_uri"], follow_redirects=False)
    assert back.status_code == 303
    assert back.headers["location"] == "/venues"
    assert (await counter.status(asked))["status"] == "verified"
    assert (await counter.status(asked))["tariffs"] == ["reduced"]


async def test_vp_5_in_another_browser_it_is_refused_for_good(counter: Counter, holder: Holder) -> None:
    asked = await counter.ask(flow="same-device")
    request = await holder.wallet.open(asked["authorization_request"])
    answer = await holder.wallet.send(request, holder.wallet.show(request))
    mine = dict(counter.city.client.cookies)
    counter.city.client.cookies.clear()
    away = await counter.city.client.get(answer.json()["redirect_uri"], follow_redirects=False)
    # Phones open another browser than the one in use: whoever reads this is told what to do, in their language.
    assert away.status_code == 404
    assert away.headers["content-type"].startswith("text/html")
    assert "in dem Sie begonnen haben" in away.text
    english = await counter.city.client.get("/openid/presented?lang=en")
    assert english.status_code == 404
    assert "start there again" in english.text
    found = await counter.status(asked)
    assert (found["status"], found["reason"], found["tariffs"]) == ("refused", "other-browser", [])
    for name, value in mine.items():
        counter.city.client.cookies.set(name, value)
    await counter.city.client.get(answer.json()["redirect_uri"], follow_redirects=False)
    assert (await counter.status(asked))["status"] == "refused"


async def test_vp_5_a_browser_that_never_comes_back_lets_it_expire(counter: Counter, holder: Holder) -> None:
    asked = await counter.ask(flow="same-device")
    request = await holder.wallet.open(asked["authorization_request"])
    answer = await holder.wallet.send(request, holder.wallet.show(request))
    counter.city.clock.forward(LASTS)
    assert (await counter.status(asked))["status"] == "expired"
    late = await counter.city.client.get(answer.json()["redirect_uri"], follow_redirects=False)
    assert late.status_code == 404
    assert (await counter.status(asked))["status"] == "expired"


async def test_vp_5_one_browser_can_have_two_questions_under_way(counter: Counter, holder: Holder) -> None:
    asked = [await counter.ask(flow="same-device") for _ in range(2)]
    for one in asked:
        request = await holder.wallet.open(one["authorization_request"])
        answer = await holder.wallet.send(request, holder.wallet.show(request))
        await counter.city.client.get(answer.json()["redirect_uri"], follow_redirects=False)
        assert (await counter.status(one))["status"] == "verified"


async def test_vp_5_from_home_no_other_device_is_asked(counter: Counter, holder: Holder) -> None:
    city = counter.city
    session = await sign_in(city.database, city.vault, city.now, Role.CITIZEN, person_id=holder.person_id)
    wish = {"attestation": "jobcenter-sgb2", "flow": "cross-device"}
    answer = await city.client.post("/v1/presentations", json=wish, headers=session)
    assert answer.status_code == 422
    assert answer.json()["type"].endswith("same-device-only")
    answer = await city.client.post("/v1/presentations", json=wish | {"flow": None}, headers=session)
    assert answer.json()["flow"] == "same-device"


# ---- 6: what is taken, and once (what is not stands in test_hostile.py) ----


async def test_vp_6_the_token_has_one_presentation_for_each_query(counter: Counter, holder: Holder) -> None:
    asked = await counter.ask()
    request = await holder.wallet.open(asked["authorization_request"])
    assert (await holder.wallet.send(request, holder.wallet.show(request))).status_code == 200
    assert (await counter.status(asked))["status"] == "verified"


async def test_vp_6_what_is_shown_beyond_the_question_is_not_seen(counter: Counter, holder: Holder) -> None:
    asked = await counter.ask()
    request = await holder.wallet.open(asked["authorization_request"])
    everything = ["reduced", "social_ticket", "given_name", "family_name", "birthdate"]
    assert (await holder.wallet.send(request, holder.wallet.show(request, everything))).status_code == 200
    found = await counter.status(asked)
    assert (found["tariffs"], found["name"]) == (["reduced"], None)


async def test_vp_6_an_answer_that_comes_again_is_refused(counter: Counter, holder: Holder) -> None:
    asked = await counter.ask()
    request = await holder.wallet.open(asked["authorization_request"])
    sealed = holder.wallet.close(request, holder.wallet.answer(request, holder.wallet.show(request)))
    assert (await holder.wallet.post(request, response=sealed)).status_code == 200
    again = await holder.wallet.post(request, response=sealed)
    assert again.status_code == 400
    assert again.json()["error"] == "invalid_request"
    assert (await counter.status(asked))["status"] == "verified"
    # Nor does it answer the next request.
    other = await counter.ask()
    request = await holder.wallet.open(other["authorization_request"])
    assert (await holder.wallet.post(request, response=sealed)).status_code == 400
    assert (await counter.status(other))["status"] == "waiting"


async def test_vp_6_of_two_answers_at_once_one_is_taken(counter: Counter, holder: Holder) -> None:
    asked = await counter.ask()
    request = await holder.wallet.open(asked["authorization_request"])
    show = holder.wallet.show(request)
    answers = await asyncio.gather(*(holder.wallet.send(request, show) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]


async def test_vp_6_after_its_time_a_request_gets_no_answer(counter: Counter, holder: Holder) -> None:
    asked = await counter.ask()
    request = await holder.wallet.open(asked["authorization_request"])
    counter.city.clock.forward(LASTS)
    answer = await holder.wallet.send(request, holder.wallet.show(request))
    assert answer.status_code == 400
    assert (await counter.status(asked))["status"] == "expired"


# ---- 7: what wallets say instead ----


@pytest.mark.parametrize(
    "error",
    [
        "access_denied",
        "invalid_request",
        "invalid_client",
        "vp_formats_not_supported",
        "invalid_request_uri_method",
        "invalid_transaction_data",
        "wallet_unavailable",
    ],
)
async def test_vp_7_a_wallets_own_refusal_is_taken_and_told(
    counter: Counter, holder: Holder, error: str
) -> None:
    asked = await counter.ask()
    request = await holder.wallet.open(asked["authorization_request"])
    answer = await holder.wallet.post(
        request, error=error, error_description="no", state=request.claims["state"]
    )
    assert answer.status_code == 200
    assert answer.json() == {}
    found = await counter.status(asked)
    assert (found["status"], found["reason"]) == ("refused", error)
    # It was the one answer.
    assert (await holder.wallet.send(request, holder.wallet.show(request))).status_code == 400


async def test_vp_7_an_encrypted_refusal_counts_and_an_unknown_one_gets_a_name(
    counter: Counter, holder: Holder
) -> None:
    asked = await counter.ask()
    request = await holder.wallet.open(asked["authorization_request"])
    refusal = {"error": "ZZZ <script>", "state": request.claims["state"]}
    answer = await holder.wallet.post(request, response=holder.wallet.close(request, refusal))
    assert answer.status_code == 200
    assert (await counter.status(asked))["reason"] == "wallet-error"


async def test_vp_7_a_refusal_on_the_same_device_leads_back_too(counter: Counter, holder: Holder) -> None:
    asked = await counter.ask(flow="same-device", return_to="/card")
    request = await holder.wallet.open(asked["authorization_request"])
    answer = await holder.wallet.post(request, error="access_denied", state=request.claims["state"])
    back = await counter.city.client.get(answer.json()["redirect_uri"], follow_redirects=False)
    assert back.headers["location"] == "/card"
    assert (await counter.status(asked))["reason"] == "access_denied"


async def test_vp_7_somebody_elses_refusal_changes_nothing(counter: Counter, holder: Holder) -> None:
    asked = await counter.ask()
    request = await holder.wallet.open(asked["authorization_request"])
    answer = await holder.wallet.post(request, error="access_denied", state="guessed")
    assert answer.status_code == 400
    assert (await counter.status(asked))["status"] == "waiting"


# ---- 8: the browser's interface ----


async def test_vp_8_the_digital_credentials_api_is_not_offered_and_its_proofs_not_taken(
    counter: Counter, holder: Holder
) -> None:
    asked = await counter.ask()
    request = await holder.wallet.open(asked["authorization_request"])
    assert "expected_origins" not in request.claims
    assert "dc_api" not in request.claims["response_mode"]
    answer = await holder.wallet.send(request, holder.wallet.show(request, aud=f"origin:{PUBLIC}"))
    assert answer.status_code == 400
    assert (await counter.status(asked))["reason"] == "binding-audience"
