"""A pass in somebody else's wallet: only where wanted, with nothing of the benefit, and dead at a word."""

import hashlib
import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import jwt
import pytest

from core.access.rules import Role
from core.settings import Settings
from issuers.credentials.rules import Revocation
from issuers.status.rules import Status
from tests.wallet.makers import Somebody, Town
from tests.wallet.passes.makers import PASS_TYPE, TEAM, Given, given
from wallet.codes.text import Kind, parse, read_printed_code
from wallet.passes import service
from wallet.passes.apple import UnusablePass
from wallet.passes.google import SAVE

PATH = "/v1/wallet-passes"
MARKERS = (
    "ermäßigt",
    "reduced",
    "sgb",
    "sozial",
    "bürgergeld",
    "jobcenter",
    "dortmund-karte ",
    "sgb2",
    "tariff",
)


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Given:
    return given(tmp_path_factory.mktemp("passes"))


@pytest.fixture
def settings(settings: Settings, papers: Given, request: pytest.FixtureRequest) -> Settings:
    if "by_default" in request.node.name:
        return settings
    return settings.model_copy(
        update={
            "apple_pass_chain": papers.chain,
            "apple_pass_key": papers.key,
            "google_wallet_issuer": "3388000000012345678",
            "google_wallet_account": papers.account,
        }
    )


async def erika(town: Town) -> Somebody:
    return await town.person(given="Erika", family="Müller", tariffs=("reduced",))


