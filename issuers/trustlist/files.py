"""Write status lists and trust list as files, for a web server or a CDN that asks nobody."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import deflate
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from core.settings import Settings
from core.vault import Vault
from issuers.status.schemas import Aggregation
from issuers.status.service import StatusMemory, uri_of
from issuers.trustlist import service
from issuers.trustlist.rules import MEDIA_TYPE

INDEX: Final = "status/index.json"
TRUST_LIST: Final = "trustlist"
PUBLICATION: Final = "publication.json"

JOB: Final = "lists.publish"
EVERY: Final = timedelta(seconds=30)
"""Half of what a changed status may take to be in the served list."""

log = structlog.get_logger("status")


@dataclass(frozen=True, slots=True)
class File:
    """One file and how it is to be served."""

    octets: bytes = field(repr=False)
    media_type: str
    etag: str


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published: how many files, how many of them anew, and until when they may be relied on."""

    files: int
    written: int
    removed: int
    until: datetime


async def publish_files(
    session: AsyncSession,
    folder: Path,
    *,
    memory: StatusMemory,
    vault: Vault,
    settings: Settings,
    now: datetime,
) -> Publication:
    """Writes every list as JWT (`status/7`) and CWT (`status/7.cwt`), the aggregation and the trust list.

    Beside each stands the same compressed (`.gz`); `publication.json`, written last, says how each is to be served.
    A file is replaced whole or not at all, what has not changed is left alone, and what is over is removed.
    """
    (folder / "status").mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        files = await _files(session, memory, vault, settings, now)
        written = sum(_put(folder, name, file.octets) for name, file in _with_gz(files).items())
        until = now + timedelta(days=settings.status_days)
        _put(folder, PUBLICATION, _described(files, settings, now, until))
        removed = _clear(
            folder / "status", {f"status/{name}" for name in _names(folder)} - _with_gz(files).keys()
        )
    log.info("status.published", files=len(files), written=written)
    return Publication(len(files), written, removed, until)


async def publish_job(
    session: AsyncSession,
    _payload: dict[str, Any],
    now: datetime,
    *,
    memory: StatusMemory,
    vault: Vault,
    settings: Settings,
) -> None:
    """The job that keeps the files of the settings' folder at what the database says."""
    if settings.publish_folder is not None:
        await publish_files(
            session, settings.publish_folder, memory=memory, vault=vault, settings=settings, now=now
        )


async def _files(
    session: AsyncSession, memory: StatusMemory, vault: Vault, settings: Settings, now: datetime
) -> dict[str, File]:
    await memory.follow(session, now)
    files: dict[str, File] = {}
    for number in memory.numbers():
        published = await memory.published(session, number, vault=vault, settings=settings, now=now)
        for suffix, form in (("", published.jwt), (".cwt", published.cwt)):
            files[f"status/{number}{suffix}"] = File(form.token, form.media_type, form.etag)
    listed = Aggregation(status_lists=[uri_of(number, settings) for number in memory.numbers()])
    index = listed.model_dump_json().encode()
    files[INDEX] = File(
        index, "application/json", f"{len(memory.numbers())}-{max(memory.numbers(), default=0)}"
    )
    trusted = await service.current(session)
    files[TRUST_LIST] = File(trusted.token.encode(), MEDIA_TYPE, trusted.digest.hex()[:32])
    return files


def _with_gz(files: Mapping[str, File]) -> dict[str, File]:
    zipped = {
        f"{name}.gz": File(bytes(deflate.gzip_compress(file.octets, 6)), file.media_type, f"{file.etag}-gz")
        for name, file in files.items()
    }
    return {**files, **zipped}


def _described(files: Mapping[str, File], settings: Settings, now: datetime, until: datetime) -> bytes:
    said = {
        "published_at": now.isoformat(),
        "until": until.isoformat(),
        "cache_control": f"public, max-age={settings.status_ttl}",
        "access_control_allow_origin": "*",
        "files": {name: {"content_type": file.media_type, "etag": file.etag} for name, file in files.items()},
    }
    return json.dumps(said, indent=1).encode() + b"\n"


def _names(folder: Path) -> Iterator[str]:
    return (path.name for path in (folder / "status").iterdir() if not path.name.startswith("."))


def _clear(folder: Path, over: set[str]) -> int:
    for name in over:
        (folder / name.removeprefix("status/")).unlink(missing_ok=True)
    return len(over)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One publication at a time, or an older list could take the place of a newer."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _put(folder: Path, name: str, octets: bytes) -> bool:
    """Whether the file had to be written; readers see the old one or the new one, never a part."""
    path = folder / name
    try:
        if path.read_bytes() == octets:
            return False
    except FileNotFoundError:
        pass
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
            file.flush()
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
        Path(beside).rename(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    return True
