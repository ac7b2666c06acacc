"""The doors behind which a case worker settles who is who; whatever shows a name is a POST, and written down."""

from datetime import date, datetime
from functools import partial
from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.audit.service import note
from core.errors import NotFound, problems
from core.settings import Settings
from core.vault import Vault
from entitlements.clearing import guardians, moves, service
from entitlements.clearing.rules import Difference
from entitlements.clearing.schemas import (
    CandidateView,
    ConnectedView,
    DifferenceView,
    LinkView,
    LookView,
    MergeActView,
    MoveView,
    NewMove,
    SidesView,
    SideView,
)
from entitlements.people.merging import merges_of, two_persons
from entitlements.people.rules import PersonIdentity
from entitlements.people.schemas import GuardianshipView, NewGuardianship, NewMerge
from entitlements.people.service import roots
from entitlements.registers import reviews
from entitlements.registers.models import Review
from entitlements.registers.schemas import Meant, ReviewPage, ReviewView
from entitlements.registers.service import links_of


@get("/reviews", operation_id="listReviews", responses=problems(400, 401, 403))
async def list_reviews(
    *,
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    now: NamedDependency[datetime],
    after: FromQuery[UUID | None] = None,
    put_off: Annotated[bool, QueryParameter(description="Also those that were put off")] = False,
    limit: Annotated[int, QueryParameter(description="At most so many", ge=1, le=200)] = 50,
) -> ReviewPage:
    """Numbers of registers that mean nobody for sure yet, oldest first."""
    found = await reviews.reviews(session, after=after, limit=limit, now=now, put_off=put_off)
    return ReviewPage(
        reviews=tuple(_review(vault, row) for row in found),
        next=found[-1].id if len(found) == limit else None,
    )


def _review(vault: Vault, row: Review) -> ReviewView:
    return ReviewView(
        id=row.id,
        register_id=row.register_id,
        number=reviews.number_of(vault, row),
        state=row.state.value,
        opened_at=row.opened_at,
    )


@post(
    "/reviews/{review_id:uuid}/sides",
    operation_id="showReview",
    status_code=200,
    responses=problems(400, 401, 403, 404),
)
async def show_review(
    *,
    review_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    now: NamedDependency[datetime],
) -> SidesView:
    """Shows both sides of a doubt: what the register said, and everybody who may be meant; the look is written down."""
    shown = await reviews.show(session, vault, caller, review_id, now)
    return SidesView(
        id=shown.review.id,
        register_id=shown.review.register_id,
        number=shown.number,
        state=shown.review.state.value,
        said=_side(shown.said) if shown.said is not None else None,
        verdict=shown.judged.verdict,
        candidates=tuple(
            CandidateView(
                person_id=one.who,
                known_as=_side(shown.known.get(one.who, PersonIdentity())),
                score=one.likeness.score,
                agreement=dict(one.likeness.levels),
                swapped=one.likeness.swapped,
                elsewhere=one.elsewhere,
            )
            for one in shown.judged.candidates
        ),
    )


def _side(identity: PersonIdentity) -> SideView:
    return SideView(**{name: getattr(identity, name) for name in SideView.model_fields})


