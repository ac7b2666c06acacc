"""Machines get a short token for a signed assertion, each once; operators say which machines there are."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import select

from core.access import service
from core.access.models import Session, UsedAssertion
from core.access.rules import PrincipalKind, Role
from core.audit.models import Entry
from core.clock import FixedClock
from core.database import Database
from core.jose import jwk, sign
from core.settings import Settings
from core.texts import b64url
from core.vault import KeyUse, Vault
from tests.makers import Machine, machine_in, make_machine, make_signer, sign_in

Client = AsyncTestClient[Litestar]
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture
async def register(database: Database, clock: FixedClock) -> Machine:
    return await make_machine(database, clock.now())


@pytest.fixture
async def operator(database: Database, vault: Vault, clock: FixedClock) -> dict[str, str]:
    return await sign_in(database, vault, clock.now(), Role.OPERATOR)


def form(assertion: str, **other: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION,
        "client_assertion": assertion,
    } | other


async def ask(client: Client, assertion: str, **other: str) -> Any:
    return await client.post("/oauth/token", data=form(assertion, **other))


async def test_a_register_gets_a_token_and_is_who_it_is(
    client: Client, register: Machine, settings: Settings, clock: FixedClock
) -> None:
    by_issuer = await ask(client, register.assertion(settings.public_url, clock.now()))
    assert by_issuer.status_code == 200
    answer = await ask(client, register.assertion(settings.public_url + "/oauth/token", clock.now()))
    assert answer.status_code == 200, answer.text
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["expires_in"] == 300
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    me = (await client.get("/v1/me", headers=headers)).json()
    assert me == {
        "principal_id": str(register.principal_id),
        "kind": "register",
        "roles": ["integration-client"],
        "level": "",
    }
    clock.forward(timedelta(seconds=329))
    assert (await client.get("/v1/me", headers=headers)).status_code == 200
    clock.forward(timedelta(seconds=1))
    assert (await client.get("/v1/me", headers=headers)).status_code == 401


async def test_an_assertion_is_good_once(
    client: Client, register: Machine, settings: Settings, clock: FixedClock
) -> None:
    assertion = register.assertion(settings.public_url, clock.now())
    assert (await ask(client, assertion)).status_code == 200
    again = await ask(client, assertion)
    assert again.status_code == 401
    assert again.json()["error"] == "invalid_client"


async def test_two_machines_may_make_up_the_same_jti(
    client: Client, register: Machine, database: Database, settings: Settings, clock: FixedClock
) -> None:
    other = await make_machine(database, clock.now(), PrincipalKind.TILL)
    for machine in (register, other):
        assertion = machine.assertion(settings.public_url, clock.now(), jti="the same one")
        assert (await ask(client, assertion)).status_code == 200


async def test_an_assertion_that_does_not_fit_gives_no_token(
    client: Client, register: Machine, settings: Settings, clock: FixedClock
) -> None:
    wrongs: list[dict[str, Any]] = [
        {"aud": "https://elsewhere.example"},
        {"aud": ["http://localhost:8000", "https://elsewhere.example"]},
        {"aud": None},
        {"iss": "another"},
        {"sub": "another"},
        {"exp": 0},
        {"exp": None},
        {"exp": 1_789_552_800 + 3600},
        {"iat": 1_789_552_800 + 31},
        {"jti": None},
        {"jti": "short"},
    ]
    for wrong in wrongs:
        answer = await ask(client, register.assertion(settings.public_url, clock.now(), **wrong))
        assert answer.status_code == 401, wrong
        assert answer.json()["error"] == "invalid_client"
        assert answer.headers["content-type"].startswith("application/json")


async def test_anothers_key_gives_no_token(
    client: Client, register: Machine, settings: Settings, clock: FixedClock
) -> None:
    thief = Machine(register.principal_id, register.client_id, make_signer())
    assert (await ask(client, thief.assertion(settings.public_url, clock.now()))).status_code == 401
    stranger = Machine(uuid4(), "register-nobody", make_signer())
    assert (await ask(client, stranger.assertion(settings.public_url, clock.now()))).status_code == 401


async def test_a_form_that_does_not_fit_is_told_so(
    client: Client, register: Machine, settings: Settings, clock: FixedClock
) -> None:
    wrongs: list[tuple[dict[str, str], str]] = [
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"client_assertion_type": "password"}, "invalid_client"),
        ({"client_id": "another"}, "invalid_client"),
        ({"client_assertion": "x"}, "invalid_client"),
    ]
    for wrong, error in wrongs:
        answer = await ask(client, register.assertion(settings.public_url, clock.now()), **wrong)
        assert answer.json()["error"] == error


async def test_what_is_no_form_is_a_bad_request(client: Client) -> None:
    for content, kind in (
        (b"{}", "application/json"),
        (b"", "application/x-www-form-urlencoded"),
        (b"\xff=\xff", "application/x-www-form-urlencoded"),
        (b"grant_type=client_credentials&grant_type=x", "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % n for n in range(30)), "application/x-www-form-urlencoded"),
    ):
        answer = await client.post("/oauth/token", content=content, headers={"Content-Type": kind})
        assert answer.status_code == 400, content
        assert answer.json()["error"] in {"invalid_request", "unsupported_grant_type"}


async def test_a_token_of_ours_is_verified_by_the_published_keys(
    client: Client, register: Machine, settings: Settings, clock: FixedClock
) -> None:
    token = (await ask(client, register.assertion(settings.public_url, clock.now()))).json()["access_token"]
    answer = await client.get("/oauth/jwks")
    assert answer.headers["cache-control"] == "public, max-age=300"
    keys = answer.json()["keys"]
    assert all("d" not in key for key in keys)
    key = jwt.PyJWK(next(key for key in keys if key["kid"] == jwt.get_unverified_header(token)["kid"]))
    claims = jwt.decode(
        token,
        key,
        algorithms=["ES256"],
        audience=settings.oidc_audience,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["client_id"] == register.client_id
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"


async def test_tokens_survive_a_new_key_and_end_with_the_old_one(
    client: Client, database: Database, register: Machine, vault: Vault, clock: FixedClock
) -> None:
    settings = client.app.state.settings
    headers = await machine_in(database, vault, settings, clock.now(), register)
    (old,) = vault.keys(KeyUse.ACCESS_TOKEN)
    clock.forward(timedelta(seconds=3))
    vault.create(KeyUse.ACCESS_TOKEN, clock.now())
    assert (await client.get("/v1/me", headers=headers)).status_code == 200
    fresh = await machine_in(database, vault, settings, clock.now(), register)
    vault.destroy(old.key_id)
    assert (await client.get("/v1/me", headers=headers)).status_code == 401
    assert (await client.get("/v1/me", headers=fresh)).status_code == 200


async def test_a_key_for_something_else_makes_no_access_token(
    client: Client, register: Machine, settings: Settings, vault: Vault, clock: FixedClock
) -> None:
    signer = vault.signer(vault.ensure(KeyUse.CLIENT_ASSERTION, clock.now()).key_id)
    now = int(clock.now().timestamp())
    claims = {
        "iss": settings.public_url,
        "aud": settings.oidc_audience,
        "sub": str(register.principal_id),
        "iat": now,
        "exp": now + 300,
    }
    headers = {"Authorization": f"Bearer {sign(signer, claims, typ='at+jwt')}"}
    assert (await client.get("/v1/me", headers=headers)).status_code == 401


async def test_a_disabled_machine_is_out_within_two_seconds(
    client: Client, database: Database, register: Machine, vault: Vault, clock: FixedClock
) -> None:
    settings = client.app.state.settings
    headers = await machine_in(database, vault, settings, clock.now(), register)
    assert (await client.get("/v1/me", headers=headers)).status_code == 200
    async with database.writing() as session:
        await service.disable(session, register.principal_id, clock.now())
    clock.forward(timedelta(seconds=2))
    assert (await client.get("/v1/me", headers=headers)).status_code == 401
    assert (await ask(client, register.assertion(settings.public_url, clock.now()))).status_code == 401


async def test_used_assertions_and_old_sessions_are_forgotten(
    client: Client, register: Machine, database: Database, vault: Vault, clock: FixedClock
) -> None:
    await sign_in(database, vault, clock.now(), Role.CITIZEN)
    await ask(client, register.assertion(client.app.state.settings.public_url, clock.now()))
    async with database.writing() as session:
        await service.forget_sessions(session, {}, clock.now())
    async with database.reading() as session:
        assert len((await session.execute(select(UsedAssertion))).all()) == 1
        assert len((await session.execute(select(Session))).all()) == 1
    clock.forward(timedelta(hours=3))
    async with database.writing() as session:
        await service.forget_sessions(session, {}, clock.now())
    async with database.reading() as session:
        assert (await session.execute(select(UsedAssertion))).all() == []
        assert (await session.execute(select(Session))).all() == []


# ---- what operators do ----


def public(signer: Any = None) -> dict[str, str]:
    return jwk((signer or make_signer()).public_key)


async def test_an_operator_registers_a_department_and_it_can_call(
    client: Client, operator: dict[str, str], settings: Settings, clock: FixedClock
) -> None:
    signer = make_signer()
    new = {"label": "Jobcenter", "kind": "register", "jwk": public(signer)}
    answer = await client.post("/v1/clients", json=new, headers=operator)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    machine = Machine(UUID(made["id"]), made["client_id"], signer)
    assert made["keys"][0]["thumbprint"] == machine.key_id
    assert (await ask(client, machine.assertion(settings.public_url, clock.now()))).status_code == 200
    listed = (await client.get("/v1/clients", headers=operator)).json()
    assert [each["id"] for each in listed] == [made["id"]]
    assert (await client.get(f"/v1/clients/{made['id']}", headers=operator)).json() == made


async def test_keys_change_without_a_gap_and_the_removed_one_is_out(
    client: Client, operator: dict[str, str], register: Machine, settings: Settings, clock: FixedClock
) -> None:
    newer = Machine(register.principal_id, register.client_id, make_signer())
    path = f"/v1/clients/{register.principal_id}/keys"
    added = await client.post(path, json={"jwk": public(newer.signer)}, headers=operator)
    assert [key["thumbprint"] for key in added.json()["keys"]] == [register.key_id, newer.key_id]
    for machine in (register, newer):
        assert (await ask(client, machine.assertion(settings.public_url, clock.now()))).status_code == 200
    removed = await client.delete(f"{path}/{register.key_id}", headers=operator)
    assert [key["thumbprint"] for key in removed.json()["keys"]] == [newer.key_id]
    assert (await ask(client, register.assertion(settings.public_url, clock.now()))).status_code == 401
    assert (await ask(client, newer.assertion(settings.public_url, clock.now()))).status_code == 200
    # Gone for good, and not the last one.
    again = await client.post(path, json={"jwk": public(register.signer)}, headers=operator)
    assert again.status_code == 409
    assert (await client.delete(f"{path}/{newer.key_id}", headers=operator)).status_code == 409
    assert (await client.delete(f"{path}/{register.key_id}", headers=operator)).status_code == 404


async def test_disabling_is_for_good_and_everything_is_on_record(
    client: Client, operator: dict[str, str], register: Machine, database: Database, clock: FixedClock
) -> None:
    settings = client.app.state.settings
    path = f"/v1/clients/{register.principal_id}"
    for _ in range(2):
        answer = await client.delete(path, headers=operator)
        assert answer.status_code == 200
        assert answer.json()["disabled_at"] is not None
    assert (await ask(client, register.assertion(settings.public_url, clock.now()))).status_code == 401
    assert (await client.post(f"{path}/keys", json={"jwk": public()}, headers=operator)).status_code == 409
    async with database.reading() as session:
        entries = (await session.execute(select(Entry))).scalars().all()
    assert [entry.action for entry in entries] == ["client.disabled"]


async def test_a_key_belongs_to_one_machine(
    client: Client, operator: dict[str, str], register: Machine
) -> None:
    new = {"label": "Copy", "kind": "till", "jwk": public(register.signer)}
    assert (await client.post("/v1/clients", json=new, headers=operator)).status_code == 409
    assert len((await client.get("/v1/clients", headers=operator)).json()) == 1


def _private() -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    number = key.private_numbers().private_value
    return {**jwk(key.public_key()), "d": b64url(number.to_bytes(32, "big"))}


async def test_a_key_that_proves_nothing_is_not_taken(client: Client, operator: dict[str, str]) -> None:
    members: dict[str, str]
    for members in (
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
        {"kty": "EC"},
        jwk(rsa.generate_private_key(65537, 1024).public_key()),
        _private(),
    ):
        new = {"label": "Weak", "kind": "register", "jwk": members}
        answer = await client.post("/v1/clients", json=new, headers=operator)
        assert answer.status_code == 400, members
        assert members.get("d", "no private part") not in answer.text


async def test_a_machine_is_never_given_what_takes_a_person(client: Client, operator: dict[str, str]) -> None:
    for kind, roles, status in (
        ("register", ["integration-client"], 201),
        ("till", ["venue-staff"], 201),
        ("register", ["venue-staff"], 422),
        ("register", ["rule-approver"], 422),
        ("till", ["citizen"], 422),
        ("scanner", [], 400),
        ("login", [], 400),
    ):
        new = {"label": "A machine", "kind": kind, "roles": roles, "jwk": public()}
        answer = await client.post("/v1/clients", json=new, headers=operator)
        assert answer.status_code == status, (kind, roles)


async def test_only_operators_see_the_machines(
    client: Client, database: Database, vault: Vault, clock: FixedClock, register: Machine
) -> None:
    for role in Role:
        headers = await sign_in(database, vault, clock.now(), role)
        expected = 200 if role is Role.OPERATOR else 403
        assert (await client.get("/v1/clients", headers=headers)).status_code == expected
    assert (await client.get("/v1/clients")).status_code == 401


async def test_a_person_is_no_machine_client(
    client: Client, operator: dict[str, str], database: Database, clock: FixedClock
) -> None:
    scanner = await make_machine(database, clock.now(), PrincipalKind.SCANNER)
    assert (await client.get(f"/v1/clients/{scanner.principal_id}", headers=operator)).status_code == 404
    assert (await client.delete(f"/v1/clients/{uuid4()}", headers=operator)).status_code == 404
