import csv
import io
import itertools

from hypothesis import given
from hypothesis import strategies as st

from entitlements.deliveries.framing import TOO_LONG, Lines, Records, TooLong


def cut(whole: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(whole) + 1) for place in places), len(whole)]
    return [whole[a:b] for a, b in itertools.pairwise(edges)]


def lines_of(pieces: list[bytes], limit: int = 64) -> list[bytes | TooLong]:
    lines = Lines(limit)
    return [line for piece in pieces for line in lines.feed(piece)] + list(lines.close())


def records_of(pieces: list[bytes], limit: int = 64) -> list[list[str] | TooLong | None]:
    records = Records(limit)
    return [one for piece in pieces for one in records.feed(piece)] + list(records.close())


def test_lines_come_without_their_ends_and_empty_ones_not_at_all() -> None:
    assert lines_of([b"a\r\n\n  \nb"]) == [b"a", b"b"]


def test_a_line_that_is_too_long_is_passed_over_and_only_it() -> None:
    assert lines_of([b"a\n" + b"x" * 40, b"x" * 40, b"x\nb\n"]) == [b"a", TOO_LONG, b"b"]
    assert lines_of([b"a\n" + b"x" * 70 + b"\nb"]) == [b"a", TOO_LONG, b"b"]


def test_the_mark_at_the_beginning_of_a_file_is_no_part_of_it() -> None:
    assert lines_of([b"\xef\xbb", b"\xbfa\n"]) == [b"a"]


@given(st.binary(max_size=400), st.lists(st.integers(0, 10_000), max_size=6))
def test_it_does_not_matter_where_a_stream_is_cut(whole: bytes, places: list[int]) -> None:
    assert lines_of(cut(whole, places)) == lines_of([whole])
    assert records_of(cut(whole, places)) == records_of([whole])


@given(st.binary(max_size=2_000), st.integers(1, 50))
def test_no_more_is_kept_than_one_record(whole: bytes, limit: int) -> None:
    lines = Lines(limit)
    for place in range(0, len(whole), 7):
        for line in lines.feed(whole[place : place + 7]):
            assert isinstance(line, TooLong) or len(line) <= limit
        assert len(lines._rest) <= limit + 3


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), max_size=8)


@given(st.lists(st.lists(cells, min_size=1, max_size=4), max_size=5))
def test_records_are_read_as_the_standard_writes_them(rows: list[list[str]]) -> None:
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerows(rows)
    read = records_of([out.getvalue().encode()], 10_000)
    # Lines without anything on them are left out, inside quotes as well.
    plain = [["".join(c.split()) for c in row] for row in rows]
    assert [["".join(c.split()) for c in row] for row in read if isinstance(row, list)] == plain


def test_a_record_that_cannot_be_read_stops_no_other() -> None:
    assert records_of([b'a,b\n"x"y,z\nc,d\n\xff,e\nf,g\n']) == [
        ["a", "b"],
        None,
        ["c", "d"],
        None,
        ["f", "g"],
    ]


def test_a_cell_may_go_on_in_the_next_line_but_not_for_ever() -> None:
    assert records_of([b'"a\nb",c\n']) == [["a\nb", "c"]]
    read = records_of([b'"a\n' + b"x\n" * 80 + b"b,c\n"])
    assert read[0] is TOO_LONG
    assert read[-1] == ["b", "c"]
    assert records_of([b'"never closed\n']) == [None]
