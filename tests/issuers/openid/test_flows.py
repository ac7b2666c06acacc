"""Both ways to a credential, from the offer to the wallet, as another maker's wallet goes them."""

from core.clock import FixedClock
from tests.issuers.openid.conftest import City
from tests.issuers.openid.wallet import Wallet, new_key, public_jwk, read_sd_jwt, verify_chain


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
