"""A line that is understood because one like it was read says what it would say by itself."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from entitlements.deliveries.rules import Again, FactSaid, Frame, Said, read_json
from entitlements.registers.rules import Remit

NOON = datetime(2026, 9, 16, 10, tzinfo=UTC)
FRAME = Frame(
    Remit(
        frozenset({"sgb2", "school_stage", "household_need", "birth_date"}),
        frozenset({"bedarfsgemeinschaft"}),
    ),
    NOON,
    date(2026, 9, 16),
    False,
    NOON,
)

numbers = st.sampled_from(
    ["A", "B7", "a/b-1", "sgb2", "true", "ä", " A", 'x"y', "number", "", "9" * 64, "9" * 65]
)
rows = st.fixed_dictionaries(
    {
        "row": st.sampled_from(["fact", "person"]),
        "fact": st.sampled_from(["sgb2", "school_stage", "household_need"]),
    },
    optional={
        "number": numbers,
        "household": numbers,
        "kind": st.just("bedarfsgemeinschaft"),
        "value": st.one_of(st.booleans(), st.integers(0, 3), numbers, st.just({"number": "A"})),
        "from": st.sampled_from(["2026-09-01", "number"]),
        "withdraw": st.booleans(),
    },
)
odd = st.sampled_from(
    [
        b'{"row":"fact","number":"A","number":"B","fact":"sgb2","value":true}',
        b'{"row":"fact","number":"A","fact":"sgb2","value":true,"number":"A"}',
        b'{"row":"fact","x\\"number":"A","fact":"sgb2","value":true}',
        b'{"row":"fact","\\u006eumber":"A","fact":"sgb2","value":true}',
        b'{"row":"fact","number":"A","fact":"sgb2","value":true} {"number":"B"}',
        b'{"row":"fact" "number":"A","fact":"sgb2","value":true}',
        b'{"row":"fact","number": "A" ,"fact":"sgb2","value":true}',
        b'{"row":"fact","number": "B" ,"fact":"sgb2","value":true}',
        b'"number":"A"',
    ]
)
lines = st.one_of(rows.map(lambda row: json.dumps(row, separators=(",", ":")).encode()), odd)


def plainly(said: Said, number: str | None) -> Said:
    if number is None:
        return said
    assert isinstance(said, FactSaid)
    place: dict[str, Any] = {"number": number} if said.household is None else {"household": number}
    return replace(said, **place)


@given(some=st.lists(lines, max_size=12))
def test_it_does_not_matter_what_was_read_before(some: list[bytes]) -> None:
    again = Again(FRAME, most=3)
    for line in [*some, *some]:
        assert plainly(*again.read(line)) == read_json(line, FRAME)


def test_what_is_said_of_a_second_person_is_not_taken_apart_again() -> None:
    again = Again(FRAME)
    first, _ = again.read(b'{"row":"fact","number":"A","fact":"sgb2","value":true}')
    second, number = again.read(b'{"row":"fact","number":"B","fact":"sgb2","value":true}')
    assert (second is first, number) == (True, "B")
