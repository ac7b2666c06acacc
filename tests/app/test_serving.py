"""One server process."""

import asyncio
import sys
from typing import Any

import pytest
import uvicorn
from litestar import Litestar

from app.serving import config, serve_forever


def test_a_resting_connection_is_closed_by_whoever_stands_before_us() -> None:
    assert (
        config(Litestar(openapi_config=None), "127.0.0.1", 0).timeout_keep_alive > 60
    )  # nginx's upstream default


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not run there")
def test_what_serves_runs_on_the_faster_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    loops = list[str]()

    async def serve(_server: uvicorn.Server, sockets: Any) -> None:
        assert sockets[0].getsockname()[1] > 0
        loops.append(type(asyncio.get_running_loop()).__module__)

    monkeypatch.setattr(uvicorn.Server, "serve", serve)
    serve_forever(Litestar(openapi_config=None), "127.0.0.1", 0)
    assert loops == ["uvloop"]
