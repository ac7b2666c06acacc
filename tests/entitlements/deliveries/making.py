"""Hands over deliveries as a register does, through the door."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.database import Database
from core.settings import Settings
from core.vault import Vault
from entitlements.registers.models import Register
from entitlements.registers.rules import Remit
from entitlements.registers.service import make_register
from tests.makers import machine_in, make_machine

Row = dict[str, Any]


def lines(rows: Sequence[Row]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


@dataclass
class Office:
    """A register with its token, in front of the door."""

    client: AsyncTestClient[Litestar]
    register: Register
    headers: dict[str, str]

    async def post(
        self,
        name: str,
        body: bytes,
        rows: int,
        *,
        mode: str = "changes",
        as_of: datetime | None = None,
        media: str = "application/x-ndjson",
    ) -> Any:
        query: dict[str, Any] = {"name": name, "rows": rows, "mode": mode}
        if as_of is not None:
            query["as_of"] = as_of.isoformat()
        return await self.client.post(
            "/v1/deliveries", params=query, content=body, headers=self.headers | {"Content-Type": media}
        )

    async def deliver(self, name: str, rows: Sequence[Row], **how: Any) -> dict[str, Any]:
        answer = await self.post(name, lines(rows), len(rows), **how)
        assert answer.status_code in {200, 202}, answer.text
        view: dict[str, Any] = answer.json()
        return view

    async def results(self, delivery: dict[str, Any]) -> list[str | None]:
        answer = await self.client.get(f"/v1/deliveries/{delivery['id']}/rows", headers=self.headers)
        assert answer.status_code == 200, answer.text
        return [row["result"] for row in answer.json()["rows"]]


async def open_office(  # noqa: PLR0917
    client: AsyncTestClient[Litestar],
    database: Database,
    vault: Vault,
    settings: Settings,
    now: datetime,
    kind: str,
    *,
    remit: Remit,
) -> Office:
    machine = await make_machine(database, now)
    async with database.writing() as session:
        register = await make_register(
            session, None, principal_id=machine.principal_id, kind=kind, name=kind, remit=remit, now=now
        )
    return Office(client, register, await machine_in(database, vault, settings, now, machine))


MELDE = Remit(
    frozenset({"birth_date", "main_residence", "deceased"}),
    frozenset({"registered_household"}),
    identities=True,
    identification_numbers=True,
)
JOBCENTER = Remit(frozenset({"sgb2"}), frozenset({"bedarfsgemeinschaft"}), identification_numbers=True)


def person(number: str, given: str = "Mila", family: str = "Sommer", **more: Any) -> Row:
    return {"row": "person", "number": number, "given_name": given, "family_name": family} | more


def fact(number: str, name: str, value: Any, **more: Any) -> Row:
    return {"row": "fact", "number": number, "fact": name, "value": value} | more


def household(number: str, *members: str, kind: str = "registered_household", **more: Any) -> Row:
    return {"row": "household", "household": number, "kind": kind, "members": list(members)} | more
