"""What goes wrong on a page is told in the reader's words; programs get the same document as ever."""

import re

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.pages import LANGUAGES, PROBLEMS, texts

Browser = AsyncTestClient[Litestar]
READS = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("language", "heading"),
    [
        ("de", "Bitte melden Sie sich an"),
        ("de-simple", "Bitte melden Sie sich an"),
        ("en", "Please sign in"),
    ],
)
async def test_whoever_was_signed_out_meanwhile_reads_so_and_can_sign_in(
    client: Browser, language: str, heading: str
) -> None:
    path = f"/card/messages/0199f6a2-6d3e-7c11-9a55-3c1f0a7b9d21/read?lang={language}"
    answer = await client.post(path, headers=READS)
    assert answer.status_code == 401
    assert f"<h1>{heading}</h1>" in answer.text
    assert f'href="/login?return_to=/card%3Flang={language}"' in answer.text


async def test_a_page_that_is_not_there_leads_back_to_the_start(client: Browser) -> None:
    answer = await client.get("/kartee?lang=en", headers=READS)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no such page" in answer.text
    assert 'href="/?lang=en"' in answer.text
    assert "kartee" not in answer.text


async def test_whoever_tries_too_often_reads_how_long_to_wait(client: Browser) -> None:
    for _ in range(40):
        answer = await client.get("/login/callback?lang=de", headers=READS, follow_redirects=False)
        if answer.status_code == 429:
            break
    assert answer.status_code == 429
    assert re.search(r"So viele Minuten dauert die Pause höchstens: \d+<", answer.text)
    assert "Retry-After" in answer.headers


@pytest.mark.parametrize(
    ("path", "accept"), [("/kartee", "*/*"), ("/kartee", "application/json"), ("/v1/kartee", READS["Accept"])]
)
async def test_programs_get_a_problem_document(client: Browser, path: str, accept: str) -> None:
    answer = await client.get(path, headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:citycard:problem:not-found"


def test_every_problem_has_its_words_in_every_language() -> None:
    assert len({frozenset(texts(PROBLEMS)[language]) for language in LANGUAGES}) == 1
