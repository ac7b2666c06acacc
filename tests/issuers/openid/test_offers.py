"""Line 10 of the issuer's checklist (HAIP 1.0, OpenID4VCI 1.0): offers, by reference and by value."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from core.clock import FixedClock
from tests.issuers.openid.conftest import ISSUER, City
from tests.issuers.openid.wallet import DESCRIPTION, PRE_AUTHORIZED, Wallet, new_key, read_sd_jwt


async def test_vci_10_an_offer_by_reference_is_json_and_names_both_grants(wallet: Wallet, city: City) -> None:
    offered = await city.offer()
    assert offered.link.startswith("openid-credential-offer://?credential_offer_uri=")
    offer = await wallet.read_offer(offered.link)
    assert offer["credential_issuer"] == ISSUER
    assert set(offer["credential_configuration_ids"]) <= set(wallet.configurations)
    assert set(offer["grants"]) == {PRE_AUTHORIZED, "authorization_code"}
    announced = offer["grants"][PRE_AUTHORIZED]["tx_code"]
    assert announced["input_mode"] == "numeric"
    assert offered.tx_code is not None
    assert len(offered.tx_code) == announced["length"]
    assert DESCRIPTION.fullmatch(announced["description"])
    assert len(announced["description"]) <= 300


async def test_vci_10_an_offer_by_value_says_the_same(wallet: Wallet, city: City) -> None:
    from issuers.openid.offers import Scheme

    offered = await city.offer(by_value=True, scheme=Scheme.HAIP)
    assert offered.link.startswith("haip-vci://?credential_offer=")
    # Not every wallet reads a plus sign as a space; each reads %20.
    assert "+" not in offered.link
    answer = await wallet.redeem(await wallet.read_offer(offered.link), offered.tx_code)
    assert answer.status_code == 200


async def test_vci_10_an_offer_leads_into_the_code_flow(wallet: Wallet, city: City) -> None:
    offer = await wallet.read_offer((await city.offer(programme="dortmund-karte")).link)
    state = offer["grants"]["authorization_code"]["issuer_state"]
    await wallet.sign_in(await city.session(), issuer_state=state)
    assert (await wallet.fetch([new_key()])).status_code == 200


async def test_vci_10_an_offer_ends_and_is_hidden_from_who_has_no_reference(
    wallet: Wallet, city: City, clock: FixedClock
) -> None:
    offered = await city.offer()
    uri = parse_qs(urlsplit(offered.link).query)["credential_offer_uri"][0]
    assert (await wallet.http.get(uri[:-1] + ("A" if uri[-1] != "A" else "B"))).status_code == 404
    clock.forward(timedelta(days=1))
    assert (await wallet.http.get(uri)).status_code == 404


async def test_vci_10_an_offer_names_a_programme_and_the_credential_says_no_more(
    wallet: Wallet, city: City
) -> None:
    await city.give(programme="sozialpass", tariffs=("education",))
    offered = await city.offer(programme="sozialpass")
    await wallet.redeem(await wallet.read_offer(offered.link), offered.tx_code)
    credential = (await wallet.fetch([new_key()])).json()["credentials"][0]["credential"]
    names = {name for _, name, _ in read_sd_jwt(credential)[2]}
    assert names == {"education", "given_name", "family_name", "birthdate"}


async def test_vci_10_nothing_is_offered_where_nothing_is_held(city: City) -> None:
    from issuers.openid.offers import NothingToOffer

    with pytest.raises(NothingToOffer):
        await city.offer(await city.newcomer())
