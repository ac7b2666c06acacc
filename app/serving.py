"""One server process: uvicorn with the faster loop and parser, and no line of log about who asked for what."""

import asyncio
import gc
import socket

import uvicorn
from litestar import Litestar


def config(application: Litestar, host: str, port: int) -> uvicorn.Config:
    """How the application is served; access logs stay off, since a log of visits is a record of people."""
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        http="httptools",
        loop="auto",
        access_log=False,
        server_header=False,
        date_header=True,
        log_level="warning",
        proxy_headers=False,
        # Longer than proxies (nginx: 60 s) and wallets keep a connection that rests: who closes first must be they, or
        # a request meets a closed door and is answered by 502.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )


class NobodyListens(Exception):
    """Where it was to be served nobody may listen, or there is no such place."""


def listening(host: str, port: int) -> socket.socket:
    """A socket for this place, which it shares with other such processes; NobodyListens where there can be none."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise NobodyListens(f"{host}:{port}: {error.strerror or error}") from None
    return listener


def settle_in() -> None:
    """What stands at the start stays: the collector looks only at what comes after (measured: 2 µs a loaded fact)."""
    gc.collect()
    gc.freeze()


def serve_forever(application: Litestar, host: str, port: int) -> None:
    """Serves until told to stop; several such processes share one port (SO_REUSEPORT), the kernel deals out."""
    served = config(application, host, port)
    # uvicorn's own choice of a loop counts only where uvicorn starts it.
    with asyncio.Runner(loop_factory=served.get_loop_factory()) as runner:
        runner.run(_serve(served))


async def _serve(served: uvicorn.Config) -> None:
    with listening(served.host, served.port) as listener:
        settle_in()
        try:
            await uvicorn.Server(served).serve(sockets=[listener])
        finally:
            # Bindings to C++ count at the very end what is left of them, and would complain to whoever stops it.
            gc.unfreeze()
