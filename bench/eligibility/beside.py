"""OpenFisca and zen-engine beside us: the same city, the same rules, in an environment of their own."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from entitlements.facts.catalogue import CATALOGUE, HOUSEHOLDS
from entitlements.facts.models import CURRENT
from entitlements.facts.service import silences
from entitlements.language import Kind
from entitlements.registers.service import vouching
from entitlements.rulebook.compiled import compile_book
from entitlements.rulebook.programmes import Rulebook

HERE = Path(__file__).parent / "peers"
PEERS = ("openfisca", "zen")
ASKED = (
    "main_residence",
    "deceased",
    "sgb2",
    "sgb12_hlu",
    "sgb12_gsi",
    "asylblg_2",
    "asylblg_3",
    "sgb8_wjh",
    "kiz",
    "wog",
    "bafoeg",
    "sgb14",
    "elternbeitrag_befreit",
    "kindergeld",
    "kindergeld_recipient",
    "school_stage",
    "school_full_time",
    "training_pay",
    "childcare_enrolment",
    "school_route_m",
    "dangerous_route",
    "nearest_school",
    "school_authority_participates",
    "household_net_income",
    "household_need",
)
"""The facts that the rules look at which are asked of all: everything but learning support and transport."""
GROUNDS = {name: at for at, name in enumerate(("G2", "G12", "GA", "GB_kiz", "GB_wog", "GB_child_wog"), 1)}
TICKETS = {"entitled": 1, "self_payer": 2}


@dataclass(frozen=True, slots=True)
class Beside:
    """How long a peer took, and of how many persons it says something else."""

    peer: str
    build: float
    decide: float
    persons: int
    compared: int
    different: int


def environment(place: Path) -> Path:
    """A Python with the peers in it, made once at this place."""
    python = place / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
    wanted = (HERE / "requirements.txt").read_text()
    done = place / "done.txt"
    if not done.exists() or done.read_text() != wanted:
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]
        subprocess.run([*install, HERE / "requirements.txt"], check=True, capture_output=True)
        done.write_text(wanted)
    return python


async def city(session: AsyncSession) -> tuple[dict[str, Any], set[str]]:
    """Everybody's facts in columns, and the keys of those of whom, or of whose household, one is missing.

    The peers know no missing fact: they are given some value for it, and what they say of these is not compared.
    """
    names = ("person_id", *HOUSEHOLDS, "birth_date", *ASKED)
    rows = await session.execute(select(*(CURRENT.c[name] for name in names)).order_by(CURRENT.c.person_id))
    columns: dict[str, list[Any]] = {
        name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)
    }
    unclear = {
        at for name in ("birth_date", *ASKED) for at, value in enumerate(columns[name]) if value is None
    }
    for kind in HOUSEHOLDS:
        touched = {columns[kind][at] for at in unclear if columns[kind][at] is not None}
        unclear |= {at for at, home in enumerate(columns[kind]) if home in touched}
    said: dict[str, Any] = {"key": [str(key) for key in columns.pop("person_id")]}
    for name, values in columns.items():
        if name in HOUSEHOLDS:
            said[name] = [str(value) if value is not None else None for value in values]
        else:
            said[name] = [_plain(name, value) for value in values]
    return {"columns": said}, {said["key"][at] for at in unclear}


def _plain(name: str, value: Any) -> Any:
    match CATALOGUE[name].type:
        case Kind.BOOL:
            return bool(value)
        case Kind.ENUM:
            return value or "none"
        case Kind.DAY:
            return (value or date(1900, 1, 1)).isoformat()
        case _:
            return value or 0


async def ours(session: AsyncSession, book: Rulebook, on: date) -> dict[str, dict[str, int]]:
    """What our statement says of everybody, in the peers' numbers."""
    versions = [v for rules in book.programmes.values() if (v := rules.on(on)) is not None]
    compiled = compile_book(versions, on=on)
    said, alone, _ = silences(await vouching(session), on)
    given = compiled.bind(
        book.parameters_on(on),
        on,
        alone=alone,
        listed={name: silence.since for name, silence in said.items()},
        parameters_on=book.parameters_on,
    )
    found = {}
    for row in (await session.execute(compiled.select, given)).mappings():
        bildungskarte = {"granted": GROUNDS.get(row["bildungskarte__ground"] or "", 0), "refer": -1}
        found[str(row["key"])] = {
            "dortmund_karte": row["dortmund-karte__outcome"] == "granted",
            "sozialpass": row["sozialpass__outcome"] == "granted",
            "bildungskarte": bildungskarte.get(row["bildungskarte__outcome"], 0),
            "participation": row["bildungskarte__allowance__participation"],
            "ticket": TICKETS.get(row["deutschlandticket-schule__ground"] or "", 0),
            "ticket_cents": row["deutschlandticket-schule__charge__school_ticket"],
        }
    return found


def ask(peer: str, python: Path, given: Path, answers: Path) -> Mapping[str, Any]:
    """What a peer says, and its seconds."""
    subprocess.run([python, HERE / f"{peer}_city.py", given, answers], check=True, capture_output=True)
    said: dict[str, Any] = json.loads(answers.read_text())
    return said


async def beside(
    session: AsyncSession,
    book: Rulebook,
    on: date,
    *,
    place: Path,
    scratch: Path,
    peers: Iterable[str] = PEERS,
) -> list[Beside]:
    """Asks each peer about the city in this database, and compares person by person."""
    given, unclear = await city(session)
    keys = given["columns"]["key"]
    (scratch / "city.json").write_text(json.dumps(given))
    expected, python, found = await ours(session, book, on), environment(place), []
    for peer in peers:
        said = ask(peer, python, scratch / "city.json", scratch / f"{peer}.json")
        different = 0
        for at, key in enumerate(keys):
            if key not in unclear:
                made = {name: values[at] for name, values in said["answers"].items()}
                different += made != {name: int(value) for name, value in expected[key].items()}
        seconds = said["seconds"]
        compared = len(keys) - len(unclear)
        found.append(Beside(peer, seconds["build"], seconds["decide"], len(keys), compared, different))
    return found
