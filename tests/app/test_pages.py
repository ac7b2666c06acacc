"""Every page is readable in every language, and asks nobody else for anything."""

import re
from html.parser import HTMLParser

import pytest
import yaml
from litestar import Litestar
from litestar.testing import AsyncTestClient

from app.pages.routes import HERE
from core.pages import LANGUAGES, SHARED

PAGES = ("/", "/api", "/problems")


class Outline(HTMLParser):
    """What a page refers to, and the tags that it leaves open."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.language = ""
        self.headings: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.references += [value for name in ("src", "href", "action") if (value := found.get(name))]
        if tag == "html":
            self.language = found.get("lang") or ""
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))


def outline(html: str) -> Outline:
    parser = Outline()
    parser.feed(html)
    return parser


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", PAGES)
async def test_a_page_loads_nothing_from_third_parties(
    client: AsyncTestClient[Litestar], path: str, language: str
) -> None:
    answer = await client.get(path, params={"lang": language})
    assert answer.status_code == 200
    page = outline(answer.text)
    assert page.references
    assert [reference for reference in page.references if "//" in reference] == []
    assert page.language == ("de" if language == "de-simple" else language)
    assert page.headings[0] == 1
    assert all(later - earlier <= 1 for earlier, later in zip(page.headings, page.headings[1:], strict=False))
    assert "<script" not in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", PAGES)
async def test_a_table_that_a_small_screen_cuts_off_is_reached_by_keyboard(
    client: AsyncTestClient[Litestar], path: str
) -> None:
    page = (await client.get(path)).text
    scrolling = re.findall('<[^>]*class="scroll"[^>]*>', page)
    assert page.count("<table") == len(scrolling)
    assert [
        tag for tag in scrolling if 'tabindex="0"' not in tag or not re.search('aria-label="[^"]', tag)
    ] == []


@pytest.mark.parametrize("path", ["/static/citycard.css", "/static/icon.svg", "/schema/openapi.yaml"])
async def test_what_a_page_needs_is_served_here(client: AsyncTestClient[Litestar], path: str) -> None:
    assert (await client.get(path)).status_code == 200


def test_every_text_exists_in_every_language() -> None:
    own = yaml.safe_load((HERE / "texts.yaml").read_text(encoding="utf-8"))
    for catalogue in (own, SHARED):
        assert set(catalogue) == set(LANGUAGES)
        keys = {language: set(found) for language, found in catalogue.items()}
        assert keys["de"] == keys["de-simple"] == keys["en"]
        assert all(text.strip() for found in catalogue.values() for text in found.values())


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("de-DE,en;q=0.5", "de"),
        ("en-GB", "en"),
        ("tr,en;q=0.5", "en"),
        ("tr", "de"),
        ("", "de"),
        ("de-simple", "de"),
    ],
)
async def test_the_reader_is_answered_in_a_language_they_asked_for(
    client: AsyncTestClient[Litestar], asked: str, language: str
) -> None:
    answer = await client.get("/", headers={"Accept-Language": asked})
    assert outline(answer.text).language == language


async def test_who_reads_in_a_language_signs_in_to_a_page_in_it(client: AsyncTestClient[Litestar]) -> None:
    page = (await client.get("/?lang=de-simple")).text
    assert 'href="/login?return_to=/card%3Flang=de-simple"' in page


async def test_the_reference_names_every_operation_of_the_description(
    client: AsyncTestClient[Litestar], application: Litestar
) -> None:
    html = (await client.get("/api")).text
    schema = application.openapi_schema.to_schema()
    names = [
        operation["operationId"]
        for item in schema["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and "operationId" in operation
    ]
    assert names
    assert [name for name in names if f'id="{name}"' not in html] == []


async def test_an_unknown_page_is_a_problem_document_without_the_path(
    client: AsyncTestClient[Litestar],
) -> None:
    answer = await client.get("/nowhere/secret-number?name=secret-name")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["type"] == "urn:citycard:problem:not-found"
    assert "secret" not in answer.text
