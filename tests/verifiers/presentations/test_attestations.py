"""Granted because somebody else attests it: the Dortmund-Karte on presentation of a Jobcenter's credential."""

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select
from sqlmodel import col

from core.access.rules import Role
from core.clock import FixedClock
from core.http import Outgoing
from core.p256 import sign
from entitlements.facts.service import silences
from entitlements.people import service as people
from entitlements.people.rules import PersonIdentity
from entitlements.registers.models import Register
from entitlements.registers.rules import Remit
from entitlements.registers.service import Listed, Vouching
from issuers.openid.foreign import ForeignLists
from issuers.status.cwt import sign_cwt
from issuers.status.rules import StatusList, StatusListToken
from issuers.status.service import StatusMemory
from tests.entitlements.facts.making import a_register, state
from tests.makers import sign_in
from tests.verifiers.makers import City
from tests.verifiers.presentations.conftest import OTHERS, House
from tests.verifiers.presentations.wallet import Authority, Request, Wallet, b64, new_key, public_jwk
from verifiers.presentations.answering import House as Answering
from verifiers.presentations.attestations import (
    AttestationsUnreadable,
    attestations,
    facts_in,
    is_about,
    months_after,
)

ON_ONE_DATABASE = pytest.mark.parametrize("house_url", ["sqlite"], indirect=True)
"""For what no database has a part in."""

KIND = "jobcenter-sgb2"
VCT = "urn:de:jobcenter:sgb2-bescheinigung:1"
LIST = f"{OTHERS}/status/1"


class Lists:
    """The Jobcenter's status list, and who asked for it."""

    def __init__(self, authority: Authority, clock: FixedClock) -> None:
        self.authority, self.clock = authority, clock
        self.statuses = StatusList.blank(1024)
        self.asked: list[str] = []
        self.as_cwt = False
        self.claims: dict[str, Any] = {}
        self.answer: Callable[[httpx.Request], httpx.Response] = self.serve

    def serve(self, _request: httpx.Request) -> httpx.Response:
        now = self.clock.now()
        if self.as_cwt:
            listed = StatusListToken(LIST, self.statuses, now, now + timedelta(days=1), timedelta(minutes=5))
            return httpx.Response(
                200,
                content=sign_cwt(_Signer(self.authority), listed, self.authority.x5c),
                headers={"Content-Type": "application/statuslist+cwt"},
            )
        claims = {
            "sub": LIST,
            "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + 86_400,
            "ttl": 300,
            "status_list": {"bits": 1, "lst": b64(zlib.compress(self.statuses.octets()))},
        } | self.claims
        token = self.authority.sign("statuslist+jwt", claims)
        return httpx.Response(200, text=token, headers={"Content-Type": "application/statuslist+jwt"})

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        return self.answer(request)

    def outgoing(self) -> Outgoing:
        return Outgoing(httpx.MockTransport(self.handle))


class _Signer:
    """The authority's key as the house's own encoder of CWTs wants one."""

    def __init__(self, authority: Authority) -> None:
        self._key = authority.key
        self.public_key = authority.key.public_key()
        self.kid = b"\x00" * 4

    def sign(self, data: bytes) -> bytes:
        return sign(self._key, data)


@dataclass
class Claimant:
    """A resident of whom the city knows the home and not the benefit, with an attestation in a wallet."""

    city: City
    house: House
    authority: Authority
    lists: Lists
    person_id: UUID
    wallet: Wallet
    session: dict[str, str]

    def attest(
        self, *, hidden: dict[str, Any] | None = None, authority: Authority | None = None, **plain: Any
    ) -> None:
        """Puts another attestation into the wallet."""
        now = int(self.city.now.timestamp())
        claims = {
            "iss": OTHERS,
            "vct": VCT,
            "iat": now,
            "exp": now + 90 * 86_400,
            "cnf": {"jwk": public_jwk(self.wallet.key)},
            "status": {"status_list": {"idx": 7, "uri": LIST}},
        } | plain
        shown = {
            "given_name": "Zoë",
            "family_name": "Öztürk",
            "birthdate": "1990-05-04",
            "benefit": {"kind": "sgb2", "from": "2026-09-01", "until": "2026-11-30"},
        } | (hidden or {})
        self.wallet.credential = (authority or self.authority).issue(
            {name: value for name, value in claims.items() if value is not None},
            {name: value for name, value in shown.items() if value is not None},
        )

    async def ask(self, **more: Any) -> tuple[dict[str, Any], Request]:
        wish = {"attestation": KIND} | more
        answer = await self.city.client.post("/v1/presentations", json=wish, headers=self.session)
        assert answer.status_code == 201, answer.text
        asked: dict[str, Any] = answer.json()
        return asked, await self.wallet.open(asked["authorization_request"], wallet_nonce="n")

    def show(self, request: Request) -> str:
        return self.wallet.show(request, ["given_name", "family_name", "birthdate", "benefit"])

    async def present(self, *, back: bool = True) -> dict[str, Any]:
        """The whole flow on one device; gives how it stands afterwards."""
        asked, request = await self.ask()
        answer = await self.wallet.send(request, self.show(request))
        if answer.status_code == 200 and back:
            await self.city.client.get(answer.json()["redirect_uri"], follow_redirects=False)
        found: dict[str, Any] = (await self.city.client.get(asked["status_url"])).json()
        return found

    async def holds(self) -> dict[str, Any]:
        answer = await self.city.client.get(
            "/v1/entitlements", params={"explain": True}, headers=self.session
        )
        assert answer.status_code == 200, answer.text
        return next(one for one in answer.json() if one["programme"] == "dortmund-karte")


