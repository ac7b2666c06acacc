"""Whoever tests a verifier flips a credential's status by what stands in the credential."""

import json
from collections.abc import Iterator
from datetime import timedelta

import anyio
import pytest
import structlog
from click.testing import CliRunner, Result
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import select

from app.cli import inside
from app.cli.revoking import revoke_credential
from core import jose
from core.audit.models import Entry
from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import KeyUse, Vault
from entitlements.notices import service as notices
from entitlements.notices.models import Notice
from issuers.authorities.service import ensure_authority
from issuers.credentials.models import Credential
from issuers.credentials.service import issue_cards
from issuers.status.rules import TYPE, Status, read
from issuers.status.service import uri_of
from tests.issuers.makers import PhoneKey, hold, make_person

Place = tuple[str, int]


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
async def place(
    database: Database,
    vault: Vault,
    settings: Settings,
    clock: FixedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    """A credential's place, with the settings in the environment as an operator has them."""
    now = clock.now()
    monkeypatch.setattr(inside, "SystemClock", lambda: clock)
    async with database.writing() as session:
        await ensure_authority(session, vault, settings, now)
        person = await make_person(session, vault, now)
        await hold(session, settings, person, now)
        await issue_cards(
            session,
            vault,
            settings,
            person_id=person,
            device_id=person,
            holders=[PhoneKey().point],
            name=None,
            now=now,
        )
        row = (await session.execute(select(Credential))).scalar_one()
    values = {"MODE": "test", "DATABASE_URL": settings.database_url, "PUBLIC_URL": settings.public_url}
    for name, value in values.items():
        monkeypatch.setenv(f"CITYCARD_{name}", value)
    return uri_of(row.status_list, settings), row.status_index


async def run(place: Place, *words: str) -> Result:
    named = ["--status-uri", place[0], "--status-idx", str(place[1])]
    return await anyio.to_thread.run_sync(CliRunner().invoke, revoke_credential, [*named, *words])


async def served(client: AsyncTestClient[Litestar], vault: Vault, place: Place) -> Status:
    answer = await client.get(place[0].removeprefix("http://localhost:8000"))
    assert answer.status_code == 200, answer.text
    keys = jose.KeySet(tuple(jose.Key(one.public_key, one.key_id) for one in vault.keys(KeyUse.STATUS_LIST)))
    return Status(read(jose.verify(answer.text, keys, typ=TYPE).claims, place[0]).statuses.get(place[1]))


async def test_what_is_revoked_suspended_or_resumed_is_served_so_at_once(
    client: AsyncTestClient[Litestar], vault: Vault, place: Place
) -> None:
    assert await served(client, vault, place) is Status.VALID
    steps = [
        (["--suspend"], "valid", "suspended", Status.SUSPENDED),
        (["--resume"], "suspended", "valid", Status.VALID),
        ([], "valid", "invalid", Status.INVALID),
    ]
    for words, before, after, status in steps:
        told = await run(place, *words, "--json")
        assert told.exit_code == 0, told.output
        said = json.loads(told.stdout)
        assert (said["before"], said["after"], said["changed"]) == (before, after, True)
        assert await served(client, vault, place) is status
    again = await run(place)
    assert again.exit_code == 0
    assert "is invalid already" in again.output
    assert (await run(place, "--resume")).exit_code == 1
    assert await served(client, vault, place) is Status.INVALID


async def test_the_trail_names_what_was_done(database: Database, place: Place) -> None:
    for words in (["--suspend"], ["--resume"], [], []):
        await run(place, *words)
    async with database.reading() as session:
        actions = [entry.action for entry in (await session.execute(select(Entry))).scalars()]
    expected = ["credential.resumed", "credential.revoked", "credential.suspended"]
    assert sorted(one for one in actions if one.startswith("credential.")) == expected


async def test_a_place_of_nobody_and_a_list_of_others_change_nothing(place: Place) -> None:
    for uri, index in (
        (place[0], place[1] + 1),
        (place[0], 10**9),
        (place[0], 10**20),
        ("https://elsewhere.example/status/1", place[1]),
        (place[0] + "/", place[1]),
        (place[0].replace("/status/", "/status/0"), place[1]),
    ):
        told = await run((uri, index))
        assert told.exit_code == 1, told.output


async def told(database: Database, language: str = "de") -> list[str]:
    """What the holder is owed to read of cards that were revoked."""
    async with database.reading() as session:
        owed = (await session.execute(select(Notice).filter_by(code="card.revoked"))).scalars().all()
        texts = await notices.texts_of(session, owed, language)
    return [texts[one.id].body for one in owed]


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("de", "die Sie auf dem Telefon haben, gilt seit dem 16. September 2026 nicht mehr"),
        ("de-simple", "eine Karte auf dem Telefon. Diese Karte gilt seit dem 16. September 2026 nicht mehr."),
        ("en", "A card that you have on your phone no longer counts, since 16 September 2026."),
    ],
)
async def test_the_holder_is_told_once_that_the_card_was_revoked(
    database: Database, place: Place, language: str, said: str
) -> None:
    for _ in range(2):
        assert (await run(place)).exit_code == 0
    (body,) = await told(database, language)
    assert said in body


async def test_of_a_card_that_had_ended_anyway_nobody_is_told(
    database: Database, clock: FixedClock, place: Place
) -> None:
    clock.forward(timedelta(days=20))
    assert (await run(place)).exit_code == 0
    assert await told(database) == []
