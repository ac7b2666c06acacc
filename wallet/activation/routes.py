"""The doors for codes that tie an account to a person."""

from datetime import date, datetime, timedelta
from uuid import UUID

from litestar import Router, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from core.access.rules import Caller, Role, allow
from core.errors import problems
from core.limits.rules import Limit
from core.limits.service import limited
from core.settings import Settings
from core.vault import Vault
from entitlements.people.schemas import PersonsView
from entitlements.people.whose import persons_of
from wallet.activation import service
from wallet.activation.schemas import Activation, ActivationCodeView, NewGuardianCode

TRIES = limited("activation", Limit(5, timedelta(hours=1)))
"""Whoever guesses must wait: five tries an hour and account, by whichever door."""


@post(
    "/me/activation",
    operation_id="activateLogin",
    status_code=200,
    guards=[allow(Role.CITIZEN, Role.GUARDIAN), TRIES],
    responses=problems(400, 401, 403, 409, 422, 429),
)
async def activate(
    *,
    data: JSONBody[Activation],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    today: NamedDependency[date],
    now: NamedDependency[datetime],
) -> PersonsView:
    """Makes the caller's login the person for whom a one-time code was made, or their guardian; five tries an hour.

    Says who the caller is from now on, and for whom they may act.
    """
    own = await service.take(session, vault, settings, caller, data.code, today=today, now=now)
    return await persons_of(session, vault, own, today)


@post(
    "/people/{person_id:uuid}/activation-codes",
    operation_id="makeActivationCode",
    guards=[allow(Role.CASE_WORKER)],
    responses=problems(400, 401, 403, 404),
)
async def make_activation_code(
    *,
    person_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    today: NamedDependency[date],
    now: NamedDependency[datetime],
) -> ActivationCodeView:
    """A one-time code for somebody at the desk or by letter, good for 30 days; codes made earlier end with it."""
    given = await service.give(session, vault, settings, caller, person_id, today=today, now=now)
    return ActivationCodeView.model_validate(given)


@post(
    "/people/{person_id:uuid}/guardian-codes",
    operation_id="makeGuardianCode",
    guards=[allow(Role.CASE_WORKER)],
    responses=problems(400, 401, 403, 404, 422),
)
async def make_guardian_code(
    *,
    person_id: FromPath[UUID],
    data: JSONBody[NewGuardianCode],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    today: NamedDependency[date],
    now: NamedDependency[datetime],
) -> ActivationCodeView:
    """A one-time code for somebody who may act for this person: whoever signs in and enters it does from then on."""
    given = await service.give(
        session, vault, settings, caller, person_id, until=data.until, today=today, now=now
    )
    return ActivationCodeView.model_validate(given)


router = Router("/v1", route_handlers=[activate, make_activation_code, make_guardian_code], tags=["people"])
