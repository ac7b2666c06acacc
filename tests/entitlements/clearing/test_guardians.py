"""A guardian acts for a child until it is of age, and not a day longer."""

from tests.entitlements.clearing.making import Town
from tests.entitlements.deliveries.making import person


async def test_a_guardianship_ends_before_the_child_is_of_age(town: Town) -> None:
    said = [
        ("2010-03-01", "2028-02-29", 201),
        ("2010-03-01", "2028-03-01", 422),
        ("2012-02-29", "2030-02-28", 201),  # no 29 February in 2030: of age with 1 March
        ("2012-02-29", "2030-03-01", 422),
        ("2010-03-00", "2028-03-30", 201),
        ("2010-03-00", "2028-03-31", 422),
        ("1950-03-01", "2040-01-01", 201),  # by a court's word
    ]
    children = [
        person(f"C-{place}", f"Kind {place}", birth_date=born) for place, (born, _, _) in enumerate(said)
    ]
    await town.melde.deliver("people", [person("P-1", "Ute"), *children])
    guardian = str(await town.known("P-1"))
    for place, (_, until, answer) in enumerate(said):
        child = str(await town.known(f"C-{place}"))
        wanted = {"guardian_id": guardian, "child_id": child, "until": until}
        told = await town.do("/guardianships", wanted, expect=answer)
        assert answer == 201 or told["type"].endswith("of-age")
