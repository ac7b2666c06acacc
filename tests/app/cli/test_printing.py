"""The city's cards from the command line: into files that only their owner reads, taken up where it broke off."""

import csv
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner

from app.cli import inside, printing
from app.cli.inside import Running
from core.clock import FixedClock
from core.database import Database
from core.settings import Settings
from core.vault import open_vault
from issuers.authorities.service import ensure_authority
from tests.issuers.makers import hold, make_person
from tests.wallet.printing.makers import Opened
from wallet.batches import service


class Killed(Exception):
    """Whatever ends the command in its middle."""


async def city(settings: Settings, clock: FixedClock, count: int) -> Running:
    database, vault = Database(settings.database_url), open_vault(settings)
    async with database.writing() as session:
        await ensure_authority(session, vault, settings, clock.now())
        for number in range(count):
            person_id = await make_person(
                session, vault, clock.now(), given="Erika", family=f"Name {'ABCDE'[number]}"
            )
            await hold(session, settings, person_id, clock.now())
    await database.dispose()
    return Running(settings, clock)


@pytest.fixture
def database_url(empty_sqlite: Path, tmp_path: Path) -> str:
    """One kind is enough: the service has its own tests on both."""
    (tmp_path / "city.sqlite").write_bytes(empty_sqlite.read_bytes())
    return f"sqlite+aiosqlite:///{tmp_path / 'city.sqlite'}"


async def test_a_batch_that_was_killed_is_taken_up_and_every_card_is_in_one_file(
    settings: Settings, clock: FixedClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "FILE", 2)
    monkeypatch.setattr(service, "AT_ONCE", 2)
    running = await city(settings, clock, 5)
    folder, said = tmp_path / "print", list[str]()

    def break_off(line: str) -> None:
        said.append(line)
        if line.startswith("4 of 5"):
            raise Killed

    with pytest.raises(Killed):
        await printing.write(running, folder, tell=break_off)
    first = (folder / "0001.csv").read_bytes()
    # What was begun is gone on with, or something else is begun elsewhere; never a mixture.
    other = uuid4()
    for wanted, why in (
        ({"language": "en"}, "was begun in de, its cards count at once"),
        ({"active_from": date(2030, 1, 1)}, "its cards count at once"),
        ({"batch_id": other}, "take another folder"),
    ):
        with pytest.raises(printing.WrongFolder, match=why):
            await printing.write(running, folder, tell=said.append, **wanted)
    with pytest.raises(printing.WrongFolder, match=f"no batch {other}"):
        await printing.write(running, tmp_path / "elsewhere", tell=said.append, batch_id=other)
    outcome = await printing.write(running, folder, language="de", tell=said.append)
    assert (outcome.cards, outcome.files, outcome.batch.passed_over) == (5, 3, 0)
    assert said[-1] == "5 of 5 cards made, 3 of 3 files written"
    assert (folder / "0001.csv").read_bytes() == first
    rows: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows += csv.DictReader(file)
        assert Opened(path.with_suffix(".pdf").read_bytes()).pages == (1 if path.stem == "0003" else 2)
    assert len({row["code"] for row in rows}) == len({row["number"] for row in rows}) == 5
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_whoever_breaks_it_off_hears_how_to_go_on(
    settings: Settings, clock: FixedClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(inside.Running, "found", staticmethod(lambda *_args: Running(settings, clock)))
    monkeypatch.setattr(printing, "write", interrupted)
    told = CliRunner().invoke(printing.print_batch, [str(tmp_path / "print")])
    assert (told.exit_code, told.stderr) == (130, "broken off; the same command goes on where it was\n")