@pytest.fixture
async def claimant(city: City, house: House, jobcenter: Authority) -> Claimant:
    now = city.now
    async with house.database.writing() as session:
        person = await people.make_person(session, now)
        identity = PersonIdentity(given_name="Zoë", family_name="Öztürk", birth_date="1990-05-04")
        await people.keep_identity(session, house.vault, person.id, identity, stated_at=now, now=now)
        found = await session.execute(select(Register).where(col(Register.kind) == "melderegister"))
        residents = found.scalars().first() or await a_register(
            session, "melderegister", ["main_residence", "birth_date", "birth_date_latest"]
        )
        first = date(2026, 1, 1)
        await state(session, residents, person.id, "main_residence", True, first, None, at=now, known=now)
        for name in ("birth_date", "birth_date_latest"):
            born = date(1990, 5, 4)
            await state(session, residents, person.id, name, born, born, None, at=now, known=now)
    lists = Lists(jobcenter, city.clock)
    session_of = await sign_in(house.database, house.vault, now, Role.CITIZEN, person_id=person.id)
    made = Claimant(city, house, jobcenter, lists, person.id, Wallet(city.client, city.clock), session_of)
    _listen(house, lists)
    made.attest()
    return made


def _listen(house: House, lists: Lists) -> None:
    """From now on the application asks these lists where it would ask the world."""
    house.application.state.presentations = Answering(
        house.application.state.database,  # with connections of the application's own event loop
        house.vault,
        house.settings,
        StatusMemory(),
        ForeignLists(house.settings, lists.outgoing),
    )


# ---- from beginning to end ----


async def test_the_card_is_granted_on_presentation_and_the_reason_names_the_source(
    claimant: Claimant,
) -> None:
    assert (await claimant.present()) == {
        "status": "verified",
        "reason": None,
        "headline": "Gültig",
        "tariffs": [],
        "offers": [],
        "name": None,
        "expires_at": "2026-09-16T10:05:00Z",
    }
    held = await claimant.holds()
    assert held["outcome"] == "granted"
    explained = json.dumps(held, ensure_ascii=False)
    assert "jobcenter_attestation" in explained
    assert "die vorgezeigte Bescheinigung des Jobcenters" in explained
    assert "2026-11-30" in explained
    assert claimant.lists.asked == [LIST]


async def test_the_desk_takes_an_attestation_from_another_device(claimant: Claimant) -> None:
    clerk = await sign_in(claimant.house.database, claimant.house.vault, claimant.city.now, Role.CASE_WORKER)
    own = claimant.session
    claimant.session = {**clerk, "Acting-For": str(claimant.person_id), "Channel": "desk"}
    asked, request = await claimant.ask()
    assert asked["flow"] == "cross-device"
    answer = await claimant.wallet.send(request, claimant.show(request))
    assert answer.json() == {}
    assert (await claimant.city.client.get(asked["status_url"])).json()["status"] == "verified"
    claimant.session = own
    assert (await claimant.holds())["outcome"] == "granted"


async def test_nothing_is_known_before_the_browser_is_back(claimant: Claimant) -> None:
    assert (await claimant.present(back=False))["status"] == "received"
    assert await _not_granted(claimant)


async def _not_granted(claimant: Claimant) -> bool:
    answer = await claimant.city.client.get("/v1/entitlements", headers=claimant.session)
    return all(one["programme"] != "dortmund-karte" or one["outcome"] != "granted" for one in answer.json())


