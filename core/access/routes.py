"""The doors where callers become known: sign-in and sign-out, tokens for machines, machine clients."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from litestar import MediaType, Request, Router, delete, get, post
from litestar.datastructures import ResponseHeader, State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Redirect
from sqlalchemy.ext.asyncio import AsyncSession

from core.access import cookies, service, tokens
from core.access.doorkeeper import Doorkeeper, doorkeeper_of
from core.access.oidc import Attempt, Failure, SignInFailed
from core.access.rules import Caller, PrincipalKind, Role, allow, anyone, local_path, signed_in
from core.access.schemas import ClientView, MachineToken, Me, NewClient, NewKey, TokenError
from core.errors import DomainError, Unavailable, problems
from core.headers import PUBLIC_DOCUMENT
from core.http import OutOfReach
from core.idempotency import Answer
from core.jose import TokenRefused, claimed_client, key_set_document, verify_client_assertion
from core.languages import Language, language_of
from core.limits.rules import Limit
from core.limits.service import limited
from core.vault import KeyUse

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class NobodySignsIn(Unavailable):
    """No OpenID provider is configured."""

    slug, title = "no-provider", "Signing in is not set up here"


class LogoutRefused(DomainError):
    """What the provider is said to have reported does not hold; no session was ended."""

    status, slug, title = 400, "logout-token-refused", "The logout token was not accepted"


# ---- people ----


@get(
    "/login",
    operation_id="signIn",
    status_code=303,
    guards=[limited("login", Limit(30, timedelta(minutes=1)))],
    responses=problems(400, 429, 503),
)
async def sign_in(
    request: Request[Any, Any, Any],
    state: State,
    now: NamedDependency[datetime],
    return_to: FromQuery[str | None] = None,
) -> Redirect:
    """Sends the browser to the city's provider; it comes back to `return_to`, a path of this site."""
    keeper = doorkeeper_of(state)
    if keeper.provider is None:
        raise NobodySignsIn
    back = local_path(return_to)
    where, attempt = await keeper.provider.begin(back, now, _languages(request, back))
    begun = cookies.given(keeper.settings, cookies.SIGNING_IN, attempt.sealed(keeper.vault))
    return Redirect(where, status_code=303, cookies=[begun])


def _languages(request: Request[Any, Any, Any], back: str) -> str:
    """The language of the page to come back to, or the browser's; a provider without plain German takes German."""
    chosen = dict(parse_qsl(urlsplit(back).query)).get("lang")
    language = Language(chosen) if chosen in set(Language) else language_of(request)
    return f"{language} {Language.DE}" if language is Language.DE_SIMPLE else language


@get(
    "/login/callback",
    operation_id="completeSignIn",
    status_code=303,
    guards=[limited("login-callback", Limit(30, timedelta(minutes=1)))],
    responses=problems(400, 403, 429, 503),
)
async def complete_sign_in(
    request: Request[Any, Any, Any], state: State, now: NamedDependency[datetime]
) -> Redirect:
    """Where the provider sends the browser back to; opens a session under a new id."""
    keeper = doorkeeper_of(state)
    if keeper.provider is None:
        raise NobodySignsIn
    settings = keeper.settings
    # Each parameter once: of two, we and somebody before us might look at different ones.
    said = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    answer = dict(said)
    begun = request.cookies.get(cookies.name(settings, cookies.SIGNING_IN), "")
    attempt = Attempt.opened(keeper.vault, begun, now)
    if attempt is None or len(answer) != len(said):
        raise SignInFailed(Failure.NOT_BEGUN_HERE)
    who = await keeper.provider.complete(answer, attempt, now)
    token = await keeper.sign_in(who, now, before=_session_of(request))
    return Redirect(
        attempt.return_to,
        status_code=303,
        cookies=[
            cookies.given(settings, cookies.SESSION, token),
            cookies.taken_back(settings, cookies.SIGNING_IN),
        ],
    )


@post("/logout", operation_id="signOut", status_code=303, responses=problems(403))
async def sign_out(request: Request[Any, Any, Any], state: State, now: NamedDependency[datetime]) -> Redirect:
    """Ends the session here, and sends the browser on to end it at the provider."""
    keeper = doorkeeper_of(state)
    session_id = _session_of(request)
    if session_id is not None:
        await keeper.sign_out(session_id, now)
    return Redirect(
        await _farewell(keeper, now) or "/",
        status_code=303,
        cookies=[cookies.taken_back(keeper.settings, cookies.SESSION)],
    )


