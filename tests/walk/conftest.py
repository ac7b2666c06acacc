"""A real demo in a process of its own: migrated, filled with a small city, served on a free port."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from app.cli import main
from tests.databases import Postgres

PERSONS = 150
START = 240.0
"""Seconds that a small city may take to stand and answer, on a machine that is busy with other tests."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running demo, and how to run commands beside it."""

    url: str
    folder: Path

    def run(self, *words: str, home: Path | None = None, stdin: str = "") -> Result:
        """Does what `citycard …` does, in this process: it need not be loaded anew for each command."""
        environment = {"CITYCARD_URL": self.url, "CITYCARD_HOME": str(home or self.folder / "nobody")}
        return CliRunner().invoke(main, words, input=stdin, env=environment)

    def terminal(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs `citycard …` as somebody at a terminal would."""
        environment = {**os.environ, "CITYCARD_URL": self.url}
        return subprocess.run(
            command(*words), capture_output=True, text=True, timeout=600, check=False, env=environment
        )


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", "from app.cli import main; main()", *words]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`citycard demo` itself, on either database; it migrates, fills and serves as `make demo` does."""
    folder, port = tmp_path_factory.mktemp("demo"), _free_port()
    words = ["demo", "--port", str(port), "--folder", str(folder), "--persons", str(PERSONS)]
    with ExitStack() as stack:
        if request.param == "postgres":
            postgres: Postgres = request.getfixturevalue("postgres")
            words += ["--database-url", stack.enter_context(postgres.blank())]
        log = stack.enter_context((folder / "log").open("wb"))
        process = subprocess.Popen(command(*words), stdout=log, stderr=subprocess.STDOUT)
        try:
            served = Served(f"http://localhost:{port}", folder)
            _wait(process, served, folder / "log")
            yield served
        finally:
            process.terminate()
            process.wait(30)


def _wait(process: subprocess.Popen[bytes], served: Served, log: Path) -> None:
    until = time.monotonic() + START
    while time.monotonic() < until:
        if process.poll() is not None:
            pytest.fail(f"the demo did not start:\n{log.read_text()[-4000:]}")
        try:
            httpx.get(f"{served.url}/v1/time", timeout=2)
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"the demo does not answer:\n{log.read_text()[-4000:]}")
