"""A guardian's wallet holds what is a child's as long as the guardianship lasts, and not a day longer."""

from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

import httpx
import jwt
import pytest

from core.access.rules import Role
from core.clock import FixedClock, day_of
from entitlements.people import service as people
from issuers.credentials.rules import Revocation
from tests.conftest import NOON
from tests.issuers.makers import run_jobs
from tests.issuers.openid.conftest import City
from tests.issuers.openid.wallet import Wallet, error, new_key, read_sd_jwt, status_of
from tests.makers import sign_in
from wallet.cards.service import look_after_wards

LAST_DAY = NOON.date() + timedelta(days=30)


@dataclass
class Family:
    """A child that holds something, a parent, and the parent's wallet."""

    city: City
    wallet: Wallet
    parent: UUID
    child: UUID
    guardianship: UUID

    async def offer(self) -> httpx.Response:
        headers = {**await self.city.session(self.parent), "Acting-For": str(self.child)}
        return await self.wallet.http.post("/v1/credential-offers", json={}, headers=headers)

    async def load(self) -> str:
        """Takes an offer for the child into the parent's wallet, and gives the credential."""
        offered = (await self.offer()).json()
        taken = await self.wallet.redeem(await self.wallet.read_offer(offered["offer"]), offered["tx_code"])
        assert taken.status_code == 200, taken.text
        answer = await self.wallet.fetch([new_key(), new_key()])
        assert answer.status_code == 200, answer.text
        return str(answer.json()["credentials"][0]["credential"])

    async def part(self, last_day: date) -> None:
        now = self.city.clock.now()
        today = day_of(now, self.city.settings.zone)
        async with self.city.database.writing() as session:
            await people.end_guardianship(session, None, self.guardianship, last_day, today=today, now=now)
        await run_jobs(self.city.database, self.city.settings, self.city.vault, self.city.clock)

    async def night(self) -> None:
        async with self.city.database.writing() as session:
            await look_after_wards(session, {}, self.city.clock.now(), settings=self.city.settings)

    async def ends(self) -> list[Revocation | None]:
        """Why each credential of the child was taken back."""
        return [row.revoked_for for row in await self.city.credentials()]


async def standing(wallet: Wallet, credential: str) -> int:
    """What the public status list says of a credential."""
    place = read_sd_jwt(credential)[1]["status"]["status_list"]
    answer = await wallet.http.get(place["uri"])
    listed = jwt.decode(answer.text, options={"verify_signature": False})["status_list"]
    return status_of(listed["lst"], place["idx"], listed["bits"])


@pytest.fixture
async def family(city: City, wallet: Wallet) -> Family:
    parent, now = await city.newcomer(), city.clock.now()
    async with city.database.writing() as session:
        row = await people.make_guardian(
            session,
            None,
            guardian_id=parent,
            child_id=city.person_id,
            since=now.date(),
            until=LAST_DAY,
            now=now,
        )
    return Family(city, wallet, parent, city.person_id, row.id)


async def test_with_the_guardianship_end_the_childs_credentials_in_the_guardians_wallet(
    family: Family,
) -> None:
    credential = await family.load()
    assert await standing(family.wallet, credential) == 0
    await family.part(NOON.date() - timedelta(days=1))
    assert await family.ends() == [Revocation.GUARDIANSHIP_ENDED] * 2
    assert await standing(family.wallet, credential) == 1
    # Nor does the wallet fetch the next: its tokens are dead.
    assert error(await family.wallet.fetch([new_key()]), 401) == "invalid_token"
    assert error(await family.wallet.refresh(attested=False)) == "invalid_grant"


