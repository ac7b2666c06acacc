"""What time it is for a device: the server's as last heard, carried on by a counter that nobody can set."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from app.walk.keeping import Drawer
from core.clock import Clock

CLOCK = "clock"

Ticks = Callable[[], tuple[str, float]]
"""Since when the machine runs, as a word that changes with each start, and for how many seconds."""


def machine_ticks() -> tuple[str, float]:
    """The machine's own counter: it goes on while it sleeps, and setting the clock does not move it."""
    counter = getattr(time, "CLOCK_BOOTTIME", None)
    seconds = time.monotonic() if counter is None else time.clock_gettime(counter)
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(), seconds
    except OSError:
        # Nothing tells this start from another one: the counter is of no use beyond this process.
        return "", seconds


class Timekeeper:
    """Keeps when the server last said what time it was."""

    def __init__(self, drawer: Drawer, clock: Clock, ticks: Ticks = machine_ticks) -> None:
        self._drawer, self._clock, self._ticks = drawer, clock, ticks

    def learn(self, server: datetime) -> None:
        """Takes the server's time in."""
        start, seconds = self._ticks()
        self._drawer.write(
            CLOCK,
            {
                "server": server.isoformat(),
                "here": self._clock.now().isoformat(),
                "start": start,
                "seconds": seconds,
            },
        )

    def read(self) -> datetime:
        """The time as far as it is known: by the counter within one start of the machine, else by its clock.

        A clock that was wrong when the server was asked stays corrected by as much; one that nobody ever asked about
        is taken as it is.
        """
        kept: dict[str, Any] = self._drawer.read(CLOCK)
        if not kept:
            return self._clock.now()
        server, here = (datetime.fromisoformat(kept[name]) for name in ("server", "here"))
        start, seconds = self._ticks()
        if start and start == kept["start"] and seconds >= kept["seconds"]:
            return server + timedelta(seconds=seconds - kept["seconds"])
        return self._clock.now() + (server - here)

    def floor(self) -> datetime | None:
        """The newest time that the server has said; earlier it cannot be."""
        kept = self._drawer.read(CLOCK)
        return datetime.fromisoformat(kept["server"]) if kept else None
