"""Who may ask a wallet, for what, and how often; and whose signature is ours."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from litestar import Litestar
from litestar.routes import HTTPRoute
from sqlalchemy import select
from sqlmodel import col

from core import p256
from core.access.models import Session
from core.access.rules import Caller, Method, PrincipalKind, Role
from core.database import Database
from core.settings import Mode, Settings
from core.vault import MemoryVault
from issuers.authorities.service import ensure_authority
from issuers.credentials.sdjwt.reasons import Reason, Unacceptable
from issuers.openid.desk import Desk
from issuers.openid.issuer import NotReachable
from issuers.status.rules import Reference
from tests import rulebooks
from tests.issuers.credentials import chains
from tests.makers import sign_in
from tests.verifiers.makers import City
from tests.verifiers.presentations.conftest import PUBLIC, Counter, Holder
from tests.verifiers.presentations.wallet import NEVER_CHECKED, Link, b64
from verifiers.partners import service as partners
from verifiers.partners.models import Partner
from verifiers.presentations import service
from verifiers.presentations.service import Wish
from verifiers.presentations.statuses import own_number
from verifiers.presentations.trust import AnchorsUnreadable, Ours, anchors, check_settings
from verifiers.venues.models import Venue

PATH = "/v1/presentations"


async def ask(city: City, wish: dict[str, Any], headers: dict[str, str] | None) -> Any:
    return await city.client.post(PATH, json=wish, headers=headers or {})


# ---- who ----


async def test_a_scanner_asks_where_it_stands_and_nowhere_else(
    counter: Counter, new_counter: Counter
) -> None:
    assert (await counter.till.post(PATH, {"venue_id": counter.venue["id"]})).status_code == 201
    assert (await counter.till.post(PATH, {"venue_id": new_counter.venue["id"]})).status_code == 404


async def test_staff_ask_for_a_venue_that_is_theirs(city: City, counter: Counter) -> None:
    staff = await sign_in(city.database, city.vault, city.now, Role.VENUE_STAFF)
    wish = {"venue_id": counter.venue["id"]}
    assert (await ask(city, wish, staff)).status_code == 404
    async with city.database.writing() as session:
        # The last session is theirs: each test signs in on its own.
        found = await session.execute(select(Session).order_by(col(Session.id).desc()))
        principal_id = found.scalars().first().principal_id  # type: ignore[union-attr]
        operator = Caller(uuid4(), PrincipalKind.LOGIN, frozenset({Role.OPERATOR}), Method.SYSTEM)
        venue = await session.get_one(Venue, UUID(counter.venue["id"]))
        await partners.appoint(session, operator, venue.partner_id, principal_id, city.now)
    assert (await ask(city, wish, staff)).status_code == 201
    assert (await ask(city, {}, staff)).status_code == 422


@pytest.mark.parametrize("role", [Role.CITIZEN, Role.GUARDIAN, Role.CASE_WORKER])
async def test_only_venues_ask_for_the_card(city: City, counter: Counter, role: Role) -> None:
    somebody = await sign_in(city.database, city.vault, city.now, role)
    assert (await ask(city, {"venue_id": counter.venue["id"]}, somebody)).status_code == 403


@pytest.mark.parametrize(
    "role", [Role.AUDITOR, Role.TREASURER, Role.RULE_AUTHOR, Role.DATA_PROTECTION_OFFICER]
)
async def test_nobody_else_asks_anything(city: City, counter: Counter, role: Role) -> None:
    somebody = await sign_in(city.database, city.vault, city.now, role)
    assert (await ask(city, {"venue_id": counter.venue["id"]}, somebody)).status_code == 403
    assert (await ask(city, {"venue_id": counter.venue["id"]}, None)).status_code == 401


# ---- for what ----


async def test_a_wish_that_cannot_be_met_is_a_problem(counter: Counter, new_counter: Counter) -> None:
    for wish, status in (
        ({"offer_id": new_counter.offer_id}, 404),
        ({"tariffs": ["unheard-of"]}, 422),
        ({"tariffs": ["Bad Name"]}, 400),
        ({"tariffs": ["reduced"], "offer_id": counter.offer_id}, 400),
        ({"attestation": "jobcenter-sgb2", "tariffs": ["reduced"]}, 400),
        ({"attestation": "jobcenter-sgb2"}, 403),
        ({"return_to": "https://evil.example/"}, 400),
        ({"return_to": "//evil.example"}, 400),
        ({"more": 1}, 400),
    ):
        answer = await counter.till.post(PATH, wish)
        assert answer.status_code == status, (wish, answer.text)


async def test_where_nothing_is_offered_there_is_nothing_to_ask_for(new_counter: Counter) -> None:
    city = new_counter.city
    path = f"/v1/offers/{new_counter.offer_id}"
    assert (await city.client.delete(path, headers=city.operator)).status_code == 204
    answer = await new_counter.till.post(PATH, {})
    assert answer.status_code == 422
    assert answer.json()["type"].endswith("nothing-to-ask-for")


async def test_the_offers_told_are_those_that_apply(new_counter: Counter, holder: Holder) -> None:
    await new_counter.city.offer(new_counter.venue, tariffs=["education"])
    await new_counter.city.offer(new_counter.venue, needs_name=True)
    asked = await new_counter.ask()
    request = await holder.wallet.open(asked["authorization_request"])
    await holder.wallet.send(request, holder.wallet.show(request))
    answer = await new_counter.city.client.get(asked["status_url"], headers={"Accept-Language": "en"})
    assert [offer["id"] for offer in answer.json()["offers"]] == [new_counter.offer_id]
    assert answer.json()["offers"][0]["text"] == "Entry €2"
    assert answer.json()["headline"] == "Valid"


async def test_a_wallet_that_is_a_website_reads_what_it_is_told(counter: Counter, holder: Holder) -> None:
    origin = {"Origin": "https://wallet.example"}
    asked = await counter.ask()
    request = await holder.wallet.open(asked["authorization_request"])
    for url in (Link.read(asked["authorization_request"]).request_uri, request.claims["response_uri"]):
        before = await counter.city.client.options(
            url, headers={**origin, "Access-Control-Request-Method": "POST"}
        )
        assert before.headers["access-control-allow-origin"] == "*"
        answer = await counter.city.client.post(url, data={"error": "access_denied"}, headers=origin)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
    # What came of it is for the venue, and no website of others reads it.
    told = await counter.city.client.get(asked["status_url"], headers=origin)
    assert "access-control-allow-origin" not in told.headers


async def test_a_server_that_wallets_must_not_believe_asks_none(counter: Counter) -> None:
    city = counter.city
    plain = city.settings.model_copy(update={"public_url": "http://karte.example"})
    async with city.database.writing() as session:
        desk = Desk(session, city.vault, plain, city.now)
        with pytest.raises(NotReachable):
            await service.ask(desk, None, Wish(venue_id=UUID(counter.venue["id"])))


# ---- how often, and for how long ----


def test_every_door_counts_who_knocks(client: Any) -> None:
    application: Litestar = client.app
    doors = [
        handler
        for route in application.routes
        if isinstance(route, HTTPRoute) and "present" in route.path and not route.path.startswith("/schema")
        for handler in route.route_handlers
        if handler.http_methods - {"OPTIONS"}
    ]
    assert len(doors) == 6
    for door in doors:
        guards = [guard for layer in door.ownership_layers for guard in layer.guards or ()]
        assert any("limited" in getattr(guard, "__qualname__", "") for guard in guards), door


async def test_questions_are_forgotten_once_nobody_can_read_them(counter: Counter) -> None:
    asked = await counter.ask()
    await counter.city.run_jobs()
    assert await counter.row(asked) is not None
    counter.city.clock.forward(timedelta(minutes=16))
    await counter.city.run_jobs()
    assert await counter.row(asked) is None


# ---- with certificates of an operator's own ----


async def test_vp_3_requests_are_signed_by_the_certificate_that_is_set_for_them(
    empty_sqlite: Path, tmp_path: Path
) -> None:
    """The access certificate is another than the one of credentials; the link names it, and it signs."""
    shutil.copy(empty_sqlite, tmp_path / "city.sqlite")
    access, vault = ec.generate_private_key(ec.SECP256R1()), MemoryVault()
    leaf = chains.leaf(access)
    pem = [one.public_bytes(Encoding.PEM) for one in (leaf, chains.middle(), chains.root())]
    (tmp_path / "chain.pem").write_bytes(b"".join(pem))
    (tmp_path / "key.pem").write_bytes(
        access.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    settings = Settings(
        mode=Mode.TEST,
        database_url=f"sqlite+aiosqlite:///{tmp_path / 'city.sqlite'}",
        public_url=PUBLIC,
        status_size=4096,
        request_chain=tmp_path / "chain.pem",
        request_key=tmp_path / "key.pem",
        _env_file=None,
    )
    database = Database(settings.database_url)
    async with database.writing() as session:
        await ensure_authority(session, vault, settings, chains.NOON)
        await rulebooks.load(session, chains.NOON)
        partner = Partner(name="Bad", joined_at=chains.NOON)
        session.add(partner)
        await session.flush()
        venue = Venue(number=7, partner_id=partner.id, name="Bad", kind="pool", opened_at=chains.NOON)
        session.add(venue)
        await session.flush()
        desk = Desk(session, vault, settings, chains.NOON)
        opened = await service.ask(desk, None, Wish(venue_id=venue.id, tariffs=["reduced"]))
        link = Link.read(opened.link)
        assert link.client_id == f"x509_hash:{b64(leaf.fingerprint(hashes.SHA256()))}"
        token = (await service.request_object(desk, link.request_uri.rsplit("/", 1)[1])).decode()
    await database.dispose()
    assert jwt.get_unverified_header(token)["x5c"] == chains.x5c(leaf, chains.middle())
    claims = jwt.decode(token, access.public_key(), algorithms=["ES256"], options=NEVER_CHECKED)  # type: ignore[arg-type]
    assert claims["client_id"] == link.client_id


# ---- whose signature is ours ----

KEY = ec.derive_private_key(20_261_122, ec.SECP256R1())
OURS = Ours([p256.point(KEY.public_key())])


def test_our_key_counts_by_whichever_authority_it_was_certified() -> None:
    x5c = chains.x5c(chains.leaf(KEY), chains.middle())
    vouched = OURS.vouch({"x5c": x5c}, chains.NOON)
    assert vouched.keys == (KEY.public_key(),)
    assert len(vouched.authority_key_ids) == 2


@pytest.mark.parametrize(
    ("x5c", "reason"),
    [
        (chains.x5c(chains.leaf(chains.ROOT_KEY), chains.middle()), Reason.UNKNOWN_KEY),
        (chains.x5c(chains.leaf(KEY), chains.middle(), chains.root()), Reason.CHAIN),
        (chains.x5c(chains.leaf(KEY, subject="A", issuer="A", issuer_key=KEY)), Reason.CHAIN),
        (chains.x5c(chains.leaf(KEY), chains.root()), Reason.CHAIN),
        (chains.x5c(chains.leaf(KEY, ends=chains.NOON - timedelta(days=1)), chains.middle()), Reason.CHAIN),
        ("text", Reason.CHAIN),
        (None, Reason.CHAIN),
    ],
)
def test_a_chain_that_others_would_refuse_is_none_of_ours(x5c: object, reason: Reason) -> None:
    with pytest.raises(Unacceptable) as refused:
        OURS.vouch({"x5c": x5c}, chains.NOON)
    assert refused.value.reason is reason


SETTINGS = Settings(mode=Mode.TEST, public_url=PUBLIC, _env_file=None)


def test_a_file_that_is_not_there_trusts_nobody(tmp_path: Path) -> None:
    for path in (None, tmp_path / "missing.pem"):
        trusted = anchors(SETTINGS.model_copy(update={"presentation_anchors": path}))
        assert trusted.diagnose(chains.x5c(chains.leaf(KEY), chains.middle()), chains.NOON)
    file = tmp_path / "anchors.pem"
    file.write_bytes(chains.root().public_bytes(Encoding.PEM))
    trusted = anchors(SETTINGS.model_copy(update={"presentation_anchors": file}))
    assert trusted.diagnose(chains.x5c(chains.leaf(KEY), chains.middle()), chains.NOON) == ()


def test_a_file_that_is_none_stops_the_start(tmp_path: Path) -> None:
    check_settings(SETTINGS)
    page = tmp_path / "page.pem"
    page.write_text("hello")
    for change in (
        {"presentation_anchors": page},
        {"presentation_anchors": tmp_path / "missing.pem"},
        {"registration_certificate": tmp_path / "missing.jwt"},
    ):
        with pytest.raises(AnchorsUnreadable):
            check_settings(SETTINGS.model_copy(update=change))


@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("https://karte.example/status/7", 7),
        ("https://karte.example/status/", None),
        ("https://karte.example/status/7/8", None),
        ("https://karte.example/status/٧", None),
        ("https://karte.example.evil/status/7", None),
        ("https://evil.example/?https://karte.example/status/7", None),
    ],
)
def test_our_own_list_is_known_by_its_whole_address(uri: str, number: int | None) -> None:
    assert own_number(Reference(uri, 1), SETTINGS) == number
