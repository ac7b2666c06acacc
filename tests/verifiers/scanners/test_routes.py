"""A device comes in with a code, once, and goes when it is removed."""

import asyncio
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select

from core.access.rules import Role
from core.audit.models import Entry
from tests.makers import sign_in
from tests.verifiers.makers import City, Till
from verifiers.scanners import rules
from verifiers.scanners.models import ScannerCode


def device(city: City) -> Till:
    return Till(city.client, city.clock, ec.generate_private_key(ec.SECP256R1()))


async def test_a_device_with_a_code_becomes_a_scanner(city: City) -> None:
    venue = await city.venue()
    till = device(city)
    answer = await till.enrol(await city.invite(venue), "Kasse 1")
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["venue_id"], told["venue_number"], told["name"]) == (venue["id"], venue["number"], "Kasse 1")
    bundle = await till.get("/v1/bundle")
    assert bundle.status_code == 200, "it signs its requests from now on"


async def test_a_code_lets_one_device_in(city: City) -> None:
    code = await city.invite(await city.venue())
    devices = [device(city) for _ in range(4)]
    answers = await asyncio.gather(*(each.enrol(code) for each in devices))
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]
    refused = next(answer for answer in answers if answer.status_code == 422)
    assert refused.json()["type"].endswith(":code-refused")


async def test_the_same_device_may_hear_the_answer_again(city: City) -> None:
    code = await city.invite(await city.venue())
    till = device(city)
    first, again = await till.enrol(code), await till.enrol(code)
    assert first.json() == again.json()
    assert (await device(city).enrol(code)).status_code == 422


async def test_a_code_is_short_lived_and_read_kindly(city: City) -> None:
    venue = await city.venue()
    code = await city.invite(venue)
    assert rules.understood(code.lower().replace("-", " ")) == rules.understood(code)
    city.clock.forward(rules.CODE_LIFE)
    assert (await device(city).enrol(code)).status_code == 422
    fresh = await city.invite(venue)
    assert (await device(city).enrol(fresh.lower().replace("-", " "))).status_code == 201


async def test_a_code_says_nothing_to_whoever_reads_the_table(city: City) -> None:
    code = rules.understood(await city.invite(await city.venue()))
    assert code is not None
    async with city.database.reading() as session:
        row = (await session.execute(select(ScannerCode))).scalar_one()
    assert code.encode() not in row.code_hash
    assert len(row.code_hash) == 32


async def test_a_device_must_hold_the_key_it_brings(city: City) -> None:
    code = await city.invite(await city.venue())
    thief, owner = device(city), device(city)
    answer = await city.client.post(
        "/v1/scanners",
        json={"code": code, "name": "Kasse 1", "key": owner.members(), "proof": thief.proof(code)},
    )
    assert answer.status_code == 422
    assert answer.json()["type"].endswith(":proof-refused")
    assert (await owner.enrol(code)).status_code == 201, "and the code is still good"


async def test_guessing_is_ended_by_a_limit(city: City) -> None:
    till = device(city)
    answers = [await till.enrol(rules.written(rules.new_code())) for _ in range(21)]
    assert [answer.status_code for answer in answers] == [422] * 20 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0


async def test_scanners_are_listed_renamed_and_removed(city: City) -> None:
    venue = await city.venue()
    till = await city.till(venue)
    path = f"/v1/scanners/{till.id}"
    renamed = await city.client.patch(path, json={"name": "Drehkreuz"}, headers=city.operator)
    assert renamed.json()["name"] == "Drehkreuz"
    assert (await city.client.delete(path, headers=city.operator)).status_code == 204
    assert (await city.client.delete(path, headers=city.operator)).status_code == 404
    listed = await city.client.get(f"/v1/scanners?venue={venue['id']}", headers=city.operator)
    assert [each["removed_at"] is not None for each in listed.json()] == [True]
    city.clock.forward(timedelta(seconds=2))
    assert (await till.get("/v1/bundle")).status_code == 401
    async with city.database.reading() as session:
        actions = {entry.action for entry in (await session.execute(select(Entry))).scalars()}
    assert {"scanner.invited", "scanner.enrolled", "scanner.renamed", "scanner.removed"} <= actions


async def test_a_strangers_scanners_are_not_found(city: City) -> None:
    venue = await city.venue()
    till = await city.till(venue)
    stranger = await sign_in(city.database, city.vault, city.now, Role.PARTNER_MANAGER)
    citizen = await sign_in(city.database, city.vault, city.now, Role.CITIZEN)
    for method, path in [
        ("POST", f"/v1/venues/{venue['id']}/scanner-codes"),
        ("GET", f"/v1/scanners?venue={venue['id']}"),
        ("DELETE", f"/v1/scanners/{till.id}"),
    ]:
        assert (await city.client.request(method, path, headers=stranger)).status_code == 404
        assert (await city.client.request(method, path, headers=citizen)).status_code == 403
        assert (await city.client.request(method, path)).status_code == 401


async def test_used_up_codes_are_forgotten(city: City) -> None:
    await city.invite(await city.venue())
    city.clock.forward(timedelta(days=2))
    await city.run_jobs()
    async with city.database.reading() as session:
        assert (await session.execute(select(ScannerCode))).first() is None
