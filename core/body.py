"""Reads what a request brings as JSON, and says what is wrong with a body that is none."""

import re
from typing import Any

from litestar import Request
from litestar.exceptions import SerializationException

from core.errors import BadRequest


class NotJson(BadRequest):
    """The body is no JSON."""

    slug, title = "not-json", "The body cannot be read as JSON"


# What the parser says, and what we say of it: in words of our own, since a parser's may change or show the input.
_WHY = (
    ("truncated", "it breaks off before its end"),
    ("trailing characters", "something follows after its end"),
    ("out of range", "a number in it is beyond all measure"),
)
_AT = re.compile(r"\(byte (\d+)\)$")


class Asked(Request[Any, Any, Any]):
    """A request whose body is JSON or a problem that says why not; what stands in it is never repeated."""

    async def json(self) -> Any:
        """The body as JSON; NotJson where it is none, whatever else it may be."""
        try:
            return await super().json()
        except UnicodeDecodeError:
            raise NotJson("it is not UTF-8") from None
        except RecursionError:
            raise NotJson("it is nested too deep") from None
        except SerializationException as error:
            raise NotJson(self._why(str(error))) from None

    def _why(self, said: str) -> str:
        media = self.content_type[0]
        if media and media != "application/json" and not media.endswith("+json"):
            return "send application/json, and say so in Content-Type"
        if self.headers.get("content-encoding", "identity").lower() != "identity":
            return "send it as it is, without a Content-Encoding"
        why = next((ours for theirs, ours in _WHY if theirs in said), "it breaks the rules of JSON")
        at = _AT.search(said)
        return f"{why}, at byte {at[1]}" if at else why
