"""Seeded bugs: small changes to the source of a package, and the changed package to be put on trial beside the true one."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True)
class Mutant:
    """What is wrong with the changed package, and where in its source."""

    wrong: str
    file: str
    old: str
    new: str
    only_on_postgres: bool = False

    def __str__(self) -> str:
        return self.wrong.replace(" ", "-")


@contextmanager
def applied(mutant: Mutant, room: Path, folder: Path) -> Iterator[ModuleType]:
    """A copy in this folder of the package in `room`, with this bug and under a name of its own."""
    name = f"mutant_{folder.name}"
    for source in room.glob("*.py"):
        text = source.read_text(encoding="utf-8")
        if source.name == mutant.file:
            # A mutant that no longer fits the source would be caught by nobody and missed by nobody.
            assert text.count(mutant.old) == 1, f"{mutant.wrong}: stands {text.count(mutant.old)} times"
            text = text.replace(mutant.old, mutant.new)
        (folder / source.name).write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        for loaded in [known for known in sys.modules if known == name or known.startswith(name + ".")]:
            del sys.modules[loaded]
