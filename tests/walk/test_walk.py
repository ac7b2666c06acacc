"""The whole story, played against a real server, and every step of it by hand."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import httpx

from app.walk.machine import ClientFile
from tests.walk.conftest import Served

STEPS = 20


def told(output: str) -> list[str]:
    """The titles of the steps, each of which must have its tick before the next begins."""
    return re.findall(r"^ ?\d+\. (.+?)\n(?:(?!^ ?\d+\. )[\s\S])*?    ✓ ", output, re.MULTILINE)


def test_the_walk_happens_and_can_be_told_again(server: Served) -> None:
    clients = ("--clients", str(server.folder / "clients"))
    first = server.terminal("walk", *clients)
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr
    assert len(told(first.stdout)) == STEPS
    for promise in (
        "eine Familie zieht zu",
        "Grundsicherungsgeld",
        "Ohne Antrag",
        "Postfach",
        "auf das Telefon",
        "gezeigt, gelesen und im Nordbad angenommen",
        "Bildschirmfoto",
        "Zum zweiten Mal",
        "Derselbe Code",
        "ohne Netz",
        "Teilhabegeld",
        "gedruckte Karte",
        "Nachricht kommt vor der Wirkung",
        "abgelehnt, mit dem Grund",
        "Revision",
    ):
        assert any(promise in step for step in told(first.stdout)), promise
    assert "▀" in first.stdout, "the code is drawn"

    again = server.run("walk", "--lang", "en", *clients)
    assert again.exit_code == 0, again.stdout[-3000:] + again.stderr
    assert len(told(again.stdout)) == STEPS
    assert "All 20 steps happened." in again.stdout


def test_a_step_that_does_not_happen_is_named(server: Served, tmp_path: Path) -> None:
    """The Jobcenter with another department's key: its facts are not in that department's remit."""
    clients = tmp_path / "clients"
    shutil.copytree(server.folder / "clients", clients)
    shutil.copy(clients / "school.json", clients / "jobcenter.json")
    walk = server.run("walk", "--clients", str(clients))
    assert walk.exit_code == 1
    assert "✗ 3." in walk.stderr
    assert len(told(walk.stdout)) == 2


def test_nobody_answering_is_said_in_words(server: Served, tmp_path: Path) -> None:
    walk = server.run("walk", "--url", "http://localhost:9", "--clients", str(server.folder / "clients"))
    assert walk.exit_code == 1
    assert "✗ 1." in walk.stderr
    assert "citycard demo" in walk.stderr
    assert server.run("phone", "login", "--as", "familie", "--url", "http://localhost:9").exit_code == 3


def test_by_hand_with_phone_and_scanner(server: Served, tmp_path: Path) -> None:
    def citycard(*words: str, code: int = 0, stdin: str = "") -> str:
        done = server.run(*words, home=tmp_path, stdin=stdin)
        assert done.exit_code == code, (words, done.stdout, done.stderr)
        return done.stdout

    manager = {"Authorization": f"Bearer {citycard('login', '--as', 'partner').strip()}"}
    venues: list[dict[str, Any]] = httpx.get(f"{server.url}/v1/venues").json()
    pool = next(venue for venue in venues if venue["name"] == "Nordbad")
    invited = httpx.post(f"{server.url}/v1/venues/{pool['id']}/scanner-codes", headers=manager)
    citycard("scanner", "enrol", invited.json()["code"])

    # Without a sign-in, a card or a check there is nothing to go on with, and the way is named.
    assert "phone login" in server.run("phone", "card", home=tmp_path).stderr
    citycard("phone", "login", "--as", "familie", "--password", "wrong", code=3)
    citycard("phone", "login", "--as", "familie")
    citycard("phone", "show", code=3)
    citycard("phone", "enrol")
    citycard("phone", "top-up", "--count", "5")
    card = citycard("phone", "card")
    assert "Dortmund-Karte" in card
    assert "Grundsicherungsgeld" in card

    picture = tmp_path / "code.png"
    assert "▀" in citycard("phone", "show", "--png", str(picture))
    accepted = citycard("scanner", "check", "--png", str(picture))
    assert "Gültig" in accepted
    assert "2,00 Euro" in accepted
    assert "Eingelöst" in citycard("scanner", "redeem", "1")
    assert "replayed" in citycard("scanner", "check", "--png", str(picture), code=1)
    citycard("scanner", "check", "--text", "https://example.org/", code=1)
    citycard("scanner", "check", code=3)

    citycard("scanner", "check", "--offline", "-", code=3, stdin="x")
    citycard("scanner", "bundle")
    text = citycard("phone", "show", "--text").strip()
    assert "Gültig" in citycard("scanner", "check", "--offline", "-", stdin=text)
    assert "replayed" in citycard("scanner", "check", "--offline", "--text", text, code=1)
    text = citycard("phone", "show", "--text").strip()
    assert "Gültig" in citycard("scanner", "check", "--text", text)
    assert "replayed" in citycard("scanner", "check", "--offline", "--text", text, code=1)

    child = re.search(r"für: (\S+) \(", citycard("phone", "persons"))
    assert child is not None
    citycard("phone", "top-up", "--for", child[1], "--count", "1")
    assert "0,50 Euro" in citycard(
        "scanner", "check", "-", stdin=citycard("phone", "show", "--for", child[1], "--text")
    )
    assert "15,00 €" in citycard("phone", "card", "--for", child[1])
    citycard("phone", "card", "--for", "Niemand", code=3)
    assert f"{child[1]} – Bildungskarte" in citycard("phone", "inbox")
    assert "gilt nicht" in server.run("phone", "activate", "K7QX-9M2R-TT4W", home=tmp_path).stderr


def test_a_departments_token_and_delivery_by_hand(server: Served, tmp_path: Path) -> None:
    client = str(server.folder / "clients" / "familienkasse.json")
    token = server.run("token", "--client", client).stdout.strip()
    me = httpx.get(f"{server.url}/v1/me", headers={"Authorization": f"Bearer {token}"}).json()
    assert me["kind"] == "register"

    rows = tmp_path / "rows.ndjson"
    rows.write_text('{"row": "fact", "number": "FK-nobody", "fact": "kindergeld", "value": true}\n')
    delivered = server.run("deliver", "--client", client, "--name", "by-hand", str(rows))
    assert delivered.exit_code == 0, delivered.stderr
    assert "no-link" in delivered.stdout
    assert "by-hand" in server.run("deliver", "--client", client, "--name", "by-hand", str(rows)).stdout


def test_what_is_sent_can_be_seen_and_secrets_in_it_cannot(server: Served, tmp_path: Path) -> None:
    seen = server.run("phone", "login", "--as", "rente", "--verbose", home=tmp_path).stderr
    assert "> POST /demo/op/token" in seen
    assert "< 200" in seen
    assert "password=demo" not in seen
    kept = json.loads((tmp_path / "phone" / "phone.json").read_text())
    assert kept["access_token"] not in seen
    card = server.run("phone", "card", "--verbose", home=tmp_path).stderr
    assert "> GET /v1/card" in card
    assert kept["access_token"] not in card


def test_keys_can_be_read_by_nobody_else(server: Served, tmp_path: Path) -> None:
    server.run("phone", "login", "--as", "rente", home=tmp_path)
    server.run("phone", "enrol", home=tmp_path)
    for path in [*tmp_path.rglob("*.pem"), *tmp_path.rglob("*.json"), *server.folder.rglob("clients/*.json")]:
        assert path.stat().st_mode & 0o077 == 0, path
    assert ClientFile.read(server.folder / "clients" / "jobcenter.json").client_id.startswith("register-")