async def make(town: Town, somebody: Somebody, kind: str = "apple", **wish: Any) -> dict[str, Any]:
    answer = await town.client.post(PATH, json={"kind": kind, **wish}, headers=somebody.headers)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def fetched(town: Town, somebody: Somebody, made: dict[str, Any]) -> dict[str, bytes]:
    answer = await town.client.get(f"{PATH}/{made['id']}/pass.pkpass", headers=somebody.headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/vnd.apple.pkpass"
    assert answer.headers["cache-control"] == "no-store"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


async def believed(command: list[str]) -> bool:
    return (await anyio.run_process(command, check=False)).returncode == 0


async def test_passes_are_off_by_default(town: Town) -> None:
    somebody = await erika(town)
    listed = await town.client.get(PATH, headers=somebody.headers)
    assert listed.json() == {"offered": [], "passes": []}
    answer = await town.client.post(PATH, json={"kind": "apple"}, headers=somebody.headers)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:citycard:problem:pass-not-offered")
    assert await town.credentials() == []


async def test_openssl_believes_the_signature_and_the_manifest_names_every_file(
    town: Town, papers: Given, tmp_path: Path
) -> None:
    somebody = await erika(town)
    files = await fetched(town, somebody, await make(town, somebody))
    signature, manifest = tmp_path / "signature", tmp_path / "manifest.json"
    signature.write_bytes(files.pop("signature"))
    manifest.write_bytes(files["manifest.json"])
    command = [
        "openssl",
        "smime",
        "-verify",
        "-inform",
        "DER",
        "-in",
        str(signature),
        "-content",
        str(manifest),
    ]
    trusting = [*command, "-binary", "-purpose", "any", "-CAfile", str(papers.anchor)]
    assert await believed(trusting)
    listed = json.loads(files.pop("manifest.json"))
    assert listed == {name: hashlib.sha1(data).hexdigest() for name, data in files.items()}
    assert set(files) == {"pass.json", "icon.png", "icon@2x.png"}
    manifest.write_bytes(manifest.read_bytes() + b" ")
    assert not await believed(trusting)


async def test_a_pass_says_a_neutral_name_a_day_and_a_code_and_nothing_of_the_benefit(town: Town) -> None:
    somebody = await erika(town)
    files = await fetched(town, somebody, await make(town, somebody))
    said = json.loads(files["pass.json"])
    assert (said["passTypeIdentifier"], said["teamIdentifier"]) == (PASS_TYPE, TEAM)
    assert said["description"] == said["logoText"] == said["organizationName"] == "Dortmund-Karte"
    assert "Erika" not in files["pass.json"].decode()
    for marker in MARKERS:
        assert marker not in files["pass.json"].decode().lower()
    # It ends with the midnight of the city: the day that it shows is the one before.
    assert said["expirationDate"] == "2026-09-27T22:00:00Z"
    (until,) = said["generic"]["secondaryFields"]
    assert (until["value"][:10], until["ignoresTimeZone"]) == ("2026-09-27", True)
    kind, body = parse(said["barcodes"][0]["message"], town.settings.code_host)
    assert kind is Kind.PRINTED
    assert read_printed_code(body).card.name == "MUELLER<<ERIKA"


async def test_the_name_is_shown_only_where_its_holder_wants_it(town: Town) -> None:
    somebody = await erika(town)
    made = await make(town, somebody, with_name=True)
    assert made["named"] is True
    assert "Erika Müller" in (await fetched(town, somebody, made))["pass.json"].decode()
    again = await make(town, somebody)
    assert (again["id"], again["named"]) == (made["id"], False)
    assert "Erika" not in (await fetched(town, somebody, again))["pass.json"].decode()


async def test_the_code_lives_two_weeks_at_most_and_a_renewed_pass_ends_the_code_before(town: Town) -> None:
    somebody = await erika(town)
    made = await make(town, somebody)
    ((row, _),) = await town.credentials()
    assert row.expires_at - town.clock.now() <= timedelta(days=14)
    again = await make(town, somebody)
    assert again["id"] == made["id"]
    assert again["agreed_at"] == made["agreed_at"]
    assert sorted(map(str, await town.standing())) == ["None", Revocation.REPLACED]


@pytest.mark.parametrize("kind", ["apple", "google"])
async def test_a_pass_that_is_withdrawn_is_dead_at_once(town: Town, kind: str) -> None:
    somebody, stranger = await erika(town), await erika(town)
    made = await make(town, somebody, kind)
    path = f"{PATH}/{made['id']}/withdrawal"
    assert (await town.client.post(path, headers=stranger.headers)).status_code == 404
    for _ in range(2):
        answer = await town.client.post(path, headers=somebody.headers)
        assert answer.status_code == 200
        assert answer.json()["withdrawn_at"] == "2026-09-16T10:00:00Z"
    assert await town.standing() == [Revocation.CONSENT_WITHDRAWN]
    ((_, status),) = await town.credentials()
    assert status is Status.INVALID
    gone = await town.client.get(f"{PATH}/{made['id']}/pass.pkpass", headers=somebody.headers)
    assert gone.status_code == 404
    assert (await make(town, somebody, kind))["id"] != made["id"]


async def test_what_was_taken_back_is_packed_no_more(town: Town) -> None:
    somebody = await erika(town)
    made = await make(town, somebody)
    await town.lose(somebody)
    await town.work()
    assert await town.standing() == [Revocation.NOT_HELD]
    gone = await town.client.get(f"{PATH}/{made['id']}/pass.pkpass", headers=somebody.headers)
    assert gone.status_code == 404
    refused = await town.client.post(PATH, json={"kind": "apple"}, headers=somebody.headers)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:citycard:problem:nothing-held")


async def test_the_link_for_google_is_signed_by_the_account_and_says_no_more(
    town: Town, papers: Given
) -> None:
    somebody = await erika(town)
    made = await make(town, somebody, "google", with_name=True)
    assert made["save_link"].startswith(SAVE)
    token = made["save_link"].removeprefix(SAVE)
    claims = jwt.decode(
        token,
        papers.account_key.public_key(),
        algorithms=["RS256"],
        audience="google",
        options={"verify_iat": False},
    )
    assert (claims["typ"], claims["iss"]) == ("savetowallet", "passes@example.iam.gserviceaccount.com")
    (shown,) = claims["payload"]["genericObjects"]
    assert shown["id"] == f"3388000000012345678.{made['id']}"
    assert parse(shown["barcode"]["value"], town.settings.code_host)[0] is Kind.PRINTED
    told = json.dumps(claims, ensure_ascii=False)
    assert "Erika Müller" in told
    for marker in MARKERS:
        assert marker not in told.lower()
    unnamed = (await make(town, somebody, "google"))["save_link"].removeprefix(SAVE)
    assert "Erika" not in json.dumps(jwt.decode(unnamed, options={"verify_signature": False}))


async def test_a_pass_is_its_holders_alone(town: Town) -> None:
    somebody, stranger = await erika(town), await erika(town)
    made = await make(town, somebody)
    path = f"{PATH}/{made['id']}/pass.pkpass"
    assert (await town.client.get(path, headers=stranger.headers)).status_code == 404
    desk = await town.staff(Role.CASE_WORKER) | {"Acting-For": str(somebody.id)}
    assert (await town.client.get(path, headers=desk)).status_code == 403
    assert (await town.client.get(PATH, headers=stranger.headers)).json()["passes"] == []
    listed = (await town.client.get(PATH, headers=somebody.headers)).json()
    assert listed["offered"] == ["apple", "google"]
    assert [one["id"] for one in listed["passes"]] == [made["id"]]


async def test_what_cannot_sign_is_said_before_anything_starts(
    settings: Settings, papers: Given, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("nothing")
    for change in (
        {"apple_pass_key": None},
        {"apple_pass_key": broken},
        {"apple_pass_chain": papers.anchor},
        {"google_wallet_issuer": ""},
        {"google_wallet_account": broken},
    ):
        with pytest.raises(UnusablePass):
            service.check_settings(settings.model_copy(update=change))
    service.check_settings(settings)
