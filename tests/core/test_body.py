"""Whoever sends what cannot be read hears what is wrong with it, and never sees it again."""

from enum import StrEnum
from typing import Annotated, Any

import pytest
from litestar import Router, get, post
from litestar.params import FromQuery, JSONBody, QueryParameter
from litestar.testing import AsyncTestClient

from app.application import House
from core.access.rules import anyone
from core.schema import Schema
from tests.makers import house_with

SECRET = "Yildiz"


class Mood(StrEnum):
    GOOD = "good"


class Wish(Schema):
    data: str = ""
    word: str = ""


@post("/wishes", status_code=200)
async def wish(data: JSONBody[Wish]) -> Wish:
    return data


@get("/moods")
async def moods(mood: FromQuery[Mood], since: Annotated[int, QueryParameter(name="from", ge=1)] = 1) -> str:
    return f"{mood} {since}"


@pytest.fixture(scope="module")
def house() -> House:
    return house_with(
        Router("/", route_handlers=[wish, moods], guards=[anyone], request_max_body_size=200_000)
    )


async def said(
    client: AsyncTestClient[Any], body: bytes, media: str | None = "application/json", **headers: str
) -> dict[str, Any]:
    sent = headers if media is None else {"Content-Type": media, **headers}
    answer = await client.post("/wishes", content=body, headers=sent)
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    assert SECRET not in answer.text
    return problem


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"word": "Yildiz', "it breaks off before its end"),
        (b'{"word": Yildiz}', "it breaks the rules of JSON, at byte 9"),
        (b'{"word": "Yildiz",}', "it breaks the rules of JSON, at byte 18"),
        (b'{"word": NaN}', "it breaks the rules of JSON, at byte 9"),
        (b'{"word": "Yildiz"} {}', "something follows after its end, at byte 20"),
        (b'{"word": 1e999}', "a number in it is beyond all measure"),
        (b'{"word": "Yildiz\xff\xfe"}', "it is not UTF-8"),
        (b'{"\xffYildiz": 1}', "it is not UTF-8"),
        ("{}".encode("utf-16"), "it breaks the rules of JSON, at byte 0"),
        (b'{"word": "Yildiz\\ud800"}', "it breaks"),
        (b"[" * 50_000 + b"]" * 50_000, "it is nested too deep"),
        (b'{"word":' * 20_000, "it is nested too deep"),
    ],
)
async def test_what_is_no_json_is_told_so_with_its_place(
    client: AsyncTestClient[Any], body: bytes, why: str
) -> None:
    problem = await said(client, body)
    assert (problem["status"], problem["type"]) == (400, "urn:citycard:problem:not-json")
    assert problem["title"] == "The body cannot be read as JSON"
    assert problem["detail"].startswith(why)


@pytest.mark.parametrize(
    "media",
    ["application/x-www-form-urlencoded", "text/csv; charset=utf-8", "multipart/form-data; boundary=x"],
)
async def test_another_kind_of_body_is_told_what_is_taken(client: AsyncTestClient[Any], media: str) -> None:
    problem = await said(client, b"word=Yildiz", media)
    assert (problem["status"], problem["type"]) == (400, "urn:citycard:problem:not-json")
    assert problem["detail"] == "send application/json, and say so in Content-Type"


async def test_a_packed_body_is_told_to_come_as_it_is(client: AsyncTestClient[Any]) -> None:
    problem = await said(client, b"\x1f\x8b\x08Yildiz", **{"Content-Encoding": "gzip"})
    assert problem["detail"] == "send it as it is, without a Content-Encoding"


@pytest.mark.parametrize("media", ["application/json", "application/merge-patch+json", "text/plain", None])
async def test_json_is_read_however_it_is_called(client: AsyncTestClient[Any], media: str | None) -> None:
    headers = {} if media is None else {"Content-Type": media}
    answer = await client.post("/wishes", content=b'{"word": "Yildiz"}', headers=headers)
    assert (answer.status_code, answer.json()["word"]) == (200, "Yildiz")


async def test_a_body_that_is_missing_is_called_so(client: AsyncTestClient[Any]) -> None:
    problem = await said(client, b"")
    assert (problem["status"], problem["type"]) == (400, "urn:citycard:problem:invalid-input")
    assert problem["errors"] == [{"at": "", "why": "The body is missing"}]


async def test_a_field_that_is_called_data_is_not_taken_for_the_body(client: AsyncTestClient[Any]) -> None:
    problem = await said(client, b'{"data": 5}')
    assert problem["errors"] == [{"at": "data", "why": "Input should be a valid string"}]


async def test_more_than_is_taken_is_told_how_much_that_is(client: AsyncTestClient[Any]) -> None:
    problem = await said(client, b'"' + b"Yildiz" * 50_000 + b'"')
    assert (problem["status"], problem["type"]) == (413, "urn:citycard:problem:too-large")
    assert problem["detail"] == "at most 200000 bytes are taken here"


async def test_of_very_many_errors_some_are_listed(client: AsyncTestClient[Any]) -> None:
    body = b"{" + b", ".join(b'"x%d": 1' % one for one in range(5000)) + b"}"
    problem = await said(client, body)
    assert len(problem["errors"]) == 100
    long = await said(client, b'{"' + b"x" * 10_000 + b'": 1}')
    assert len(long["errors"][0]["at"]) == 100


async def test_a_word_that_is_missing_or_unknown_in_the_query_is_named_and_not_repeated(
    client: AsyncTestClient[Any],
) -> None:
    missing = (await client.get("/moods")).json()
    assert missing["errors"] == [{"at": "mood", "why": "Field required"}]
    unknown = await client.get("/moods", params={"mood": SECRET})
    assert unknown.status_code == 400
    assert unknown.json()["errors"] == [{"at": "mood", "why": "Not one of the described values"}]


async def test_a_parameter_is_called_as_the_caller_calls_it(client: AsyncTestClient[Any]) -> None:
    problem = (await client.get("/moods", params={"mood": "good", "from": "0"})).json()
    assert [one["at"] for one in problem["errors"]] == ["from"]
