"""Who may make offers, at the desk, on the phone and from the command line; and signing in with the demo's provider."""

import json
from datetime import timedelta
from uuid import uuid4

import anyio
import click
import httpx
import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from litestar.testing import AsyncTestClient
from pydantic import SecretStr

from app import create_app
from app.cli import inside, offering
from app.cli import pki as certificates
from app.demo.provider import Account, create_provider
from core.access import service as access
from core.access.doorkeeper import DEMO_CLIENT_SECRET, Doorkeeper
from core.access.policy import Policy
from core.access.rules import Role
from core.clock import FixedClock
from core.http import Outgoing
from entitlements.people import service as people
from entitlements.people.models import LinkedBy
from entitlements.people.rules import PersonIdentity
from tests.issuers.openid.conftest import ISSUER, City, House
from tests.issuers.openid.wallet import Provider, Wallet, new_key, verify_chain
from tests.makers import sign_in

# ---- the API ----


async def test_a_citizen_loads_the_own_card(wallet: Wallet, city: City) -> None:
    made = await wallet.http.post("/v1/credential-offers", json={}, headers=await city.session())
    assert made.status_code == 201, made.text
    offered = made.json()
    assert set(offered) == {"offer", "tx_code", "expires_at"}
    answer = await wallet.redeem(await wallet.read_offer(offered["offer"]), offered["tx_code"])
    assert answer.status_code == 200


async def test_the_desk_offers_to_whoever_stands_there(wallet: Wallet, city: City) -> None:
    clerk = await sign_in(city.database, city.vault, city.clock.now(), Role.CASE_WORKER)
    at_the_desk = {**clerk, "Acting-For": str(city.person_id), "Channel": "desk"}
    wish = {"programme": "dortmund-karte", "by_value": True, "scheme": "haip-vci"}
    made = await wallet.http.post("/v1/credential-offers", json=wish, headers=at_the_desk)
    assert made.status_code == 201, made.text
    answer = await wallet.redeem(await wallet.read_offer(made.json()["offer"]), made.json()["tx_code"])
    assert answer.status_code == 200
    assert (await wallet.fetch([new_key()])).status_code == 200


@pytest.mark.parametrize(
    ("wish", "status"),
    [({"programme": "no-such"}, 404), ({"programme": "Bad Name"}, 400), ({"more": 1}, 400)],
)
async def test_a_wish_that_cannot_be_met_is_a_problem(
    wallet: Wallet, city: City, wish: dict[str, object], status: int
) -> None:
    answer = await wallet.http.post("/v1/credential-offers", json=wish, headers=await city.session())
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")


async def test_nobody_offers_for_others(wallet: Wallet, city: City) -> None:
    assert (await wallet.http.post("/v1/credential-offers", json={})).status_code == 401
    stranger = await city.session(await city.newcomer(tariffs=("reduced",)))
    foreign = {**stranger, "Acting-For": str(city.person_id)}
    answer = await wallet.http.post("/v1/credential-offers", json={}, headers=foreign)
    assert answer.status_code == 404
    bare = await city.session(await city.newcomer())
    answer = await wallet.http.post("/v1/credential-offers", json={}, headers=bare)
    assert answer.status_code == 409


async def test_the_holder_sees_what_is_in_wallets_and_takes_it_back(loaded: Wallet, city: City) -> None:
    await loaded.fetch([new_key()])
    session = await city.session()
    (listed,) = (await loaded.http.get("/v1/credentials", headers=session)).json()["credentials"]
    assert listed["kind"] == "sd-jwt"
    taken = await loaded.http.post(
        f"/v1/credentials/{listed['id']}/revocation", json={"reason": "lost"}, headers=session
    )
    assert taken.json()["revoked_for"] == "lost"


# ---- the command ----


async def run(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    *words: str,
    command: click.Command = offering.offer_credential,
) -> Result:
    for name, value in {
        "MODE": "test",
        "DATABASE_URL": house.settings.database_url,
        "PUBLIC_URL": ISSUER,
        "VAULT_FILE": "nowhere/vault.json",
    }.items():
        monkeypatch.setenv(f"CITYCARD_{name}", value)
    monkeypatch.setattr(offering, "open_vault", lambda _settings: house.vault)
    monkeypatch.setattr(inside, "SystemClock", lambda: house.application.state.clock)
    # The command runs its own loop, as it does in a terminal.
    return await anyio.to_thread.run_sync(CliRunner().invoke, command, list(words))


