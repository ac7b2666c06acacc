"""Line 9 of the issuer's checklist (HAIP 1.0, OpenID4VCI 1.0): status lists, and what they say of a credential."""

import json

import jwt
from litestar import Litestar
from litestar.testing import AsyncTestClient

from issuers.credentials.rules import Revocation
from tests.issuers.openid.conftest import City
from tests.issuers.openid.wallet import Wallet, new_key, read_sd_jwt, status_of, unb64, verify_chain

Client = AsyncTestClient[Litestar]


async def test_vci_9_the_status_list_of_a_credential_is_public_and_signed_by_a_chain(
    loaded: Wallet, client: Client, city: City
) -> None:
    answer = await loaded.fetch([new_key()])
    status = read_sd_jwt(answer.json()["credentials"][0]["credential"])[1]["status"]["status_list"]
    got = await client.get(status["uri"], headers={"Accept": "application/statuslist+jwt"})
    assert got.status_code == 200
    assert got.headers["content-type"].startswith("application/statuslist+jwt")
    assert got.headers["access-control-allow-origin"] == "*"
    assert got.headers["content-encoding"] == "gzip"
    verify_chain(got.text, city.anchor)
    header = jwt.get_unverified_header(got.text)
    assert header["typ"] == "statuslist+jwt"
    claims = json.loads(unb64(got.text.split(".")[1]))
    assert claims["sub"] == status["uri"]
    listed = claims["status_list"]
    assert status_of(listed["lst"], status["idx"], listed["bits"]) == 0


async def test_vci_9_what_is_no_longer_held_is_invalid_in_the_list(
    loaded: Wallet, client: Client, city: City
) -> None:
    from tests.issuers.makers import run_jobs

    answer = await loaded.fetch([new_key()])
    status = read_sd_jwt(answer.json()["credentials"][0]["credential"])[1]["status"]["status_list"]
    await city.take()
    await run_jobs(city.database, city.settings, city.vault, city.clock)
    listed = json.loads(unb64((await client.get(status["uri"])).text.split(".")[1]))["status_list"]
    assert status_of(listed["lst"], status["idx"], listed["bits"]) == 1


async def test_vci_9_a_withdrawn_key_takes_back_what_it_signed_and_another_signs(
    loaded: Wallet, client: Client, city: City
) -> None:
    from issuers.authorities.service import ensure_authority, withdraw
    from tests.issuers.makers import run_jobs

    answer = await loaded.fetch([new_key()])
    credential = answer.json()["credentials"][0]["credential"]
    (row,) = await city.credentials()
    async with city.database.writing() as session:
        await withdraw(session, city.vault, row.key_id, city.clock.now(), reason="lost")
    await run_jobs(city.database, city.settings, city.vault, city.clock)
    (row,) = await city.credentials()
    assert row.revoked_for is Revocation.KEY_WITHDRAWN
    async with city.database.writing() as session:
        await ensure_authority(session, city.vault, city.settings, city.clock.now())
    status = read_sd_jwt(credential)[1]["status"]["status_list"]
    listed = (await client.get(status["uri"])).text
    verify_chain(listed, city.anchor)
    claims = json.loads(unb64(listed.split(".")[1]))["status_list"]
    assert status_of(claims["lst"], status["idx"], claims["bits"]) == 1
    again = (await loaded.fetch([new_key()])).json()["credentials"][0]["credential"]
    verify_chain(again, city.anchor)
    assert read_sd_jwt(again)[0]["x5c"] != read_sd_jwt(credential)[0]["x5c"]