async def test_what_the_child_or_another_guardian_holds_stays(family: Family, city: City) -> None:
    other, now = await city.newcomer(), city.clock.now()
    async with city.database.writing() as session:
        await people.make_guardian(
            session, None, guardian_id=other, child_id=family.child, since=now.date(), until=LAST_DAY, now=now
        )
    for who in (family.child, other):
        headers = {**await city.session(who), "Acting-For": str(family.child)}
        offered = (await family.wallet.http.post("/v1/credential-offers", json={}, headers=headers)).json()
        await family.wallet.redeem(await family.wallet.read_offer(offered["offer"]), offered["tx_code"])
        assert (await family.wallet.fetch([new_key()])).status_code == 200
    at_the_desk = await city.offer(handed_to=other)
    await family.wallet.redeem(await family.wallet.read_offer(at_the_desk.link), at_the_desk.tx_code)
    assert (await family.wallet.fetch([new_key()])).status_code == 200
    await family.part(NOON.date() - timedelta(days=1))
    await family.night()
    assert await family.ends() == [None] * 3


async def hand_out(family: Family, **said: str) -> httpx.Response:
    """The desk offers what is the child's."""
    clerk = await sign_in(family.city.database, family.city.vault, family.city.clock.now(), Role.CASE_WORKER)
    headers = {**clerk, "Acting-For": str(family.child), "Channel": "desk"}
    return await family.wallet.http.post("/v1/credential-offers", json=said, headers=headers)


async def take(family: Family, offered: httpx.Response) -> httpx.Response:
    made = offered.json()
    return await family.wallet.redeem(await family.wallet.read_offer(made["offer"]), made["tx_code"])


@pytest.mark.parametrize("named", [True, False])
async def test_what_the_desk_hands_a_guardian_for_a_child_ends_with_the_guardianship(
    family: Family, named: bool
) -> None:
    # The guardian has no account here: who takes it is known by their papers alone.
    said = {"taken_by": str(family.parent)} if named else {}
    assert (await take(family, await hand_out(family, **said))).status_code == 200
    answer = await family.wallet.fetch([new_key(), new_key()])
    _, payload, _ = read_sd_jwt(answer.json()["credentials"][0]["credential"])
    assert payload["exp"] <= (NOON + timedelta(days=31)).timestamp()
    waiting = (await hand_out(family, **said)).json()
    unopened = await family.wallet.read_offer(waiting["offer"])
    await family.part(NOON.date() - timedelta(days=1))
    assert await family.ends() == [Revocation.GUARDIANSHIP_ENDED] * 2
    assert error(await family.wallet.fetch([new_key()]), 401) == "invalid_token"
    assert error(await family.wallet.redeem(unopened, waiting["tx_code"])) == "invalid_grant"


async def test_what_the_desk_hands_a_guardian_is_gone_in_the_night_after_the_last_day(
    family: Family, clock: FixedClock
) -> None:
    await take(family, await hand_out(family))
    await family.wallet.fetch([new_key()])
    async with family.city.database.writing() as session:
        for row in await family.city.credentials():
            row.expires_at = NOON + timedelta(days=90)
            await session.merge(row)
    clock.forward(timedelta(days=31))
    await family.night()
    assert await family.ends() == [Revocation.GUARDIANSHIP_ENDED]


async def test_what_the_desk_hands_the_child_itself_outlasts_the_guardianship(family: Family) -> None:
    assert (await take(family, await hand_out(family, taken_by=str(family.child)))).status_code == 200
    assert (await family.wallet.fetch([new_key()])).status_code == 200
    await family.part(NOON.date() - timedelta(days=1))
    assert await family.ends() == [None]


async def test_of_several_guardians_the_desk_says_which_one_and_nobody_else_will_do(
    family: Family, city: City
) -> None:
    other, stranger, now = await city.newcomer(), await city.newcomer(), city.clock.now()
    async with city.database.writing() as session:
        await people.make_guardian(
            session, None, guardian_id=other, child_id=family.child, since=now.date(), until=LAST_DAY, now=now
        )
    unsaid = await hand_out(family)
    assert (unsaid.status_code, unsaid.json()["type"].rpartition(":")[2]) == (409, "whose-wallet")
    assert (await hand_out(family, taken_by=str(stranger))).status_code == 404
    assert (await take(family, await hand_out(family, taken_by=str(other)))).status_code == 200
    await family.wallet.fetch([new_key()])
    await family.part(NOON.date() - timedelta(days=1))
    assert await family.ends() == [None]  # it is in the other one's wallet


