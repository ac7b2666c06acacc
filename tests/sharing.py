"""Who works on which test when several work at once: those who share a house stay together, all others take the next."""

import re

from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("tests/walk/", "tests/issuers/openid/", "tests/verifiers/presentations/")
"""Where tests share what takes seconds to stand up, one for each kind of database."""


class Sharing(LoadScopeScheduling):  # type: ignore[misc]
    """Groups by the tests' ids. (A mark `xdist_group` changes an id, which pytest 9 no longer looks at.)

    The largest groups begin, so that nothing long comes last.
    """

    def _split_scope(self, nodeid: str) -> str:
        kind = re.search(r"\b(sqlite|postgres)\b", nodeid.partition("[")[2])
        place = next((place for place in TOGETHER if nodeid.startswith(place)), None)
        return f"{place}{kind[1]}" if place and kind else nodeid