async def test_showing_it_again_changes_nothing_and_later_days_count(claimant: Claimant) -> None:
    assert (await claimant.present())["status"] == "verified"
    assert (await claimant.present())["status"] == "verified"
    claimant.attest(
        hidden={"benefit": {"kind": "sgb2", "from": "2026-09-01", "until": "2026-12-10"}},
    )
    assert (await claimant.present())["status"] == "verified"
    assert "2026-12-10" in json.dumps(await claimant.holds())
    async with claimant.house.database.reading() as session:
        kinds = await session.execute(
            select(col(Register.id)).where(col(Register.kind) == "jobcenter_attestation")
        )
        assert len(kinds.scalars().all()) == 1


# ---- whose it must be ----


@ON_ONE_DATABASE
@pytest.mark.parametrize(
    "hidden",
    [
        {"given_name": "Zora"},
        {"family_name": "Aydın"},
        {"birthdate": "1990-05-05"},
        {"birthdate": "1990-05"},
        {"birthdate": 1990},
        {"given_name": ""},
        {"given_name": "Öztürk", "family_name": "Zoë"},
    ],
)
async def test_an_attestation_of_somebody_else_is_not_taken(
    claimant: Claimant, hidden: dict[str, Any]
) -> None:
    claimant.attest(hidden=hidden)
    found = await claimant.present()
    assert (found["status"], found["reason"]) == ("refused", "not-the-person")
    assert await _not_granted(claimant)
    # The list's keeper learns nothing of a presentation that does not hold.
    assert claimant.lists.asked == []


@ON_ONE_DATABASE
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cnf": None}, "holder-key"),
        ({"vct": "urn:de:jobcenter:other:1"}, "credential-type"),
        ({"exp": 1}, "expired"),
        (
            {"hidden": {"benefit": {"kind": "sgb3", "from": "2026-09-01", "until": "2026-11-30"}}},
            "query-claim",
        ),
        ({"hidden": {"benefit": {"kind": "sgb2", "from": "2026-09-01"}}}, "query-claim"),
        ({"hidden": {"birthdate": None}}, "query-claim"),
        ({"hidden": {"benefit": {"kind": "sgb2", "from": "2026-01-01", "until": "2026-09-15"}}}, "no-facts"),
        ({"hidden": {"benefit": {"kind": "sgb2", "from": "soon", "until": "2026-11-30"}}}, "no-facts"),
    ],
)
async def test_what_does_not_hold_states_nothing(
    claimant: Claimant, changes: dict[str, Any], reason: str
) -> None:
    claimant.attest(**changes)
    found = await claimant.present()
    assert (found["status"], found["reason"]) == ("refused", reason)
    assert claimant.lists.asked == []
    assert await _not_granted(claimant)


async def test_whoever_no_anchor_stands_behind_is_not_believed(claimant: Claimant) -> None:
    claimant.attest(authority=Authority(claimant.city.now, "Jobcenter"))
    assert (await claimant.present())["reason"] == "chain"


async def test_the_citys_own_card_attests_no_benefit(claimant: Claimant) -> None:
    """Our own key is trusted for our own card, and for nothing else."""
    other = Authority(claimant.city.now, "Stadt")
    claimant.attest(authority=other, vct="urn:citycard:dortmund:card:1")
    assert (await claimant.present())["reason"] == "chain"


async def test_a_stolen_attestation_without_its_key_is_not_taken(claimant: Claimant) -> None:
    claimant.wallet.key = new_key()
    assert (await claimant.present())["reason"] == "binding-signature"


async def test_a_venue_or_a_stranger_cannot_ask_for_it(claimant: Claimant) -> None:
    client = claimant.city.client
    staff = await sign_in(claimant.house.database, claimant.house.vault, claimant.city.now, Role.VENUE_STAFF)
    answer = await client.post("/v1/presentations", json={"attestation": KIND}, headers=staff)
    assert answer.status_code == 403
    stranger = await sign_in(claimant.house.database, claimant.house.vault, claimant.city.now, Role.CITIZEN)
    acting = {**stranger, "Acting-For": str(claimant.person_id)}
    answer = await client.post("/v1/presentations", json={"attestation": KIND}, headers=acting)
    assert answer.status_code == 404
    answer = await client.post("/v1/presentations", json={"attestation": "unknown"}, headers=claimant.session)
    assert answer.status_code == 404
    assert (await client.post("/v1/presentations", json={"attestation": KIND})).status_code == 401


# ---- the other issuer's status list ----


async def test_vp_6_a_revoked_attestation_is_refused(claimant: Claimant) -> None:
    claimant.lists.statuses.set(7, 1)
    assert (await claimant.present())["reason"] == "revoked"
    assert await _not_granted(claimant)


