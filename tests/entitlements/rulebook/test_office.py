from datetime import timedelta

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.access.rules import Role
from core.database import Database
from core.vault import Vault
from entitlements.facts.catalogue import RULEBOOKS
from entitlements.rulebook import service
from entitlements.rulebook.drafting import written_in
from tests.conftest import NOON
from tests.makers import sign_in
from tests.rulebooks import dortmund

Client = AsyncTestClient[Litestar]


@pytest.fixture(autouse=True)
async def rules(database: Database) -> None:
    async with database.writing() as session:
        await service.load(session, dortmund(), NOON - timedelta(days=1), written_in(RULEBOOKS / "dortmund"))


@pytest.mark.parametrize("role", [Role.RULE_AUTHOR, Role.AUDITOR])
async def test_the_office_reads_rules_as_they_were_written(
    client: Client, database: Database, vault: Vault, role: Role
) -> None:
    headers = await sign_in(database, vault, NOON, role)
    answer = await client.get("/v1/rules?programme=sozialpass", headers=headers)
    assert answer.status_code == 200
    first = answer.json()[0]
    assert first["form"] == "yaml"
    assert first["written"].startswith(f"from: {first['since']}")
    assert first["status"] == "active"
    assert first["author_id"] is None  # it came with the files, whose authors stand in their repository
    assert first["grounds"]
    cases = (await client.get("/v1/cases?programme=sozialpass", headers=headers)).json()
    assert len(cases) == len([case for case in dortmund().cases if case.programme == "sozialpass"])


async def test_the_office_reads_every_amount_with_its_days(
    client: Client, database: Database, vault: Vault
) -> None:
    headers = await sign_in(database, vault, NOON, Role.RULE_APPROVER)
    answer = await client.get("/v1/parameters", headers=headers)
    assert answer.status_code == 200
    known = {(one["name"], one["since"]): one for one in answer.json()}
    one = known["participation_monthly", "2019-08-01"]
    assert (one["unit"], one["value"], one["statute"]) == ("cents", 1500, "§ 28 Abs. 7 SGB II")


@pytest.mark.parametrize("path", ["/v1/rules", "/v1/parameters", "/v1/cases"])
async def test_who_wrote_a_rule_is_not_told_to_everybody(
    client: Client, database: Database, vault: Vault, path: str
) -> None:
    assert (await client.get(path)).status_code == 401
    citizen = await sign_in(database, vault, NOON, Role.CITIZEN)
    assert (await client.get(path, headers=citizen)).status_code == 403
