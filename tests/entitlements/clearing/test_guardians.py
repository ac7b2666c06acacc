"""A guardian acts for a child until it is of age, and not a day longer."""

import pytest

from tests.entitlements.clearing.conftest import Town
from tests.entitlements.deliveries.making import person


@pytest.mark.parametrize(
    ("born", "until", "answer"),
    [
        ("2010-03-01", "2028-02-29", 201),
        ("2010-03-01", "2028-03-01", 422),
        ("2012-02-29", "2030-02-28", 201),  # no 29 February in 2030: of age with 1 March
        ("2012-02-29", "2030-03-01", 422),
        ("2010-03-00", "2028-03-30", 201),
        ("1950-03-01", "2040-01-01", 201),  # by a court's word
    ],
)
async def test_a_guardianship_ends_before_the_child_is_of_age(
    town: Town, born: str, until: str, answer: int
) -> None:
    await town.melde.deliver("people", [person("P-1", "Ute"), person("P-2", "Mila", birth_date=born)])
    said = {
        "guardian_id": str(await town.known("P-1")),
        "child_id": str(await town.known("P-2")),
        "until": until,
    }
    refused = await town.do("/guardianships", said, expect=answer)
    assert answer == 201 or refused["type"].endswith("of-age")