async def test_vp_6_a_list_as_cwt_is_read_too(claimant: Claimant) -> None:
    claimant.lists.as_cwt = True
    assert (await claimant.present())["status"] == "verified"
    claimant.city.clock.forward(timedelta(minutes=6))
    claimant.lists.statuses.set(7, 1)
    assert (await claimant.present())["reason"] == "revoked"


async def test_vp_6_a_list_is_kept_for_its_ttl_and_then_fetched_anew(claimant: Claimant) -> None:
    assert (await claimant.present())["status"] == "verified"
    claimant.lists.statuses.set(7, 1)
    claimant.city.clock.forward(timedelta(minutes=4))
    assert (await claimant.present())["status"] == "verified"
    assert len(claimant.lists.asked) == 1
    claimant.city.clock.forward(timedelta(minutes=2))
    assert (await claimant.present())["reason"] == "revoked"
    assert len(claimant.lists.asked) == 2


async def test_vp_6_a_list_may_be_somewhere_else(claimant: Claimant) -> None:
    """Token Status List section 8.2: redirects are followed, and the list still names the address it was asked for at."""
    lists = claimant.lists
    steps = {LIST: "/moved", f"{OTHERS}/moved": "https://cdn.example/1"}

    def elsewhere(request: httpx.Request) -> httpx.Response:
        there = steps.get(str(request.url))
        return lists.serve(request) if there is None else httpx.Response(302, headers={"Location": there})

    lists.answer = elsewhere
    assert (await claimant.present())["status"] == "verified"
    assert lists.asked == [LIST, f"{OTHERS}/moved", "https://cdn.example/1"]


@ON_ONE_DATABASE
@pytest.mark.parametrize(
    "there", ["http://jobcenter.example/status/1", "file:///etc/passwd", "https://u@a.example", LIST]
)
async def test_vp_6_a_redirect_leads_nowhere_that_may_not_be_asked_and_not_in_circles(
    claimant: Claimant, there: str
) -> None:
    claimant.lists.answer = lambda _request: httpx.Response(307, headers={"Location": there})
    assert (await claimant.present())["reason"] == "status-out-of-reach"
    assert claimant.lists.asked == [LIST] * (4 if there == LIST else 1)


def _page(**headers: str) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _request: httpx.Response(200, text="hello", headers=headers)


