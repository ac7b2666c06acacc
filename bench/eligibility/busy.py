"""How long processors were busy: this process, and a PostgreSQL server with everything it started (Linux)."""

import os
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def busy(server: Path | None) -> float:
    """Seconds so far; `server` is the folder of a PostgreSQL server's data, if there is one."""
    return time.process_time() + (_of_server(server) if server is not None else 0.0)


def _of_server(folder: Path) -> float:
    first = int((folder / "postmaster.pid").read_text().split("\n", 1)[0])
    ticks = 0
    for place in Path("/proc").glob("[0-9]*"):
        try:
            said = (place / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # It ended between the two looks.
        if int(place.name) == first:
            # With those of its children that have ended.
            ticks += sum(map(int, said[11:15]))
        elif int(said[1]) == first:
            ticks += sum(map(int, said[11:13]))
    return ticks / _TICKS
