"""A scanner proves each request, and nothing of it can be changed on the way."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from litestar import Litestar, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.testing import AsyncTestClient

from app.application import House
from core.access import service
from core.access.models import PrincipalKey
from core.access.rules import Caller, PrincipalKind, Role, allow
from core.access.signatures import sign_request
from core.clock import FixedClock
from core.database import Database
from core.jose import jwk, thumbprint
from tests.makers import Machine, house_with, make_machine, make_signer


@post("/v1/things/{what:str}", guards=[allow(Role.SCANNER)])
async def take(
    request: Request[Any, Any, Any], caller: NamedDependency[Caller], what: FromPath[str]
) -> dict[str, Any]:
    return {
        "who": str(caller.principal_id),
        "method": caller.method,
        "acting_for": caller.acting_for,
        "body": (await request.body()).decode(),
    }


@get("/v1/things", guards=[allow(Role.SCANNER)])
async def show() -> str:
    return "shown"


@pytest.fixture(scope="module")
def house() -> House:
    return house_with(take, show)


@pytest.fixture
async def scanner(database: Database, clock: FixedClock) -> Machine:
    return await make_machine(database, clock.now(), PrincipalKind.SCANNER)


Client = AsyncTestClient[Litestar]
TARGET = "/v1/things/a%20b?x=1&y=%C3%A4"
BODY = b'{"code":"..."}'


async def send(client: Client, headers: dict[str, str], **other: Any) -> Any:
    request = {"method": "POST", "url": TARGET, "content": BODY} | other
    return await client.request(headers={"Content-Type": "application/json"} | headers, **request)


async def test_a_signed_request_is_the_scanners(client: Client, scanner: Machine, clock: FixedClock) -> None:
    headers = scanner.signed("POST", TARGET, BODY, now=clock.now(), idempotency_key="k-1")
    for _ in range(2):
        answer = await send(client, headers)
        assert answer.status_code == 201, answer.text
        assert answer.json() == {
            "who": str(scanner.principal_id),
            "method": "signature",
            "acting_for": None,
            "body": BODY.decode(),
        }


async def test_a_request_without_a_body_is_signed_too(
    client: Client, scanner: Machine, clock: FixedClock
) -> None:
    headers = scanner.signed("GET", "/v1/things", now=clock.now())
    assert "Content-Digest" not in headers
    assert (await client.get("/v1/things", headers=headers)).text == "shown"


def test_the_signature_is_over_what_the_standard_says() -> None:
    """The base is put together here by hand, from the text of RFC 9421."""
    signer = make_signer()
    headers = sign_request(
        signer, "POST", "/v1/checks?a=b", b"{}", created=datetime.fromtimestamp(1_700_000_000, UTC)
    )
    digest = base64.b64encode(hashlib.sha256(b"{}").digest()).decode()
    base = (
        '"@method": POST\n'
        '"@path": /v1/checks\n'
        '"@query": ?a=b\n'
        f'"content-digest": sha-256=:{digest}:\n'
        '"@signature-params": ("@method" "@path" "@query" "content-digest");created=1700000000'
        f';keyid="{thumbprint(signer.public_key)}";alg="ecdsa-p256-sha256"'
    )
    assert headers["Content-Digest"] == f"sha-256=:{digest}:"
    raw = base64.b64decode(headers["Signature"].removeprefix("sig1=:").removesuffix(":"))
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    signer.public_key.verify(der, base.encode(), ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        signer.public_key.verify(der, base.encode() + b" ", ec.ECDSA(hashes.SHA256()))


async def test_another_path_query_or_body_is_not_what_was_signed(
    client: Client, scanner: Machine, clock: FixedClock
) -> None:
    headers = scanner.signed("POST", TARGET, BODY, now=clock.now())
    changes: list[dict[str, Any]] = [
        {"url": "/v1/things/a%20c?x=1&y=%C3%A4"},
        {"url": "/v1/things/a%2520b?x=1&y=%C3%A4"},
        {"url": "/v1/things/a%20b?x=2&y=%C3%A4"},
        {"url": "/v1/things/a%20b"},
        {"content": BODY + b" "},
        {"content": b""},
    ]
    for changed in changes:
        answer = await send(client, headers, **changed)
        assert answer.status_code == 401, changed
        assert answer.json()["type"] == "urn:citycard:problem:signature-refused"


async def test_another_method_is_not_what_was_signed(
    client: Client, scanner: Machine, clock: FixedClock
) -> None:
    headers = scanner.signed("POST", "/v1/things", now=clock.now())
    assert (await client.get("/v1/things", headers=headers)).status_code == 401


async def test_a_body_with_a_digest_of_its_own_is_not_what_was_signed(
    client: Client, scanner: Machine, clock: FixedClock
) -> None:
    headers = scanner.signed("POST", TARGET, BODY, now=clock.now())
    other = scanner.signed("POST", TARGET, b"{}", now=clock.now())["Content-Digest"]
    answer = await send(client, headers | {"Content-Digest": other}, content=b"{}")
    assert answer.status_code == 401


async def test_an_idempotency_key_can_be_neither_changed_nor_added_nor_taken_away(
    client: Client, scanner: Machine, clock: FixedClock
) -> None:
    headers = scanner.signed("POST", TARGET, BODY, now=clock.now(), idempotency_key="k-1")
    for key in ("k-2", ""):
        assert (await send(client, headers | {"Idempotency-Key": key})).status_code == 401
    without = scanner.signed("POST", TARGET, BODY, now=clock.now())
    assert (await send(client, without | {"Idempotency-Key": "k-1"})).status_code == 401
    having = scanner.signed("POST", TARGET, BODY, now=clock.now(), idempotency_key="k-1")
    having.pop("Idempotency-Key")
    assert (await send(client, having)).status_code == 401


async def test_a_signature_of_another_form_is_not_taken(
    client: Client, scanner: Machine, clock: FixedClock
) -> None:
    headers = scanner.signed("POST", TARGET, BODY, now=clock.now())
    for old, new in (
        ('"@path" ', ""),
        ('"@query" ', ""),
        (' "content-digest"', ""),
        ('"@method" ', '"@method" "@method" '),
        ('"@method" ', '"@method" "@authority" '),
        ('"@method" ', '"@method";req '),
        ("sig1=", "sig2="),
        ("sig1=", "sig0=();created=1, sig1="),
        (';alg="ecdsa-p256-sha256"', ""),
        ('alg="ecdsa-p256-sha256"', 'alg="hmac-sha256"'),
        (";created=", ";expires=1;created="),
        (";created=17", ";created=16"),
        ('keyid="', 'keyid="A'),
        ("(", "( "),
    ):
        changed = headers["Signature-Input"].replace(old, new, 1)
        assert changed != headers["Signature-Input"]
        answer = await send(client, headers | {"Signature-Input": changed})
        assert answer.status_code == 401, changed
        assert answer.json()["type"] == "urn:citycard:problem:signature-refused"


async def test_half_a_signature_is_none(client: Client, scanner: Machine, clock: FixedClock) -> None:
    for missing in ("Signature-Input", "Signature", "Content-Digest"):
        headers = scanner.signed("POST", TARGET, BODY, now=clock.now())
        headers.pop(missing)
        assert (await send(client, headers)).status_code == 401, missing


async def test_numbers_off_the_curve_are_refused(client: Client, scanner: Machine, clock: FixedClock) -> None:
    headers = scanner.signed("POST", TARGET, BODY, now=clock.now())
    for raw in (b"\x00" * 64, b"\x00" * 32 + b"\x01" * 32, b"\xff" * 64):
        forged = f"sig1=:{base64.b64encode(raw).decode()}:"
        assert (await send(client, headers | {"Signature": forged})).status_code == 401


async def test_another_devices_key_does_not_sign_for_this_one(
    client: Client, scanner: Machine, clock: FixedClock
) -> None:
    stranger = Machine(scanner.principal_id, "", make_signer())
    unknown = stranger.signed("POST", TARGET, BODY, now=clock.now())
    assert (await send(client, unknown)).status_code == 401
    claims_to_be = unknown["Signature-Input"].replace(stranger.key_id, scanner.key_id)
    assert (await send(client, unknown | {"Signature-Input": claims_to_be})).status_code == 401


async def test_a_clock_may_be_a_minute_off(client: Client, scanner: Machine, clock: FixedClock) -> None:
    for off, status in ((-60, 201), (60, 201), (-61, 401), (61, 401), (3600, 401)):
        headers = scanner.signed("POST", TARGET, BODY, now=clock.now() + timedelta(seconds=off))
        answer = await send(client, headers)
        assert answer.status_code == status
        if status == 201:
            continue
        assert answer.json()["type"] == "urn:citycard:problem:clock-off"
        assert answer.json()["server_time"] == int(clock.now().timestamp())


async def test_a_key_that_was_taken_away_is_out_within_two_seconds(
    client: Client, scanner: Machine, database: Database, clock: FixedClock
) -> None:
    headers = scanner.signed("POST", TARGET, BODY, now=clock.now())
    assert (await send(client, headers)).status_code == 201
    async with database.writing() as session:
        (key,) = await service.keys_of(session, scanner.principal_id)
        key.removed_at = clock.now()
        session.add(key)
    clock.forward(timedelta(seconds=2))
    assert (await send(client, headers)).status_code == 401


async def test_a_disabled_scanner_is_out_within_two_seconds_and_a_new_key_is_in_at_once(
    client: Client, scanner: Machine, database: Database, clock: FixedClock
) -> None:
    newer = Machine(scanner.principal_id, "", make_signer())
    assert (await send(client, newer.signed("POST", TARGET, BODY, now=clock.now()))).status_code == 401
    async with database.writing() as session:
        session.add(
            PrincipalKey(
                principal_id=scanner.principal_id,
                thumbprint=newer.key_id,
                jwk=jwk(newer.signer.public_key),
                added_at=clock.now(),
            )
        )
    assert (await send(client, newer.signed("POST", TARGET, BODY, now=clock.now()))).status_code == 201
    async with database.writing() as session:
        await service.disable(session, scanner.principal_id, clock.now())
    clock.forward(timedelta(seconds=2))
    assert (await send(client, newer.signed("POST", TARGET, BODY, now=clock.now()))).status_code == 401


async def test_a_registers_key_signs_no_requests(
    client: Client, database: Database, clock: FixedClock
) -> None:
    register = await make_machine(database, clock.now(), PrincipalKind.REGISTER)
    headers = register.signed("POST", TARGET, BODY, now=clock.now())
    assert (await send(client, headers)).status_code == 401


async def test_what_the_signature_does_not_cover_is_not_heard(
    client: Client, scanner: Machine, clock: FixedClock
) -> None:
    headers = scanner.signed("POST", TARGET, BODY, now=clock.now())
    answer = await send(client, headers | {"Acting-For": "01890000-0000-7000-8000-000000000000"})
    assert answer.json()["acting_for"] is None


async def test_a_body_is_taken_up_to_the_limit(
    client: Client, scanner: Machine, clock: FixedClock, application: Litestar
) -> None:
    large = b"x" * (application.state.settings.max_body + 1)
    headers = scanner.signed("POST", TARGET, large, now=clock.now())
    assert (await send(client, headers, content=large)).status_code == 413
