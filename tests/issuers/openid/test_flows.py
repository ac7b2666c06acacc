"""Both ways to a credential, from the offer to the wallet, as another maker's wallet goes them."""

from core.clock import FixedClock
from tests.issuers.openid.conftest import City
from tests.issuers.openid.wallet import Provider, Wallet, new_key, public_jwk, read_sd_jwt, verify_chain


async def test_an_offer_with_a_transaction_code_brings_a_credential(wallet: Wallet, city: City) -> None:
    offered = await city.offer()
    offer = await wallet.read_offer(offered.link)
    tokens = await wallet.redeem(offer, offered.tx_code)
    assert tokens.status_code == 200, tokens.text
    key = new_key()
    answer = await wallet.fetch([key])
    assert answer.status_code == 200, answer.text
    (credential,) = [one["credential"] for one in answer.json()["credentials"]]
    verify_chain(credential, city.anchor)
    _, payload, disclosures = read_sd_jwt(credential)
    assert payload["cnf"]["jwk"] == public_jwk(key)
    assert {name: value for _, name, value in disclosures} == {
        "reduced": True,
        "social_ticket": True,
        "given_name": "Änne",
        "family_name": "Müller",
        "birthdate": "1961-03-07",
    }


async def test_signing_in_brings_a_batch(wallet: Wallet, city: City, clock: FixedClock) -> None:
    tokens = await wallet.sign_in(await city.session())
    assert tokens["token_type"] == "DPoP"
    keys = [new_key() for _ in range(3)]
    answer = await wallet.fetch(keys)
    assert answer.status_code == 200, answer.text
    credentials = [one["credential"] for one in answer.json()["credentials"]]
    payloads = [read_sd_jwt(credential)[1] for credential in credentials]
    assert [payload["cnf"]["jwk"] for payload in payloads] == [public_jwk(key) for key in keys]
    assert len({payload["status"]["status_list"]["idx"] for payload in payloads}) == 3


async def test_a_wallet_that_names_itself_with_an_offer_signs_its_proofs_by_that_name(
    wallet: Wallet, city: City
) -> None:
    offered = await city.offer()
    await wallet.redeem(await wallet.read_offer(offered.link), offered.tx_code, client_id="my-wallet")
    for iss, status in (("my-wallet", 200), ("another", 400), (None, 200)):
        proof = wallet.proof(new_key(), await wallet.nonce(), iss=iss)
        assert (await wallet.ask_credential(proofs={"jwt": [proof]})).status_code == status
    assert (await wallet.refresh(attested=False)).status_code == 200


async def test_a_wallet_may_prove_itself_with_an_offer_too_and_must_then_go_on(
    wallet: Wallet, city: City
) -> None:
    offered = await city.offer()
    answer = await wallet.redeem(await wallet.read_offer(offered.link), offered.tx_code, attested=True)
    assert answer.status_code == 200
    assert (await wallet.fetch([new_key()])).status_code == 200
    assert (await wallet.refresh(attested=False)).status_code == 401
    assert (await wallet.refresh(attested=True)).status_code == 200


async def test_the_page_shows_a_wallets_name_as_text(
    wallet: Wallet, city: City, provider: Provider, clock: FixedClock
) -> None:
    for name, shown in (
        ("<b>Wallet</b>", "&lt;b&gt;Wallet&lt;/b&gt;"),
        ("Wallet\u202etxt", "https://wallet.example"),
    ):
        attestation = provider.wallet_attestation(wallet.instance, clock.now(), wallet_name=name)
        pushed = await wallet.push(headers=wallet.attest(attestation=attestation))
        page = await wallet.http.get(
            wallet.authorize_url(pushed.json()["request_uri"]), headers=await city.session()
        )
        assert f"<strong>{shown}</strong>" in page.text


async def test_every_program_speaks_one_language_of_refusal(wallet: Wallet) -> None:
    """A door that is not for this method says so, and does not fail."""
    for path in ("/openid/token", "/openid/par", "/openid/nonce", "/openid/credential"):
        assert (await wallet.http.get(path)).status_code == 405