@post(
    "/reviews/{review_id:uuid}/link",
    operation_id="linkReview",
    status_code=200,
    responses=problems(400, 401, 403, 404, 409),
)
async def link_review(
    *,
    review_id: FromPath[UUID],
    data: JSONBody[Meant],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> ReviewView:
    """Says whom the number means; the rows that waited for it are applied at once."""
    row = await service.decide(session, vault, settings, caller, review_id, person_id=data.person_id, now=now)
    return _review(vault, row)


@post(
    "/reviews/{review_id:uuid}/new-person",
    operation_id="makeReviewKnown",
    status_code=200,
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def make_known(
    *,
    review_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> ReviewView:
    """Says that the number means somebody whom the city does not know yet; only for registers that may say who people are."""
    row = await service.decide(session, vault, settings, caller, review_id, new=True, now=now)
    return _review(vault, row)


@post(
    "/reviews/{review_id:uuid}/later",
    operation_id="putReviewOff",
    status_code=200,
    responses=problems(400, 401, 403, 404, 409),
)
async def put_off(
    review_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    now: NamedDependency[datetime],
) -> ReviewView:
    """Lets the number wait for two weeks, because somebody is being asked."""
    return _review(vault, await reviews.put_off(session, caller, review_id, now))


@post(
    "/reviews/{review_id:uuid}/dismiss",
    operation_id="dismissReview",
    status_code=200,
    responses=problems(400, 401, 403, 404, 409),
)
async def dismiss_review(
    *,
    review_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> ReviewView:
    """Says that the number means nobody here; it is not asked for again."""
    return _review(vault, await service.decide(session, vault, settings, caller, review_id, now=now))


# ---- two persons who are one ----


@post("/merges", operation_id="mergePersons", responses=problems(400, 401, 403, 404, 409, 422))
async def merge_persons(
    data: JSONBody[NewMerge],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> MergeActView:
    """Two persons turn out to be one; whatever is kept about either is read as the one that stays."""
    act = await service.merge(session, settings, caller, data.gone_id, data.kept_id, now=now)
    return MergeActView.model_validate(act)


@post(
    "/merges/look",
    operation_id="lookAtMerge",
    status_code=200,
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def look_at_merge(
    data: JSONBody[NewMerge],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> LookView:
    """Shows what a merge would change for everybody concerned, and changes nothing."""
    await two_persons(session, data.gone_id, data.kept_id)
    deed = partial(service.merge, session, settings, caller, data.gone_id, data.kept_id, now=now)
    return _look(await service.look(session, [data.gone_id, data.kept_id], deed))


def _look(found: list[Difference]) -> LookView:
    return LookView(differences=tuple(DifferenceView.model_validate(one) for one in found))


@post(
    "/merges/{merge_id:uuid}/undo",
    operation_id="undoMerge",
    status_code=200,
    responses=problems(400, 401, 403, 404, 409),
)
async def undo_merge(
    merge_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> MergeActView:
    """The two are two again, and each holds their own; later merges of the same person are undone first."""
    return MergeActView.model_validate(await service.part(session, settings, caller, merge_id, now=now))


# ---- numbers that meant somebody else ----


@post(
    "/people/{person_id:uuid}/connections",
    operation_id="showConnections",
    status_code=200,
    responses=problems(400, 401, 403, 404),
)
async def show_connections(
    *,
    person_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    now: NamedDependency[datetime],
) -> ConnectedView:
    """By which numbers the registers know somebody, with merges and moves; the look is written down."""
    if not await roots(session, [person_id]):
        raise NotFound
    links = await links_of(session, vault, person_id)
    note(session, caller, "connections.seen", ("person", person_id), now=now)
    return ConnectedView(
        links=tuple(
            LinkView(
                id=row.id,
                register_id=row.register_id,
                number=number,
                made_by=row.made_by.value,
                made_at=row.made_at,
            )
            for row, number in links
        ),
        moves=tuple(
            MoveView.model_validate(act)
            for act in await moves.moves_of(session, [row.id for row, _ in links])
        ),
        merges=tuple(MergeActView.model_validate(act) for act in await merges_of(session, person_id)),
    )


@post(
    "/register-links/{link_id:uuid}/move",
    operation_id="moveLink",
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def move_link(
    *,
    link_id: FromPath[UUID],
    data: JSONBody[NewMove],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> MoveView:
    """The number was linked to the wrong person: it, and what its register said, goes to another or a new one."""
    act = await moves.move(session, vault, settings, caller, link_id, to=data.to_id, now=now)
    return MoveView.model_validate(act)


@post(
    "/register-links/{link_id:uuid}/move/look",
    operation_id="lookAtMove",
    status_code=200,
    responses=problems(400, 401, 403, 404, 409, 422),
)
async def look_at_move(
    *,
    link_id: FromPath[UUID],
    data: JSONBody[NewMove],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> LookView:
    """Shows what a move would change for everybody concerned, and changes nothing."""
    link = await moves.link_of(session, link_id)
    concerned = [link.person_id] + ([data.to_id] if data.to_id is not None else [])
    deed = partial(moves.move, session, vault, settings, caller, link_id, to=data.to_id, now=now)
    return _look(await service.look(session, concerned, deed))


@post(
    "/link-moves/{move_id:uuid}/undo",
    operation_id="undoMove",
    status_code=200,
    responses=problems(400, 401, 403, 404, 409),
)
async def undo_move(
    *,
    move_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> MoveView:
    """The number means again whom it meant before."""
    return MoveView.model_validate(await moves.undo(session, vault, settings, caller, move_id, now=now))


# ---- who acts for whom ----


@post("/guardianships", operation_id="makeGuardian", responses=problems(400, 401, 403, 404, 422))
async def make_guardian(
    data: JSONBody[NewGuardianship],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
    today: NamedDependency[date],
) -> GuardianshipView:
    """Lets somebody act for somebody else until a day; for a child, until the day before the 18th birthday at most."""
    row = await guardians.make(
        session,
        caller,
        data.guardian_id,
        data.child_id,
        since=data.since or today,
        until=data.until,
        today=today,
        now=now,
    )
    return GuardianshipView.model_validate(row)


router = Router(
    "/v1",
    route_handlers=[
        list_reviews,
        show_review,
        link_review,
        make_known,
        put_off,
        dismiss_review,
        merge_persons,
        look_at_merge,
        undo_merge,
        show_connections,
        move_link,
        look_at_move,
        undo_move,
        make_guardian,
    ],
    guards=[allow(Role.CASE_WORKER)],
    tags=["who is who"],
)
