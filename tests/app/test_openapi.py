"""openapi.yaml says what the application says."""

import json
import os
import subprocess
import sys

import yaml
from litestar import Litestar
from litestar.testing import AsyncTestClient

from app.cli.running import OPENAPI, openapi_text


def test_the_committed_description_is_true() -> None:
    committed = OPENAPI.read_text(encoding="utf-8")
    assert yaml.safe_load(committed) == yaml.safe_load(openapi_text()), (
        "run `make schema` and read the difference"
    )
    assert committed == openapi_text()


async def test_the_served_description_says_the_same(client: AsyncTestClient[Litestar]) -> None:
    committed = yaml.safe_load(OPENAPI.read_text(encoding="utf-8"))
    for name, read in (("openapi.json", json.loads), ("openapi.yaml", yaml.safe_load)):
        served = read((await client.get(f"/schema/{name}")).text)
        assert served["components"]["schemas"] == committed["components"]["schemas"]


def test_the_description_is_openapi_3_1() -> None:
    description = yaml.safe_load(openapi_text())
    assert description["openapi"].startswith("3.1")
    assert description["info"]["title"] == "citycard"


def test_the_description_is_the_same_in_every_process() -> None:
    """A field's own words on an enum would land in the shared component, by chance of order."""
    made = {
        subprocess.run(
            [
                sys.executable,
                "-W",
                "ignore",
                "-c",
                "from app.cli.running import openapi_text; print(openapi_text())",
            ],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(made) == 1