async def test_the_command_prints_an_offer_and_its_code(
    house: House, wallet: Wallet, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = await run(house, monkeypatch, str(city.person_id), "--programme", "dortmund-karte", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.output)
    assert set(said) == {"offer", "tx_code"}
    answer = await wallet.redeem(await wallet.read_offer(said["offer"]), said["tx_code"])
    assert answer.status_code == 200


async def test_the_command_finds_a_person_by_name_if_one_has_it(
    house: House, wallet: Wallet, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    surname = "".join(chr(ord("a") + int(digit, 16)) for digit in uuid4().hex[:10]).capitalize()
    for others in range(2):
        person_id = await city.newcomer(tariffs=("reduced",))
        async with city.database.writing() as session:
            identity = PersonIdentity(
                given_name="Ludmilla",
                family_name=surname,
                birth_date=("1990-05-17", "0000-00-00")[others],
                postcode=("44145", "")[others],
                street="Weg 1",
            )
            now = city.clock.now()
            await people.keep_identity(session, city.vault, person_id, identity, stated_at=now, now=now)
        found = await run(house, monkeypatch, f"{surname.upper()} Ludmilla", "--json", "--no-tx-code")
        if others == 0:
            assert found.exit_code == 0, found.output
            assert json.loads(found.output)["tx_code"] is None
    assert found.exit_code == 1
    assert f"{person_id}  L., year of birth unknown" in found.output
    # Enough to choose by, and nothing that a copied terminal need not have.
    assert "  L., born 1990, 44145" in found.output
    for hidden in ("05-17", "Ludmilla", surname, "Weg"):
        assert hidden not in found.output


async def test_the_command_asks_whose_wallet_takes_what_is_a_childs(
    house: House, wallet: Wallet, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = city.clock.now()
    parents = [await city.newcomer(), await city.newcomer()]
    async with city.database.writing() as session:
        for parent in parents:
            await people.make_guardian(
                session,
                None,
                guardian_id=parent,
                child_id=city.person_id,
                since=now.date(),
                until=now.date() + timedelta(days=30),
                now=now,
            )
    unsaid = await run(house, monkeypatch, str(city.person_id), "--json")
    assert unsaid.exit_code == 1
    assert "--taken-by" in unsaid.output
    assert all(str(parent) in unsaid.output for parent in parents)
    for taker in (*parents, city.person_id):
        said = await run(house, monkeypatch, str(city.person_id), "--json", "--taken-by", str(taker))
        assert set(json.loads(said.output)) == {"offer", "tx_code"}


async def test_the_command_says_why_there_is_no_offer(
    house: House, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await run(house, monkeypatch, str(uuid4()))).exit_code == 1
    assert (await run(house, monkeypatch, "Niemand Dergleichen")).exit_code == 1
    unknown = await run(house, monkeypatch, str(city.person_id), "--programme", "no-such")
    assert unknown.exit_code == 1
    assert "no such" in unknown.output


async def test_the_command_prints_what_verifiers_of_others_trust(
    house: House, loaded: Wallet, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    credential = (await loaded.fetch([new_key()])).json()["credentials"][0]["credential"]
    monkeypatch.setattr(certificates, "open_vault", lambda _settings: house.vault)
    printed = await run(house, monkeypatch, command=certificates.anchor)
    assert printed.exit_code == 0, printed.output
    verify_chain(credential, x509.load_pem_x509_certificate(printed.output.encode()))
    monkeypatch.setenv("CITYCARD_CREDENTIAL_CHAIN", "chain.pem")
    elsewhere = await run(house, monkeypatch, command=certificates.anchor)
    assert elsewhere.exit_code != 0
    assert "CITYCARD_CREDENTIAL_CHAIN" in elsewhere.output


# ---- signing in, as the demo does ----


async def test_the_code_flow_goes_through_the_citys_own_sign_in(
    house: House, city: City, clock: FixedClock, provider: Provider
) -> None:
    settings = house.settings.model_copy(
        update={"oidc_issuer": f"{ISSUER}/demo/op", "oidc_client_secret": SecretStr(DEMO_CLIENT_SECRET)}
    )
    account = Account("anna", "Änne Müller", ("citizen",))
    application = create_app(
        settings, clock, vault=house.vault, work=False, more_doors=[create_provider(settings, [account])]
    )
    outgoing = Outgoing(httpx.ASGITransport(app=application))
    application.state.doorkeeper = Doorkeeper(
        settings, house.vault, application.state.database, policy=Policy(_env_file=None), outgoing=outgoing
    )
    async with house.database.writing() as session:
        principal = await access.login(session, house.vault, settings.oidc_issuer, "anna", clock.now())
        await people.link_login(
            session, principal.id, city.person_id, by=LinkedBy.DESK, caller=None, now=clock.now()
        )
    async with AsyncTestClient(application, base_url=ISSUER) as browser:
        wallet = Wallet(browser, ISSUER, clock, provider)
        await wallet.discover()
        url = wallet.authorize_url((await wallet.push()).json()["request_uri"])
        at_the_provider = await browser.get(url, follow_redirects=True)
        assert at_the_provider.url.path == "/demo/op/authorize"
        back = await browser.post(
            str(at_the_provider.url), data={"account": "anna", "password": "demo"}, follow_redirects=True
        )
        assert str(back.url) == url
        said = await wallet.consent(url, {})
        wallet.check_back(said)
        assert (await wallet.exchange(said["code"])).status_code == 200
        assert (await wallet.fetch([new_key()])).status_code == 200
    await outgoing.close()