async def test_only_the_desk_says_whose_wallet_takes_it(family: Family) -> None:
    headers = {**await family.city.session(family.parent), "Acting-For": str(family.child)}
    answer = await family.wallet.http.post(
        "/v1/credential-offers", json={"taken_by": str(family.child)}, headers=headers
    )
    assert answer.status_code == 400


async def test_an_offer_that_nobody_took_up_ends_too(family: Family) -> None:
    offered = (await family.offer()).json()
    offer = await family.wallet.read_offer(offered["offer"])
    await family.part(NOON.date() - timedelta(days=1))
    assert error(await family.wallet.redeem(offer, offered["tx_code"])) == "invalid_grant"
    assert (await family.offer()).status_code == 404


async def test_a_credential_ends_with_the_guardianships_last_day(family: Family, city: City) -> None:
    _, payload, _ = read_sd_jwt(await family.load())
    own = await city.offer()
    await family.wallet.redeem(await family.wallet.read_offer(own.link), own.tx_code)
    _, other, _ = read_sd_jwt((await family.wallet.fetch([new_key()])).json()["credentials"][0]["credential"])
    assert payload["exp"] < other["exp"]
    assert NOON.timestamp() < payload["exp"] <= (NOON + timedelta(days=31)).timestamp()


async def test_the_night_after_the_last_day_nothing_is_left(family: Family, clock: FixedClock) -> None:
    await family.load()
    async with family.city.database.writing() as session:
        # As the credentials of a time before last days were looked at: they run on.
        for row in await family.city.credentials():
            row.expires_at = NOON + timedelta(days=90)
            await session.merge(row)
    clock.forward(timedelta(days=31))
    await family.night()
    assert await family.ends() == [Revocation.GUARDIANSHIP_ENDED] * 2


async def test_between_the_last_day_and_the_night_nothing_is_given(family: Family, clock: FixedClock) -> None:
    await family.load()
    clock.forward(timedelta(days=31))
    assert (await family.wallet.refresh(attested=False)).status_code == 200
    answer = await family.wallet.fetch([new_key()])
    assert error(answer) == "credential_request_denied"
    assert len(await family.ends()) == 2


async def test_a_wallet_that_knows_only_the_code_flow_gets_the_childs_card_too(
    family: Family, city: City
) -> None:
    # HAIP 1.0 asks wallets for the code flow and for no other.
    offer = await family.wallet.read_offer((await family.offer()).json()["offer"])
    state = offer["grants"]["authorization_code"]["issuer_state"]
    session = await city.session(family.parent)
    uri = (await family.wallet.push(issuer_state=state)).json()["request_uri"]
    page = await family.wallet.http.get(family.wallet.authorize_url(uri) + "&lang=en", headers=session)
    assert "It is the card of: <strong>Änne</strong>" in page.text
    assert "your name" not in page.text
    await family.wallet.sign_in(session, issuer_state=state)
    credential = (await family.wallet.fetch([new_key()])).json()["credentials"][0]["credential"]
    assert "Änne" in [value for _, _, value in read_sd_jwt(credential)[2]]
    await family.part(NOON.date() - timedelta(days=1))
    assert await family.ends() == [Revocation.GUARDIANSHIP_ENDED]
    assert error(await family.wallet.fetch([new_key()]), 401) == "invalid_token"


async def test_nobody_else_gets_it_by_signing_in(family: Family, city: City) -> None:
    offer = await family.wallet.read_offer((await family.offer()).json()["offer"])
    state = offer["grants"]["authorization_code"]["issuer_state"]
    stranger = await city.session(await city.newcomer())
    uri = (await family.wallet.push(issuer_state=state)).json()["request_uri"]
    page = await family.wallet.http.get(family.wallet.authorize_url(uri), headers=stranger)
    assert "Änne" not in page.text
    said = await family.wallet.consent(family.wallet.authorize_url(uri), stranger)
    assert said["error"] == "access_denied"
