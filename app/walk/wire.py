"""Speaks HTTP with a citycard server, and can show every word of it."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx

from core.clock import Clock, SystemClock

SECRETS = frozenset({"authorization", "cookie", "set-cookie", "signature"})
"""Headers whose value is shown by its beginning only."""

_FORM_SECRETS = re.compile(
    r"(password|client_assertion|client_secret|code|code_verifier|refresh_token)=[^&]*"
)
_JSON_SECRETS = re.compile(
    r'"(access_token|id_token|refresh_token|receipt|code|proof|challenge)": ?"([^"]{12})[^"]{12,}"'
)

Show = Callable[[str], None]


class Refused(Exception):
    """The server answered with a problem."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status, self.problem = status, problem
        self.slug = str(problem.get("type", "")).rpartition(":")[2]
        said = [str(problem.get("title") or problem.get("error") or "no explanation")]
        said += [str(problem[name]) for name in ("detail", "error_description") if problem.get(name)]
        super().__init__(f"{status}: {' – '.join(dict.fromkeys(said))}")


class Unreachable(Exception):
    """Nobody answers at the address, or not in time."""


class Wire:
    """Asks one server, one request after the other."""

    def __init__(
        self,
        url: str,
        *,
        show: Show | None = None,
        language: str = "de",
        clock: Clock | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url, self.language = url.rstrip("/"), language
        self.clock = clock or SystemClock()
        self._show = show
        self._client = httpx.Client(
            transport=transport,
            follow_redirects=False,
            headers={"Accept-Language": language, "User-Agent": "citycard-client"},
        )
        self._ahead: timedelta | None = None

    def close(self) -> None:
        self._client.close()

    def ask(
        self,
        method: str,
        target: str,
        *,
        content: Any = None,
        form: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        patience: float = 60,
    ) -> httpx.Response:
        """One request and its answer; `Refused` where the answer is a problem.

        `target` is a path of the server or a whole address; `content` goes as JSON; `patience` is in seconds.
        """
        sent = dict(headers or {})
        if content is not None:
            body = json.dumps(content, ensure_ascii=False).encode()
            sent.setdefault("Content-Type", "application/json")
        url = target if "://" in target else self.url + target
        request = self._client.build_request(
            method,
            url,
            headers=sent,
            timeout=httpx.Timeout(patience, connect=10),
            **({"data": form} if form is not None else {"content": body}),
        )
        if self._show is not None:
            self._show(_told_request(request, self.url))
        try:
            answer = self._client.send(request)
        except httpx.HTTPError as error:
            raise Unreachable(f"{self.url}: {type(error).__name__}") from None
        if self._show is not None:
            self._show(_told_answer(answer))
        if answer.status_code >= 400:
            raise Refused(answer.status_code, _problem(answer))
        return answer

    def get(self, target: str, headers: Mapping[str, str] | None = None) -> Any:
        """What stands there, read as JSON."""
        return self.ask("GET", target, headers=headers).json()

    def post(self, target: str, content: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """What a JSON document that is sent there brings back; None for an empty answer."""
        answer = self.ask("POST", target, content=content, headers=headers)
        return answer.json() if answer.content else None

    def now(self) -> datetime:
        """The server's time, asked once and then carried on by our own clock."""
        if self._ahead is None:
            self.ask_time()
        assert self._ahead is not None
        return self.clock.now() + self._ahead

    def ask_time(self) -> timedelta:
        """Asks what time it is at the server, and gives by how much our own clock is behind."""
        before = self.clock.now()
        answer = self.ask("GET", "/v1/time").json()
        after = self.clock.now()
        # The answer was made somewhere between the two; the middle is off by half the way at most.
        self._ahead = datetime.fromisoformat(answer["now"]) - (before + (after - before) / 2)
        return self._ahead


def _problem(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {"title": answer.reason_phrase}
    return said if isinstance(said, dict) else {"title": answer.reason_phrase}


def _told_request(request: httpx.Request, home: str) -> str:
    target = str(request.url)
    lines = [f"> {request.method} {_shortened(target.removeprefix(home))}"]
    dull = {"host", "accept", "accept-encoding", "connection", "user-agent", "content-length"}
    for name, value in request.headers.raw:
        if name.decode().lower() not in dull:
            lines.append(f"> {name.decode()}: {_shown(name.decode().lower(), value.decode())}")
    body = request.content
    return "\n".join([*lines, *_body(">", body, request.headers.get("content-type", ""))])


def _told_answer(answer: httpx.Response) -> str:
    lines = [f"< {answer.status_code} {answer.reason_phrase}"]
    for name in ("content-type", "location", "set-cookie", "etag", "idempotency-replayed"):
        if name in answer.headers:
            lines.append(f"< {name.title()}: {_shown(name, _shortened(answer.headers[name]))}")
    return "\n".join([*lines, *_body("<", answer.content, answer.headers.get("content-type", "")), ""])


def _shown(name: str, value: str) -> str:
    return f"{value[:24]}…" if name in SECRETS and len(value) > 24 else value


def _shortened(text: str) -> str:
    return _FORM_SECRETS.sub(lambda found: f"{found[1]}=…", text)


def _body(mark: str, body: bytes, kind: str) -> list[str]:
    if not body:
        return []
    if "json" in kind and "ndjson" not in kind:
        try:
            text = json.dumps(json.loads(body), ensure_ascii=False, indent=2)
        except ValueError:
            text = body.decode("utf-8", "replace")
        text = _JSON_SECRETS.sub(r'"\1": "\2…"', text)
    elif "form-urlencoded" in kind:
        text = _shortened(body.decode())
    elif kind.startswith(("text/", "application/x-ndjson")) or "ndjson" in kind:
        text = body.decode("utf-8", "replace")
    else:
        return [mark, f"{mark} ({len(body)} bytes of {kind or 'something'})"]
    lines = text.splitlines()
    if len(lines) > 60:
        lines = [*lines[:60], f"… ({len(lines) - 60} more lines)"]
    return [mark, *(f"{mark} {line[:400]}" for line in lines)]
