"""Commands that work beside the database say what is missing, in a sentence, and take nobody else's database."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner

from app.cli import main, running
from app.demo.running import Demo

COMMANDS = [
    ("offer", "familie"),
    ("request", "Nordbad"),
    ("revoke", "--status-uri", "http://localhost:8000/status/1", "--status-idx", "0"),
    ("status", "publish", "files"),
    ("print-batch", "cards"),
    ("audit", "verify"),
    ("rules", "load"),
]
ALL = [
    *COMMANDS,
    ("migrate",),
    ("serve",),
    ("vault", "create"),
    ("pki", "request", "a.csr", "--subject", "Stadt"),
]


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_a_setting_that_cannot_be_is_named_and_its_value_is_not(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITYCARD_MODE", "geheim")
    told = CliRunner().invoke(main, words)
    assert told.exit_code == 3, told.output
    assert told.output == "Error: CITYCARD_MODE: Input should be 'production', 'demo' or 'test'\n"


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_a_setting_that_is_no_json_is_named_as_well(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITYCARD_TRUSTED_PROXIES", "{geheim")
    told = CliRunner().invoke(main, words)
    assert told.exit_code == 3, told.output
    assert 'field "trusted_proxies"' in told.output
    assert "geheim" not in told.output


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_database_without_tables_is_said_in_one_line(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CITYCARD_MODE", "test")
    monkeypatch.setenv("CITYCARD_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'empty.sqlite'}")
    told = CliRunner().invoke(main, words)
    assert told.exit_code == 3, told.output
    assert told.stderr.startswith("the database cannot be used (no such table: ")
    assert told.stderr.rstrip().endswith("was `citycard migrate` run?")
    assert len(told.stderr.splitlines()) == 1


def test_a_folder_without_a_city_is_no_demo_and_stays_empty(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    told = CliRunner().invoke(main, ["offer", "familie", "--demo", "nothing"])
    assert (told.exit_code, told.output) == (
        3,
        "Error: in nothing stands no demo city; `citycard demo` makes one\n",
    )
    assert list((tmp_path / "nothing").iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("print-batch", "file/cards"),
        ("status", "publish", "file/cdn"),
        ("pki", "init", "--folder", "file/pki"),
    ],
    ids=" ".join,
)
def test_a_folder_that_cannot_be_is_said_in_one_line(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CITYCARD_MODE", "test")
    monkeypatch.setenv("CITYCARD_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'city.sqlite'}")
    assert CliRunner().invoke(main, ["migrate"]).exit_code == 0
    told = CliRunner().invoke(main, words)
    assert told.exit_code == 3, told.output
    assert told.stderr.startswith("file/")
    assert told.stderr.endswith(" cannot be used (Not a directory)\n")


def test_whoever_sets_an_instance_of_their_own_never_gets_the_demos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "var/demo").mkdir(parents=True)
    (tmp_path / "var/demo/city.json").write_text(json.dumps({"today": "2026-09-16", "persons": 10}))
    meant_for_the_demo = CliRunner().invoke(main, ["offer", "familie"])
    assert "no such table" in meant_for_the_demo.output
    monkeypatch.setenv("CITYCARD_MODE", "production")
    own = CliRunner().invoke(main, ["offer", "familie"])
    assert own.exit_code == 3
    assert own.output.startswith("Error: CITYCARD_VAULT_SECRET must be a secret of your own")
    monkeypatch.delenv("CITYCARD_MODE")
    (tmp_path / ".env").write_text("CITYCARD_MODE=production\n")
    assert CliRunner().invoke(main, ["offer", "familie"]).output == own.output


def test_a_demo_remembers_for_which_port_and_database_its_city_was_made(tmp_path: Path) -> None:
    made = {"today": "2026-09-16", "persons": 10, "port": 8123, "database_url": "postgresql+psycopg://x/y"}
    (tmp_path / "city.json").write_text(json.dumps(made))
    demo = Demo.at(tmp_path)
    assert (demo.settings.public_url, demo.settings.database_url) == (
        "http://localhost:8123",
        "postgresql+psycopg://x/y",
    )
    anew = Demo.anew(tmp_path)
    assert anew.port == 8000
    assert anew.settings.database_url.startswith("sqlite")
    elsewhere = CliRunner().invoke(main, ["demo", "--folder", str(tmp_path), "--port", "8124"])
    assert elsewhere.exit_code == 1
    assert "this city was made for port 8123" in elsewhere.output


def test_a_file_that_does_not_fit_is_said_before_a_demo_greets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = CliRunner().invoke(main, ["demo", "--folder", "city", "--persons", "10", "--fill-only"])
    assert made.exit_code == 0, made.output
    monkeypatch.setenv("CITYCARD_APPLE_PASS_CHAIN", str(tmp_path / "chain.pem"))
    told = CliRunner().invoke(main, ["demo", "--folder", "city"])
    assert (told.exit_code, told.output) == (
        3,
        "Error: passes for Apple need both CITYCARD_APPLE_PASS_CHAIN and CITYCARD_APPLE_PASS_KEY\n",
    )


def test_nothing_is_served_from_a_database_that_waits_for_migrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def served(*_args: object) -> None:
        pytest.exit("nobody is to be served")

    url = f"sqlite+aiosqlite:///{tmp_path / 'city.sqlite'}"
    for name, value in (
        ("MODE", "test"),
        ("DATABASE_URL", url),
        ("VAULT_FILE", str(tmp_path / "vault.json")),
    ):
        monkeypatch.setenv(f"CITYCARD_{name}", value)
    monkeypatch.setattr(running, "serve_forever", served)
    said = "Error: the database is not that of this version; run `citycard migrate` first\n"
    told = CliRunner().invoke(main, ["serve"])
    assert (told.exit_code, told.output) == (3, said)
    assert CliRunner().invoke(main, ["migrate"]).exit_code == 0
    monkeypatch.setattr(running, "serve_forever", lambda *_args: None)
    assert CliRunner().invoke(main, ["serve"]).exit_code == 0
    with closing(sqlite3.connect(tmp_path / "city.sqlite")) as city, city:
        city.execute("UPDATE alembic_version SET version_num = 'of-later'")
    threads = set(threading.enumerate())
    told = CliRunner().invoke(main, ["migrate"])
    assert told.exit_code == 3
    assert "of a version that is not known here" in told.output
    for thread in (
        set(threading.enumerate()) - threads
    ):  # of a connection; of one that was left open it goes on
        thread.join(timeout=10)
        assert not thread.is_alive()
    # Another process may have migrated already; this one, of the version before, goes on.
    assert CliRunner().invoke(main, ["serve"]).exit_code == 0
