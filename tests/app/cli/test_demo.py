"""`citycard demo` says in a sentence why there can be no demo, before it makes a city or harms one that stands."""

import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from app.cli import main


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "demo"


def demo(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["demo", "--folder", str(folder), *words])


def nothing_made(folder: Path) -> bool:
    return not (folder / "citycard.sqlite").exists()


@pytest.mark.parametrize("port", ["0", "99999", "-1", "http"])
def test_a_port_that_none_can_be_is_refused(folder: Path, port: str) -> None:
    told = demo(folder, "--port", port)
    assert (told.exit_code, type(told.exception)) == (2, SystemExit)
    assert nothing_made(folder)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    told = demo(tmp_path / "file" / "demo", "--fill-only")
    assert (told.exit_code, type(told.exception)) == (1, SystemExit)
    assert "file/demo lässt sich nicht anlegen / cannot be made" in told.output


@pytest.mark.parametrize(
    "url", ["oracle://scott:tiger@db/x", "postgresql+psycopg://scott:tiger@db/x", "sqlite:///x", "tiger"]
)
def test_a_database_that_cannot_be_used_is_refused_and_its_password_not_shown(folder: Path, url: str) -> None:
    told = demo(folder, "--fill-only", "--database-url", url)
    assert (told.exit_code, type(told.exception)) == (3, SystemExit)
    assert "CITYCARD_DATABASE_URL: no database that can be used here" in told.output
    assert "tiger" not in told.output


def test_a_database_that_does_not_answer_is_said_to_be_so(folder: Path) -> None:
    told = demo(folder, "--fill-only", "--database-url", "postgresql+asyncpg://scott:tiger@127.0.0.1:1/x")
    assert (told.exit_code, type(told.exception)) == (3, SystemExit)
    assert "the database cannot be used" in told.output
    assert "tiger" not in told.output


def test_a_port_on_which_somebody_answers_is_refused_before_a_city_is_made(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = demo(folder, "--port", str(taken.getsockname()[1]))
    assert told.exit_code == 1
    assert "antwortet schon jemand" in told.output or "darf niemand lauschen" in told.output
    assert nothing_made(folder)


def test_where_nobody_may_listen_no_city_is_made(folder: Path) -> None:
    told = demo(folder, "--host", "192.0.2.1", "--port", "8000")  # for documentation alone (RFC 5737)
    assert (told.exit_code, type(told.exception)) == (1, SystemExit)
    assert "darf niemand lauschen / nobody may listen here (192.0.2.1:8000: " in told.output
    assert nothing_made(folder)


@pytest.mark.parametrize("held", [fcntl.LOCK_EX, fcntl.LOCK_SH], ids=["being made", "being served"])
def test_a_city_at_work_is_not_swept_away_by_a_fresh_one(folder: Path, held: int) -> None:
    folder.mkdir()
    (folder / "citycard.sqlite").write_text("at work")
    other = os.open(folder, os.O_RDONLY)
    fcntl.flock(other, held)
    told = demo(folder, "--fresh", "--fill-only", "--persons", "10")
    os.close(other)
    assert (told.exit_code, type(told.exception)) == (1, SystemExit)
    assert "arbeitet schon eine Vorführung / a demo is at work there already" in told.output
    assert (folder / "citycard.sqlite").read_text() == "at work"
