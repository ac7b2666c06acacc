"""Print cards on paper for a whole city from the command line: into a folder, with progress, to be taken up again."""

import asyncio
import json
import sys
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from uuid import UUID

import click
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.inside import Running, beside
from app.cli.outside import REFUSED
from core.database import Database
from core.errors import NotFound
from core.vault import Vault, open_vault
from wallet.batches import service
from wallet.batches.files import put, write_files
from wallet.batches.models import BatchState, PrintBatch
from wallet.printing.layout import Face

INTERRUPTED = 130
"""As shells have it: 128 and the number of the signal of Ctrl-C."""

NOTE = "batch.json"
"""Says in the folder which batch its files belong to; with it, the same command goes on where it was."""


class WrongFolder(click.ClickException):
    """What stands in the folder is not what was asked for."""

    exit_code = REFUSED


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of the command has made."""

    batch: PrintBatch
    cards: int
    files: int


@click.command("print-batch")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--lang",
    "language",
    type=click.Choice(["de", "de-simple", "en"]),
    help="The language of the cards.  [default: de]",
)
@click.option(
    "--active-from",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day from which the cards count; until then they are suspended. Default: at once.",
)
@click.option(
    "--batch", "batch_id", type=click.UUID, help="A batch that was begun already, here or at the desk."
)
@click.option("--processes", type=click.IntRange(1, 64), default=2, show_default=True)
@beside
def print_batch(
    running: Running,
    *,
    folder: Path,
    language: str | None,
    active_from: datetime | None,
    batch_id: UUID | None,
    processes: int,
) -> None:
    """Write DIR/0001.pdf and DIR/0001.csv and so on: a card for everybody who holds something and has none on paper.

    The files hold names: only their owner may read them, and they are yours to encrypt and to delete. Broken off, the
    same command goes on where it was.
    """
    try:
        outcome = asyncio.run(
            write(
                running,
                folder,
                language=language,
                active_from=active_from.date() if active_from else None,
                batch_id=batch_id,
                processes=processes,
                tell=lambda said: click.echo(said, err=True),
            )
        )
    except KeyboardInterrupt:
        click.echo("broken off; the same command goes on where it was", err=True)
        sys.exit(INTERRUPTED)
    click.echo(
        f"{outcome.cards} cards in {outcome.files} files; {outcome.batch.passed_over} persons got none; "
        f"batch {outcome.batch.id}"
    )


async def write(
    running: Running,
    folder: Path,
    *,
    language: str | None = None,
    active_from: date | None = None,
    batch_id: UUID | None = None,
    processes: int = 2,
    tell: Callable[[str], None],
) -> Outcome:
    """Makes the cards and writes the files, the files beside the cards; what is there already stays."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    database, vault = Database(running.settings.database_url), open_vault(running.settings)
    try:
        batch = await _begun(running, database, folder, batch_id, language=language, active_from=active_from)
        # A fresh interpreter each: nothing of this one's connections and keys goes with it.
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            return await _Writer(
                running, database, vault, folder, pool=pool, ahead=2 * processes, tell=tell
            ).write(batch)
    finally:
        await database.dispose()


async def _begun(
    running: Running,
    database: Database,
    folder: Path,
    batch_id: UUID | None,
    *,
    language: str | None,
    active_from: date | None,
) -> PrintBatch:
    note = folder / NOTE
    kept = UUID(json.loads(note.read_text(encoding="utf-8"))["batch"]) if note.exists() else None
    if kept is not None and batch_id not in {None, kept}:
        raise WrongFolder(f"{folder} holds the files of batch {kept}; take another folder")
    batch_id = batch_id or kept
    async with database.writing() as session:
        if batch_id is not None:
            try:
                batch = await service.get(session, batch_id)
            except NotFound:
                raise WrongFolder(f"there is no batch {batch_id} in this database") from None
            if batch.state is BatchState.CLOSED:
                raise service.BatchNotReady
            if language not in {None, batch.language} or active_from not in {None, batch.active_from}:
                counts = f"from {batch.active_from}" if batch.active_from else "at once"
                raise WrongFolder(
                    f"batch {batch_id} was begun in {batch.language}, its cards count {counts}; "
                    "take another folder for another one"
                )
        else:
            batch = await service.begin(
                session,
                None,
                language=language or "de",
                active_from=active_from,
                settings=running.settings,
                now=running.clock.now(),
            )
        # Before the commit: a batch that is on record is known here, and one that is not is asked for in vain.
        put(note, json.dumps({"batch": str(batch.id)}).encode())
    return batch


class _Writer:
    """Makes cards in this process and has the files drawn by others, a few ahead and no more."""

    def __init__(
        self,
        running: Running,
        database: Database,
        vault: Vault,
        folder: Path,
        *,
        pool: ProcessPoolExecutor,
        ahead: int,
        tell: Callable[[str], None],
    ) -> None:
        self._running, self._database, self._vault = running, database, vault
        self._folder, self._pool, self._ahead, self._tell = folder, pool, ahead, tell
        self._drawing: set[Future[int]] = set()
        self._written = 0
        self._next = 1

    async def write(self, batch: PrintBatch) -> Outcome:
        """Until every file is there."""
        while batch.state is BatchState.MAKING:
            batch = await self._database.in_transaction(partial(self._step, batch_id=batch.id))
            await self._draw(batch)
        await self._draw(batch)
        await self._settle(0, batch)
        if batch.state is not BatchState.READY:
            raise service.BatchNotReady
        return Outcome(batch, batch.total - batch.passed_over, service.files_of(batch))

    async def _step(self, session: AsyncSession, batch_id: UUID) -> PrintBatch:
        now = self._running.clock.now()
        batch = await service.step(
            session,
            self._vault,
            batch_id,
            settings=self._running.settings,
            now=now,
        )
        if batch is None:
            raise NotFound
        return batch

    async def _draw(self, batch: PrintBatch) -> None:
        """Has every file drawn whose places have been made."""
        while self._next <= service.files_of(batch):
            if batch.done < min(self._next * service.FILE, batch.total):
                break
            path = self._folder / f"{self._next:04d}.pdf"
            # The CSV is written last: where it stands, both do.
            if not path.with_suffix(".csv").exists():
                await self._settle(self._ahead - 1, batch)
                faces = await self._faces(batch, self._next)
                self._drawing.add(
                    self._pool.submit(write_files, faces, self._running.settings.code_host, path)
                )
            else:
                self._written += 1
            self._next += 1
        self._say(batch)

    async def _faces(self, batch: PrintBatch, number: int) -> list[Face]:
        async with self._database.writing() as session:
            return await service.faces(
                session,
                self._vault,
                None,
                batch,
                number,
                settings=self._running.settings,
                now=self._running.clock.now(),
            )

    async def _settle(self, most: int, batch: PrintBatch) -> None:
        """Waits until at most so many files are being drawn."""
        while len(self._drawing) > most:
            waiting = [asyncio.wrap_future(one) for one in self._drawing]
            for future in waiting:
                # Broken off by its user, nobody waits any more: what became of it is looked at all the same.
                future.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for one in [one for one in self._drawing if one.done()]:
                one.result()
                self._drawing.discard(one)
                self._written += 1
            self._say(batch)

    def _say(self, batch: PrintBatch) -> None:
        self._tell(
            f"{batch.done} of {batch.total} cards made, {self._written} of {service.files_of(batch)} files written"
        )


COMMANDS = (print_batch,)
