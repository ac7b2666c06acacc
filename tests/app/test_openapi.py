"""openapi.yaml says what the application says."""

import yaml

from app.cli.running import OPENAPI, openapi_text


def test_the_committed_description_is_true() -> None:
    committed = OPENAPI.read_text(encoding="utf-8")
    assert yaml.safe_load(committed) == yaml.safe_load(openapi_text()), (
        "run `make schema` and read the difference"
    )
    assert committed == openapi_text()


def test_the_description_is_openapi_3_1() -> None:
    description = yaml.safe_load(openapi_text())
    assert description["openapi"].startswith("3.1")
    assert description["info"]["title"] == "citycard"
