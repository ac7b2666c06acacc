"""What goes over the wire can be read along, problems have words, and secrets stay out of sight."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from app.walk.wire import Refused, Unreachable, Wire
from core.clock import FixedClock
from tests.conftest import NOON

Answering = Callable[[httpx.Request], httpx.Response]


def wire(answering: Answering, seen: list[str] | None = None) -> Wire:
    return Wire(
        "http://city.example",
        show=None if seen is None else seen.append,
        clock=FixedClock(NOON),
        transport=httpx.MockTransport(answering),
    )


def test_a_problem_is_told_by_its_title_and_detail() -> None:
    problem = {
        "type": "urn:citycard:problem:nothing-held",
        "title": "There is nothing",
        "status": 409,
        "detail": "not today",
    }
    with pytest.raises(Refused, match="409: There is nothing – not today") as refused:
        wire(lambda _request: httpx.Response(409, json=problem)).get("/v1/card")
    assert refused.value.slug == "nothing-held"


def test_an_answer_that_is_no_problem_document_is_told_all_the_same() -> None:
    with pytest.raises(Refused, match="502: Bad Gateway"):
        wire(lambda _request: httpx.Response(502, text="<html>")).get("/")


def test_a_server_that_is_away_is_unreachable() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(Unreachable, match=r"city\.example"):
        wire(away).get("/")


def test_the_servers_time_is_asked_once_and_then_carried_on() -> None:
    asked = []

    def clock(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"now": "2026-10-16T10:00:00Z", "unix": 1792144800})

    line = wire(clock)
    assert line.now() == datetime(2026, 10, 16, 10, tzinfo=UTC)
    line.clock.forward(timedelta(minutes=5))  # type: ignore[attr-defined]
    assert line.now() == datetime(2026, 10, 16, 10, 5, tzinfo=UTC)
    assert len(asked) == 1


SECRET = "s3cr3t-and-longer-than-any-beginning-that-is-shown"


@pytest.mark.parametrize(
    "sending",
    [
        lambda line: line.ask("GET", "/", headers={"Authorization": f"Bearer {'x' * 30}{SECRET}"}),
        lambda line: line.ask("POST", "/", form={"password": SECRET, "account": "anna"}),
        lambda line: line.ask("POST", "/", form={"client_assertion": SECRET}),
        lambda line: line.ask("GET", f"/back?code={SECRET}&state=1"),
        lambda line: line.post("/", {"proof": SECRET}),
    ],
    ids=["bearer", "password", "assertion", "code", "proof"],
)
def test_secrets_are_shown_by_their_beginning_at_most(sending: Callable[[Wire], object]) -> None:
    seen: list[str] = []
    tokens = {"access_token": SECRET, "expires_in": 60}
    sending(wire(lambda _request: httpx.Response(200, json=tokens), seen))
    told = "\n".join(seen)
    assert SECRET not in told
    assert "> " in told
    assert "< 200 OK" in told
    assert '"expires_in": 60' in told
