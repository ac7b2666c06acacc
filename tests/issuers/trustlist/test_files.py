"""Lists as files: what a CDN serves is what the application serves, whole, and never older than before."""

import gzip
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import Vault
from issuers.authorities.models import Authority
from issuers.status.models import ListKind
from issuers.status.rules import CWT_TYPE, Status
from issuers.status.service import Numbered, StatusMemory, allocate, set_status
from issuers.trustlist.files import Publication, publish_files
from issuers.trustlist.service import publish


class Publisher:
    def __init__(
        self, folder: Path, database: Database, vault: Vault, settings: Settings, clock: FixedClock
    ) -> None:
        self.folder, self.database, self.vault = folder, database, vault
        self.settings, self.clock = settings, clock
        self.memory = StatusMemory(settings.status_bits)

    async def place(self, kind: ListKind = ListKind.CREDENTIAL, lasts: int = 90) -> Numbered:
        async with self.database.writing() as session:
            await publish(session, self.vault, self.settings, self.clock.now())
            until = self.clock.now() + timedelta(days=lasts)
            [place] = await allocate(
                session, kind, 1, until=until, settings=self.settings, now=self.clock.now()
            )
        return place

    async def publish(self) -> Publication:
        async with self.database.reading() as session:
            return await publish_files(
                session,
                self.folder,
                memory=self.memory,
                vault=self.vault,
                settings=self.settings,
                now=self.clock.now(),
            )

    def file(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


@pytest.fixture
def publisher(
    *,
    tmp_path: Path,
    database: Database,
    vault: Vault,
    settings: Settings,
    clock: FixedClock,
    authority: Authority,
) -> Publisher:
    return Publisher(tmp_path / "cdn", database, vault, settings, clock)


async def test_the_files_are_what_the_application_serves(
    publisher: Publisher, client: AsyncTestClient[Litestar]
) -> None:
    number, _ = await publisher.place()
    cards, _ = await publisher.place(ListKind.CARD)
    done = await publisher.publish()
    assert (done.written, done.removed) == (done.files * 2, 0)
    for each in (number, cards):
        served = (await client.get(f"/status/{each}")).content
        assert (
            publisher.file(f"status/{each}") == gzip.decompress(publisher.file(f"status/{each}.gz")) == served
        )
        as_cwt = await client.get(f"/status/{each}", headers={"Accept": CWT_TYPE})
        assert publisher.file(f"status/{each}.cwt") == as_cwt.content
    assert publisher.file("trustlist") == (await client.get("/trustlist")).content
    assert json.loads(publisher.file("status/index.json")) == (await client.get("/status/")).json()
    said = json.loads(publisher.file("publication.json"))
    assert said["files"][f"status/{number}.cwt"]["content_type"] == CWT_TYPE
    assert said["cache_control"] == f"public, max-age={publisher.settings.status_ttl}"
    for path in publisher.folder.rglob("*"):
        assert path.name == ".lock" or path.stat().st_mode & 0o004, path  # a web server may read it


async def test_a_change_is_in_the_next_files_and_nothing_else_is_written(publisher: Publisher) -> None:
    place, other = await publisher.place(), await publisher.place(ListKind.CARD)
    await publisher.publish()
    again = await publisher.publish()
    assert (again.written, again.removed) == (0, 0)
    untouched = (publisher.folder / f"status/{other[0]}").stat()
    before = publisher.file(f"status/{place[0]}")
    async with publisher.database.writing() as session:
        await set_status(session, [place], Status.INVALID, now=publisher.clock.now())
    changed = await publisher.publish()
    assert changed.written == 4  # one list: JWT, CWT, and both compressed
    assert publisher.file(f"status/{place[0]}") != before
    assert (publisher.folder / f"status/{other[0]}").stat() == untouched
    publisher.clock.forward(timedelta(seconds=publisher.settings.status_ttl))
    assert (await publisher.publish()).written == 8  # both are signed anew in each ttl


async def test_a_list_that_nobody_needs_any_more_is_taken_away(publisher: Publisher) -> None:
    number, _ = await publisher.place(ListKind.CARD, lasts=1)
    kept, _ = await publisher.place(ListKind.PRINTED, lasts=90)
    await publisher.publish()
    publisher.clock.forward(timedelta(days=3))
    assert (await publisher.publish()).removed == 4
    assert not list(publisher.folder.glob(f"status/{number}*"))
    assert json.loads(publisher.file("status/index.json"))["status_lists"] == [
        f"{publisher.settings.public_url}/status/{kept}"
    ]


async def test_a_reader_sees_a_whole_file_whenever_it_looks(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await publisher.place()
    await publisher.publish()
    before = publisher.file(f"status/{place[0]}")

    def fail(_descriptor: int) -> None:
        raise OSError("the disk is full")

    async with publisher.database.writing() as session:
        await set_status(session, [place], Status.INVALID, now=publisher.clock.now())
    with monkeypatch.context() as patched, pytest.raises(OSError, match="full"):
        patched.setattr(os, "fsync", fail)
        await publisher.publish()
    assert publisher.file(f"status/{place[0]}") == before
    assert not list(publisher.folder.rglob(".new-*"))
    await publisher.publish()
    assert publisher.file(f"status/{place[0]}") != before
