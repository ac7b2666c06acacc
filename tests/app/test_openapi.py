"""openapi.yaml says what the application says."""

import os
import subprocess
import sys
from typing import Any

import pytest
import yaml
from litestar import Litestar
from litestar.testing import AsyncTestClient

from app.cli.running import OPENAPI, openapi_text


@pytest.fixture(scope="module")
def made() -> str:
    return openapi_text()


@pytest.fixture(scope="module")
def description(made: str) -> dict[str, Any]:
    said: dict[str, Any] = yaml.load(made, yaml.CSafeLoader)
    return said


def test_the_committed_description_is_true(made: str) -> None:
    assert OPENAPI.read_text(encoding="utf-8") == made, "run `make schema` and read the difference"


async def test_the_served_description_says_the_same(
    client: AsyncTestClient[Litestar], description: dict[str, Any]
) -> None:
    for name in ("openapi.json", "openapi.yaml"):  # JSON is YAML
        served = yaml.load((await client.get(f"/schema/{name}")).text, yaml.CSafeLoader)
        assert served["components"]["schemas"] == description["components"]["schemas"]


def test_the_description_is_openapi_3_1(description: dict[str, Any]) -> None:
    assert description["openapi"].startswith("3.1")
    assert description["info"]["title"] == "citycard"


def test_the_description_is_the_same_in_every_process(made: str) -> None:
    """A field's own words on an enum would land in the shared component, by chance of order."""
    elsewhere = {
        subprocess.run(
            [
                sys.executable,
                "-W",
                "ignore",
                "-c",
                "from app.cli.running import openapi_text; print(openapi_text(), end='')",
            ],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout.decode()
        for seed in ("1", "2")
    }
    assert elsewhere == {made}


def test_every_door_that_speaks_to_people_takes_the_same_word_for_the_language(
    description: dict[str, Any],
) -> None:
    operations = [
        one for item in description["paths"].values() for one in item.values() if isinstance(one, dict)
    ]
    asked = {
        operation["operationId"]: {parameter["name"] for parameter in operation.get("parameters", [])}
        for operation in operations
    }
    assert not [name for name, parameters in asked.items() if "language" in parameters]
    for name in (
        "explainDecision",
        "listDecisions",
        "listProgrammes",
        "readCard",
        "readInbox",
        "redeemOffer",
    ):
        assert "lang" in asked[name], name
