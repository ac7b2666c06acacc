"""A department's system on the command line: what it is told, and how it ends."""

from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner

from app.cli import machines, main
from app.walk.machine import ClientFile, Delivered
from app.walk.phone import Phone


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"client_id": "x", "jwk": {}}', "\x00"])
def test_a_file_without_a_key_is_told_as_that(tmp_path: Path, text: str) -> None:
    (tmp_path / "client.json").write_text(text)
    told = CliRunner().invoke(main, ["token", "--client", str(tmp_path / "client.json"), "--lang", "en"])
    assert (told.exit_code, told.output) == (3, "client.json holds no client id with a private key.\n")


def test_a_home_that_cannot_be_written_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_phone: object, _account: str, _password: str) -> None:
        (tmp_path / "nowhere" / "key.pem").write_text("")

    monkeypatch.setattr(Phone, "login", refuse)
    words = ["phone", "login", "--as", "familie", "--home", str(tmp_path), "--lang", "en"]
    told = CliRunner().invoke(main, words)
    assert told.exit_code == 3
    assert told.output.endswith("key.pem can be neither read nor written (No such file or directory).\n")


@pytest.mark.parametrize(("state", "code"), [("applied", 0), ("held", 0), ("rejected", 1)])
def test_a_delivery_that_is_rejected_whole_ends_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, code: int
) -> None:
    for name in ("client.json", "facts.ndjson"):
        (tmp_path / name).touch()
    monkeypatch.setattr(ClientFile, "read", staticmethod(lambda _path: None))
    monkeypatch.setattr(machines, "deliver", lambda *_args, **_more: made(state))
    words = ["deliver", "--client", str(tmp_path / "client.json"), str(tmp_path / "facts.ndjson")]
    told = CliRunner().invoke(main, [*words, "--lang", "en"])
    assert (told.exit_code, told.output) == (code, f"Delivery n: {state}, 0 rows\n")


def made(state: str) -> Delivered:
    return Delivered.of(
        {"id": str(uuid4()), "name": "n", "state": state, "rows": 0, "reason": "", "results": {}}
    )
