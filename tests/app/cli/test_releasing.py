import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli.ruling import rules
from core.database import Database
from entitlements.facts.catalogue import RULEBOOKS
from entitlements.rulebook import service
from tests.entitlements.releases.making import BOOK


def folder(path: Path) -> Path:
    for name, text in BOOK.items():
        (path / name).write_text(text, encoding="utf-8")
    return path


def test_a_sound_folder_is_told_to_hold(tmp_path: Path) -> None:
    told = CliRunner().invoke(rules, ["check", str(folder(tmp_path))])
    assert (told.exit_code, told.output) == (
        0,
        "Town: 3 programmes, 3 rule versions, 3 amounts, 4 worked cases: all hold\n",
    )


def test_a_case_that_does_not_hold_is_named_with_its_line(tmp_path: Path) -> None:
    wrong = BOOK["sozialpass.cases.yaml"].replace("outcome: granted", "outcome: refused")
    (folder(tmp_path) / "sozialpass.cases.yaml").write_text(wrong, encoding="utf-8")
    told = CliRunner().invoke(rules, ["check", str(tmp_path)])
    assert told.exit_code == 1
    assert "sozialpass.cases.yaml, line 4: “Wohngeld suffices”: outcome is 'granted'" in told.output


def test_a_rule_without_words_for_its_reason_is_named(tmp_path: Path) -> None:
    wrong = BOOK["sozialpass.yaml"].replace("otherwise: no_ground", "otherwise: because")
    (folder(tmp_path) / "sozialpass.yaml").write_text(wrong, encoding="utf-8")
    told = CliRunner().invoke(rules, ["check", str(tmp_path)])
    assert told.exit_code == 1
    assert "gives the reason because" in told.output


def test_a_folder_that_cannot_be_read_says_where(tmp_path: Path) -> None:
    (folder(tmp_path) / "sozialpass.yaml").write_text("programme: [", encoding="utf-8")
    told = CliRunner().invoke(rules, ["check", str(tmp_path)])
    assert told.exit_code == 1
    assert "sozialpass.yaml, line 1" in told.output


@pytest.mark.parametrize("city", sorted(path.parent.name for path in RULEBOOKS.glob("*/rulebook.yaml")))
def test_every_citys_folder_holds(city: str) -> None:
    told = CliRunner().invoke(rules, ["check", str(RULEBOOKS / city)])
    assert told.exit_code == 0, told.output


async def test_a_folder_is_loaded_once(database: Database, tmp_path: Path) -> None:
    environment = {
        "CITYCARD_DATABASE_URL": database.url,
        "CITYCARD_MODE": "test",
        "CITYCARD_VAULT_SECRET": "a-secret-for-this-test-alone",
    }

    def run() -> str:
        told = CliRunner().invoke(rules, ["load", str(folder(tmp_path))], env=environment)
        assert told.exit_code == 0, told.output
        return told.output

    assert await asyncio.to_thread(run) == "added 3 programmes, 3 rule versions, 3 dated amounts, 2 tariffs\n"
    assert await asyncio.to_thread(run) == "added 0 programmes, 0 rule versions, 0 dated amounts, 0 tariffs\n"
    async with database.reading() as again:
        assert (await service.in_force(again)).programmes.keys() >= {"sozialpass"}