def _down(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("down")


BAD_LISTS: list[tuple[str, Callable[[Lists], None]]] = [
    ("down", lambda lists: setattr(lists, "answer", _down)),
    ("not there", lambda lists: setattr(lists, "answer", lambda _request: httpx.Response(404))),
    ("a redirect", lambda lists: setattr(lists, "answer", lambda _request: httpx.Response(302))),
    ("a page", lambda lists: setattr(lists, "answer", _page())),
    (
        "no CWT",
        lambda lists: setattr(lists, "answer", _page(**{"Content-Type": "application/statuslist+cwt"})),
    ),
    (
        "a flood",
        lambda lists: setattr(
            lists, "answer", lambda _request: httpx.Response(200, content=b"a" * 2_000_000)
        ),
    ),
    (
        "a bomb",
        lambda lists: lists.claims.update(status_list={"bits": 1, "lst": b64(zlib.compress(b"\0" * 10**8))}),
    ),
    ("another list", lambda lists: lists.claims.update(sub=f"{OTHERS}/status/2")),
    ("of the past", lambda lists: lists.claims.update(exp=1)),
    ("of the future", lambda lists: lists.claims.update(iat=int(lists.clock.now().timestamp()) + 3600)),
    ("somebody else's", lambda lists: setattr(lists, "authority", Authority(lists.clock.now(), "Jobcenter"))),
]


@ON_ONE_DATABASE
@pytest.mark.parametrize(("_name", "spoil"), BAD_LISTS, ids=[one[0] for one in BAD_LISTS])
async def test_vp_6_without_a_list_that_can_be_believed_there_is_no_yes(
    claimant: Claimant, _name: str, spoil: Callable[[Lists], None]
) -> None:
    spoil(claimant.lists)
    assert (await claimant.present())["reason"] == "status-out-of-reach"
    assert await _not_granted(claimant)


@ON_ONE_DATABASE
@pytest.mark.parametrize(
    "uri",
    [
        "http://jobcenter.example/status/1",
        "https://user@jobcenter.example/1",
        "file:///etc/passwd",
        "ftp://a",
        "x",
    ],
)
async def test_vp_6_no_address_but_https_is_ever_opened(claimant: Claimant, uri: str) -> None:
    claimant.attest(status={"status_list": {"idx": 7, "uri": uri}})
    assert (await claimant.present())["reason"] == "status-out-of-reach"
    assert claimant.lists.asked == []


async def test_vp_6_a_place_that_the_list_does_not_have_is_no_yes(claimant: Claimant) -> None:
    claimant.attest(status={"status_list": {"idx": 5000, "uri": LIST}})
    assert (await claimant.present())["reason"] == "status-unknown"


async def test_vp_6_without_a_list_only_an_end_of_its_own_will_do(claimant: Claimant) -> None:
    claimant.attest(status=None, exp=None)
    assert (await claimant.present())["reason"] == "status-unknown"
    claimant.attest(status=None)
    assert (await claimant.present())["status"] == "verified"


# ---- the data, and what it is made into ----


def test_the_citys_attestations_can_be_read() -> None:
    known = attestations("dortmund")
    assert set(known) == {KIND}
    assert set(known[KIND].labels) == {"de", "de-simple", "en"}
    assert attestations("koeln") == {}


A_FILE = """
a:
  label: {de: x, de-simple: x, en: x}
  vct: [v]
  register: jobcenter_attestation
  person: {given_name: [a], family_name: [b], birth_date: [c]}
  until: [d]
  at_most: 6
  facts: [{fact: sgb2, claim: [e], value: x, states: true}]
"""


@pytest.mark.parametrize(
    ("said", "instead", "why"),
    [
        (A_FILE, "a: {}", "lacks"),
        (A_FILE, "a: 7", "lacks"),
        ("until: [d]", "ends: [d]", "lacks"),
        ("jobcenter_attestation", "nobody", "kind of register"),
        ("fact: sgb2", "fact: none", "states facts"),
        ("vct: [v]", "vct: []", "names a type"),
        ("at_most: 6", "at_most: 0", "for a month"),
        ("fact: sgb2", "fact: household_net_income", "household"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(tmp_path: Path, said: str, instead: str, why: str) -> None:
    name = uuid4().hex
    (tmp_path / f"{name}.yaml").write_text(A_FILE.replace(said, instead), encoding="utf-8")
    with pytest.raises(AttestationsUnreadable, match=why):
        attestations(name, tmp_path)


TODAY = date(2026, 9, 16)


@pytest.mark.parametrize(
    ("until", "ends", "last"),
    [
        ("2026-11-30", None, date(2026, 11, 30)),
        ("2026-11-30", date(2026, 10, 1), date(2026, 10, 1)),
        ("2030-01-01", None, date(2027, 3, 16)),
    ],
)
def test_a_fact_ends_with_the_first_of_its_ends(until: str, ends: date | None, last: date) -> None:
    claims = {"benefit": {"kind": "sgb2", "from": "2026-09-01", "until": until}}
    (fact,) = facts_in(attestations("dortmund")[KIND], claims, today=TODAY, ends=ends)
    assert (fact.fact, fact.value, fact.first, fact.last) == ("sgb2", True, date(2026, 9, 1), last)


def test_months_end_where_months_do() -> None:
    assert months_after(date(2026, 8, 31), 6) == date(2027, 2, 28)
    assert months_after(date(2027, 8, 31), 6) == date(2028, 2, 29)
    assert months_after(date(2026, 12, 31), 1) == date(2027, 1, 31)


def test_a_name_is_the_same_in_another_spelling() -> None:
    person = PersonIdentity(given_name="Jürgen Karl", family_name="Müller-Öz", birth_date="1990-05-04")
    claims = {"given_name": "JUERGEN", "family_name": "MUELLER-OEZ", "birthdate": "1990-05-04"}
    assert is_about(attestations("dortmund")[KIND], claims, person)
    assert not is_about(attestations("dortmund")[KIND], claims | {"family_name": "MUELLER"}, person)


def test_a_register_that_states_things_one_by_one_says_nothing_by_its_silence() -> None:
    """Else nobody's benefit would be known to be none from the day on which the first attestation was shown."""
    office, shown = uuid4(), uuid4()
    remit = Remit(frozenset({"sgb2"}))
    noon = datetime.fromisoformat("2026-09-16T10:00:00+00:00")
    listed = [Listed(office, noon, TODAY, noon)]
    kinds = {office: "jobcenter", shown: "jobcenter_attestation"}
    one_by_one = Remit(frozenset({"sgb2"}), one_by_one=True)
    said, _, _ = silences(Vouching(kinds, {office: remit, shown: one_by_one}, listed), TODAY)
    assert said["sgb2"].value is False
    said, _, _ = silences(Vouching(kinds, {office: remit, shown: remit}, listed), TODAY)
    assert "sgb2" not in said
    assert Remit.of(one_by_one.kept()) == one_by_one
