"""Bugs that tables, forms and the checks of tables can have: each is put into a copy of the language, and must be noticed."""

import importlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

from entitlements.language import tree as original
from tests.entitlements.language.test_tables import AMOUNTS, ON, Scribe, everybody, expected, holding, read

HOME = Path(original.__file__).parent
TABLES = [(source, read(source)) for source in (s.table() for s in [Scribe(Random(9))] for _ in range(60))]

MUTANTS = [
    ("an open end belongs to its interval", "cells.py", '_LOWER, _UPPER = {True: ">=", False: ">"}', '_LOWER, _UPPER = {True: ">=", False: ">="}'),
    ("a negated cell is read as it stands", "cells.py", "return t.Not(asked) if self.negated else asked", "return asked"),
    ("of several values only the first counts", "cells.py", "return t.OneOf(item, tuple(values))", "return t.OneOf(item, tuple(values[:1]))"),
    ("false is taken for true", "cells.py", "return item if self.value.value else t.Not(item)", "return item"),
    ("a cell fits where it should not", "cells.py", "for test in self.tests) is not self.negated", "for test in self.tests)"),
    ("one cell of a row suffices", "grid.py", "return asked[0] if len(asked) == 1 else t.And(tuple(asked))", "return asked[0] if len(asked) == 1 else t.Or(tuple(asked))"),
    ("the number after a limit is no region of its own", "grid.py", "for n in (number, number + 1) if least", "for n in (number,) if least"),
    ("the limit itself is no region of its own", "grid.py", "for n in (number, number + 1) if least", "for n in (number + 1,) if least"),
    ("rows stay although a region excludes them", "grid.py", "rows & region.rows, within", "rows, within"),
    ("an overlap in one input is an overlap in all", "grid.py", "if shown is None:", "if shown is None and not shared:"),
    ("a row hides itself", "grid.py", "walk.gaps((1 << row) - 1, within", "walk.gaps((2 << row) - 1, within"),
    ("the last row that holds counts", "tables.py", "return t.Choose(tuple(cases), last) if cases else last", "return t.Choose(tuple(reversed(cases)), last) if cases else last"),
    ("what is otherwise is left out", "tables.py", "if last is None:", "if last is not None:"),
    ("all rows that are collected must hold", "tables.py", "return t.Or(tuple(conditions)) if", "return t.And(tuple(conditions)) if"),
    ("the least is taken for the greatest", "tables.py", "return t.Extreme(str(self.collect)", 'return t.Extreme("greatest"'),
]  # fmt: skip


@contextmanager
def changed(folder: Path, file: str, old: str, new: str) -> Iterator[dict[str, ModuleType]]:
    """A copy of the language with this bug, under a name of its own."""
    name = f"mutant_{folder.name}"
    home = folder / "entitlements" / name
    shutil.copytree(HOME, home, ignore=shutil.ignore_patterns("sql", "__pycache__"))
    (folder / "rulebooks").symlink_to(HOME.parents[1] / "rulebooks")
    text = (home / file).read_text(encoding="utf-8")
    # A mutant that no longer fits the source would be caught by nobody and missed by nobody.
    assert text.count(old) == 1, f"stands {text.count(old)} times: {old}"
    (home / file).write_text(text.replace(old, new), encoding="utf-8")
    sys.path.insert(0, str(home.parent))
    try:
        yield {
            part: importlib.import_module(f"{name}.{part}")
            for part in ("tables", "grid", "interpreter", "tree", "values")
        }
    finally:
        sys.path.remove(str(home.parent))
        for loaded in [known for known in sys.modules if known == name or known.startswith(name + ".")]:
            del sys.modules[loaded]


def notices(language: dict[str, Any]) -> bool:
    """Whether trying everything shows that something is wrong."""
    tree, values = language["tree"], language["values"]
    facts = {
        "n": tree.Speakable(tree.INT),
        "a": tree.Speakable(tree.BOOL),
        "stage": tree.Speakable(tree.Type(tree.Kind.ENUM, "stage"), ("none", "primary", "sek1", "sek2")),
    }
    vocabulary = tree.Vocabulary(facts, {"limit": tree.INT})
    for source, _ in TABLES:
        try:
            made = language["tables"].read_table(source, vocabulary)
            rule = made.tree()
        except ValueError:
            return True
        held = []
        for given in everybody(source["inputs"]):
            rows = holding(source, given)
            held.append(rows)
            stated = {k: values.Stated(v, ON.min, None, "", None) for k, v in given.items()}
            said = language["interpreter"].evaluate(rule, values.Subject("p", stated), AMOUNTS, ON)
            if said != values.Known(expected(source, rows)):
                return True
        grid = language["grid"]
        pairs = {(one, two) for rows in held for one in rows for two in rows if one < two}
        first = {rows[0] for rows in held if rows}
        if (
            bool(grid.gaps(made.grid, AMOUNTS)) != any(not rows for rows in held)
            or {(one, two) for one, two, _ in grid.overlaps(made.grid, AMOUNTS)} != pairs
            or grid.unreachable(made.grid, AMOUNTS)
            != [n for n in range(len(source["rows"])) if n not in first]
        ):
            return True
    return False


@pytest.mark.parametrize(
    ("wrong", "file", "old", "new"), MUTANTS, ids=[m[0].replace(" ", "-") for m in MUTANTS]
)
def test_a_bug_in_a_table_is_noticed(tmp_path: Path, wrong: str, file: str, old: str, new: str) -> None:
    with changed(tmp_path, file, old, new) as language:
        assert notices(language), wrong


def test_nothing_is_noticed_where_nothing_is_wrong(tmp_path: Path) -> None:
    same = "class Hit(StrEnum):"
    with changed(tmp_path, "tables.py", same, same) as language:
        assert not notices(language)