@post(
    "/logout/backchannel",
    operation_id="endSessionsByProvider",
    status_code=200,
    guards=[limited("logout-backchannel", Limit(600, timedelta(minutes=1)))],
    responses=problems(400, 429, 503),
)
async def end_sessions_by_provider(
    request: Request[Any, Any, Any], state: State, now: NamedDependency[datetime]
) -> Answer:
    """Where the city's provider says, by a signed `logout_token` in a form, that somebody signed out there.

    OpenID Connect Back-Channel Logout 1.0: the sessions of that provider session, or of that subject, end at once.
    """
    keeper = doorkeeper_of(state)
    if keeper.provider is None:
        raise NobodySignsIn
    form = await _form(request)
    if form is None or "logout_token" not in form:
        raise LogoutRefused("the request is a form with one logout_token")
    try:
        said = await keeper.provider.read_logout_token(form["logout_token"], now)
    except TokenRefused as refused:
        raise LogoutRefused(refused.detail) from None
    await keeper.signed_out(said, now)
    return Answer(None, status_code=200, headers={"Cache-Control": "no-store"})


async def _form(request: Request[Any, Any, Any]) -> dict[str, str] | None:
    """A form's fields; None where it is none, or says something twice."""
    if request.content_type[0] != "application/x-www-form-urlencoded":
        return None
    try:
        said = parse_qsl((await request.body()).decode(), strict_parsing=True, max_num_fields=20)
    except ValueError:
        return None
    form = dict(said)
    return form if len(form) == len(said) else None


def _session_of(request: Request[Any, Any, Any]) -> UUID | None:
    caller = request.scope.get("user")
    return caller.session_id if isinstance(caller, Caller) else None


async def _farewell(keeper: Doorkeeper, now: datetime) -> str | None:
    if keeper.provider is None:
        return None
    try:
        return await keeper.provider.farewell(now)
    except OutOfReach:
        # Ours has ended; that the provider is away must not look as if it had not.
        return None


@get("/me", operation_id="whoAmI", responses=problems(401))
async def who_am_i(caller: NamedDependency[Caller]) -> Me:
    """Who the system takes the caller for."""
    return Me(
        principal_id=caller.principal_id,
        kind=caller.kind,
        roles=tuple(sorted(caller.roles)),
        level=caller.level,
    )


# ---- machines ----


def _refused(error: str, description: str, status: int = 400) -> Answer:
    body = TokenError(error=error, error_description=description).model_dump()
    return Answer(body, status_code=status, media_type=MediaType.JSON)


