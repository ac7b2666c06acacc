"""The doors to print batches: begin, see how far, draw a file, close."""

from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

import anyio
from anyio import to_process
from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import NotFound, problems
from core.idempotency import Answer
from core.settings import Settings
from core.vault import Vault
from wallet.batches import files, service
from wallet.batches.files import MEDIA_TYPES, Form
from wallet.batches.models import PrintBatch
from wallet.batches.schemas import NewPrintBatch, PrintBatchesView, PrintBatchView

LOOK = allow(Role.CASE_WORKER, Role.OPERATOR, Role.AUDITOR)
RUN = allow(Role.CASE_WORKER, Role.OPERATOR)
# Files hold the names of everybody: they are for those who may look into a case, not for whoever runs machines.
DRAW = allow(Role.CASE_WORKER)

PROCESSES: Final = anyio.CapacityLimiter(2)
_FILE = {
    200: ResponseSpec(
        data_container=bytes,
        media_type="application/pdf",
        description="The file, as PDF or CSV",
        generate_examples=False,
    )
}


@get("/", operation_id="listPrintBatches", guards=[LOOK], responses=problems(401, 403))
async def list_print_batches(session: NamedDependency[AsyncSession]) -> PrintBatchesView:
    """The latest print batches, with how far each has come."""
    return PrintBatchesView(batches=[_view(batch) for batch in await service.batches(session)])


@get("/{batch_id:uuid}", operation_id="getPrintBatch", guards=[LOOK], responses=problems(400, 401, 403, 404))
async def get_print_batch(batch_id: FromPath[UUID], session: NamedDependency[AsyncSession]) -> PrintBatchView:
    """See how far a print batch has come."""
    return _view(await service.get(session, batch_id))


@post("/", operation_id="beginPrintBatch", guards=[RUN], responses=problems(400, 401, 403, 409, 422))
async def begin_print_batch(
    *,
    data: JSONBody[NewPrintBatch],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> PrintBatchView:
    """Make cards on paper for many; it goes on in the background, and each holder gets a notice."""
    return _view(
        await service.begin(
            session,
            caller,
            language=data.language,
            active_from=data.active_from,
            person_ids=data.person_ids,
            settings=settings,
            now=now,
        )
    )


@get(
    "/{batch_id:uuid}/files/{file_name:str}",
    operation_id="drawPrintFile",
    guards=[DRAW],
    # Who drew which file is written down.
    opt={"writes": True},
    responses={**_FILE, **problems(400, 401, 403, 404, 409)},
)
async def draw_print_file(
    *,
    batch_id: FromPath[UUID],
    file_name: FromPath[str],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> Answer:
    """A file for the print house, `{n}.pdf` or `{n}.csv`, of at most 5,000 cards; drawn when asked for, kept nowhere.

    The PDF has a card a page, with three millimetres of colour beyond the cut (TrimBox). The CSV has the same words for
    a print house that sets the cards itself. Cards that no longer count are left out.
    """
    number, form = _named(file_name)
    batch = await service.get(session, batch_id)
    faces = await service.faces(session, vault, caller, batch, number, settings=settings, now=now)
    drawn = await to_process.run_sync(
        partial(files.render, faces, settings.code_host, form), limiter=PROCESSES, cancellable=True
    )
    return Answer(
        drawn,
        media_type=MEDIA_TYPES[form],
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{number:04d}.{form.value}"',
        },
    )


@post(
    "/{batch_id:uuid}/closing",
    operation_id="closePrintBatch",
    status_code=200,
    guards=[RUN],
    responses=problems(400, 401, 403, 404, 409),
)
async def close_print_batch(
    batch_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> PrintBatchView:
    """Say that the print house has its files, or give the batch up: no file is drawn any more; what is made counts."""
    return _view(await service.close(session, caller, batch_id, now))


def _named(file_name: str) -> tuple[int, Form]:
    number, _, suffix = file_name.partition(".")
    if suffix not in {form.value for form in Form} or not (number.isascii() and number.isdecimal()):
        raise NotFound
    if len(number) > 6:
        raise NotFound
    return int(number), Form(suffix)


def _view(batch: PrintBatch) -> PrintBatchView:
    return PrintBatchView(
        id=batch.id,
        state=batch.state,
        language=batch.language,
        active_from=batch.active_from,
        activated_at=batch.activated_at,
        total=batch.total,
        done=batch.done,
        passed_over=batch.passed_over,
        files=service.files_of(batch),
        started_at=batch.started_at,
        finished_at=batch.finished_at,
        closed_at=batch.closed_at,
    )


router = Router(
    "/v1/print-batches",
    route_handlers=[
        list_print_batches,
        get_print_batch,
        begin_print_batch,
        draw_print_file,
        close_print_batch,
    ],
    tags=["Wallet"],
)
