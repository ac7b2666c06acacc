"""In which language somebody is answered."""

import pytest
from litestar import Litestar, MediaType, Request, get
from litestar.di import NamedDependency, Provide
from litestar.testing import AsyncTestClient

from core.access.rules import anyone
from core.languages import Language, language_of, preferred, provide_language


@get("/door", guards=[anyone], media_type=MediaType.TEXT)
async def door(language: NamedDependency[Language]) -> str:
    return language


@get("/page", guards=[anyone], media_type=MediaType.TEXT)
async def page(request: Request[None, None, None]) -> str:
    return language_of(request)


def make_application() -> Litestar:
    return Litestar([door, page], dependencies={"language": Provide(provide_language, sync_to_thread=False)})


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, Language.DE),
        ("", Language.DE),
        ("en", Language.EN),
        ("en-US,en;q=0.9,de;q=0.8", Language.EN),
        ("de-DE", Language.DE),
        ("de-simple", Language.DE_SIMPLE),
        ("DE-Simple-DE", Language.DE_SIMPLE),
        ("de-DE-simple", Language.DE_SIMPLE),
        ("tr, uk;q=0.9", Language.DE),
        ("fr,en", Language.EN),
        ("de;q=0.2, en;q=0.7", Language.EN),
        ("en;q=0, de-simple;q=0.1", Language.DE_SIMPLE),
        ("en;q=nan, en;q=x, de-simple; q=0.1", Language.DE_SIMPLE),
        ("en-simple", Language.EN),
        (";;,,q", Language.DE),
    ],
)
def test_what_is_liked_best_of_our_languages_is_taken(header: str | None, language: Language) -> None:
    assert preferred(header) is language


@pytest.mark.parametrize("path", ["/door", "/page"])
@pytest.mark.parametrize(
    ("query", "header", "language"),
    [
        ("", "en-GB,de;q=0.5", "en"),
        ("", "", "de"),
        ("?lang=de-simple", "en", "de-simple"),
        ("?language=en", "de-simple", "de-simple"),
    ],
)
async def test_pages_and_doors_take_the_same_word_and_the_same_header(
    path: str, query: str, header: str, language: str
) -> None:
    async with AsyncTestClient(make_application()) as client:
        answer = await client.get(path + query, headers={"Accept-Language": header})
    assert (answer.status_code, answer.text) == (200, language)


async def test_a_door_refuses_a_language_that_we_do_not_speak_and_a_page_goes_on() -> None:
    async with AsyncTestClient(make_application()) as client:
        assert (await client.get("/door?lang=tlh")).status_code == 400
        assert (await client.get("/page?lang=tlh")).text == "de"
