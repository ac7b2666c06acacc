"""The lists of a running city as files, by hand."""

from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner

from app.cli import statuses
from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import Vault
from issuers.authorities.service import ensure_authority
from issuers.trustlist.service import publish


async def test_the_command_writes_what_a_web_server_needs(
    *,
    database: Database,
    vault: Vault,
    settings: Settings,
    clock: FixedClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with database.writing() as session:
        await ensure_authority(session, vault, settings, clock.now())
        await publish(session, vault, settings, clock.now())
    monkeypatch.setenv("CITYCARD_MODE", "test")
    monkeypatch.setenv("CITYCARD_DATABASE_URL", settings.database_url)
    monkeypatch.setattr(statuses, "open_vault", lambda _settings: vault)
    told = await anyio.to_thread.run_sync(
        CliRunner().invoke, statuses.status, ["publish", str(tmp_path / "cdn")]
    )
    assert told.exit_code == 0, told.output
    assert "2 files, 4 written, 0 removed" in told.output
    assert {path.name for path in (tmp_path / "cdn").iterdir()} >= {"trustlist", "trustlist.gz", "status"}


async def test_before_the_first_start_it_says_that_there_is_nothing(
    settings: Settings, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITYCARD_MODE", "test")
    monkeypatch.setenv("CITYCARD_DATABASE_URL", settings.database_url)
    monkeypatch.setattr(statuses, "open_vault", lambda _settings: vault)
    told = await anyio.to_thread.run_sync(
        CliRunner().invoke, statuses.status, ["publish", str(tmp_path / "cdn")]
    )
    assert told.exit_code == 3