@post(
    "/oauth/token",
    operation_id="issueMachineToken",
    status_code=200,
    guards=[limited("token", Limit(120, timedelta(minutes=1)))],
    responses={
        200: ResponseSpec(MachineToken, description="An access token", generate_examples=False),
        400: ResponseSpec(
            TokenError, description="The request is not as it must be", generate_examples=False
        ),
        401: ResponseSpec(TokenError, description="The assertion was not accepted", generate_examples=False),
        **problems(429),
    },
)
async def issue_machine_token(
    request: Request[Any, Any, Any],
    state: State,
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> Answer:
    """Gives a machine an access token for its signed assertion (client credentials with `private_key_jwt`).

    The form has `grant_type=client_credentials`, `client_assertion_type` and `client_assertion`; the assertion's
    `aud` is this endpoint or the issuer, its `kid` the key's thumbprint, its `jti` good once.
    """
    keeper = doorkeeper_of(state)
    settings = keeper.settings
    form = await _form(request)
    if form is None:
        return _refused("invalid_request", "the request is a form that says each thing once")
    if form.get("grant_type") != "client_credentials":
        return _refused("unsupported_grant_type", "only client_credentials is taken here")
    if form.get("client_assertion_type") != ASSERTION_TYPE or "client_assertion" not in form:
        return _refused("invalid_client", "a client proves itself by private_key_jwt", 401)
    try:
        claimed = claimed_client(form["client_assertion"])
        machine = await service.machine_named(session, claimed)
        if machine is None or form.get("client_id", claimed) != claimed:
            return _refused("invalid_client", "the client is not known", 401)
        assertion = verify_client_assertion(
            form["client_assertion"],
            await service.key_set(session, machine.id),
            client_id=claimed,
            audiences=(settings.public_url, settings.public_url + "/oauth/token"),
            now=now,
        )
    except TokenRefused as refused:
        return _refused("invalid_client", refused.detail or refused.title, 401)
    if not await service.use_assertion(session, machine.id, assertion):
        return _refused("invalid_client", "the assertion was used before", 401)
    lasts = keeper.policy.machine_token_lasts
    token = await tokens.issue_token(keeper.vault, settings, machine, now, lasts)
    given = MachineToken(access_token=token, expires_in=int(lasts.total_seconds()))
    return Answer(given.model_dump(), media_type=MediaType.JSON)


@get(
    "/oauth/jwks",
    operation_id="getTokenKeys",
    opt=PUBLIC_DOCUMENT,
    response_headers=[ResponseHeader(name="Cache-Control", value="public, max-age=300")],
)
async def token_keys(state: State) -> dict[str, Any]:
    """The public keys of our access tokens and of our own assertions at the city's provider."""
    vault = doorkeeper_of(state).vault
    return key_set_document(tokens.published_keys(vault, KeyUse.ACCESS_TOKEN, KeyUse.CLIENT_ASSERTION))


# ---- machine clients ----


@post("/clients", operation_id="registerClient", responses=problems(400, 401, 403, 409, 422))
async def register_client(
    data: JSONBody[NewClient],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> ClientView:
    """Give a department's system or a till access, by its public key."""
    registered = await service.register_client(
        session,
        caller,
        now,
        kind=PrincipalKind(data.kind),
        label=data.label,
        roles=data.roles,
        public_jwk=data.jwk.members(),
    )
    return ClientView.model_validate(registered)


@get("/clients", operation_id="listClients", responses=problems(401, 403))
async def list_clients(session: NamedDependency[AsyncSession]) -> list[ClientView]:
    """Every machine client, oldest first."""
    return [ClientView.model_validate(each) for each in await service.clients(session)]


@get("/clients/{client_id:uuid}", operation_id="getClient", responses=problems(400, 401, 403, 404))
async def get_client(client_id: FromPath[UUID], session: NamedDependency[AsyncSession]) -> ClientView:
    """One machine client with its keys."""
    return ClientView.model_validate(await service.client(session, client_id))


@post(
    "/clients/{client_id:uuid}/keys",
    operation_id="addClientKey",
    responses=problems(400, 401, 403, 404, 409),
)
async def add_client_key(
    client_id: FromPath[UUID],
    data: JSONBody[NewKey],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> ClientView:
    """Give a client one more key, so that it can change keys without a gap."""
    changed = await service.add_client_key(session, caller, client_id, data.jwk.members(), now)
    return ClientView.model_validate(changed)


@delete(
    "/clients/{client_id:uuid}/keys/{thumbprint:str}",
    operation_id="removeClientKey",
    status_code=200,
    responses=problems(400, 401, 403, 404, 409),
)
async def remove_client_key(
    client_id: FromPath[UUID],
    thumbprint: FromPath[str],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> ClientView:
    """Take one of a client's keys away for good."""
    changed = await service.remove_client_key(session, caller, client_id, thumbprint, now)
    return ClientView.model_validate(changed)


@delete(
    "/clients/{client_id:uuid}",
    operation_id="disableClient",
    status_code=200,
    responses=problems(400, 401, 403, 404),
)
async def disable_client(
    client_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    session: NamedDependency[AsyncSession],
    now: NamedDependency[datetime],
) -> ClientView:
    """Let a client in no more; what it did stays on record."""
    return ClientView.model_validate(await service.disable_client(session, caller, client_id, now))


people = Router(
    "/",
    route_handlers=[sign_in, complete_sign_in, sign_out, end_sessions_by_provider],
    guards=[anyone],
    tags=["sign-in"],
)
machines = Router("/", route_handlers=[issue_machine_token, token_keys], guards=[anyone], tags=["machines"])
me = Router("/v1", route_handlers=[who_am_i], guards=[signed_in], tags=["sign-in"])
operators = Router(
    "/v1",
    route_handlers=[
        register_client,
        list_clients,
        get_client,
        add_client_key,
        remove_client_key,
        disable_client,
    ],
    guards=[allow(Role.OPERATOR)],
    tags=["machines"],
)
ROUTERS = [people, machines, me, operators]
