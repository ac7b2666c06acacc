"""How many people show each combination of tariffs: a combination that few show tells who they are."""

from collections import Counter
from collections.abc import Iterator
from datetime import date

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from entitlements.releases.gate import Finding
from entitlements.rulebook.compiled import TARIFFS, compile_book
from entitlements.simulations.service import alone_on
from entitlements.simulations.statements import DATED, plainly
from entitlements.simulations.together import Side

Combination = frozenset[str]


async def shown(session: AsyncSession, side: Side, *, on: date, today: date) -> Counter[Combination]:
    """How many persons would show which tariffs together; who has none shows none."""
    bringing = [version for version in side.versions if version.tariffs]
    found = Counter[Combination]()
    if not bringing:
        return found
    compiled = compile_book(side.versions, DATED)
    told = compiled.select.subquery("told")
    bits = [told.c[version.programme + TARIFFS] for version in bringing]
    given = compiled.bind(side.parameters, on, alone=await alone_on(session, today))
    await plainly(session)
    for *masks, persons in await session.execute(select(*bits, func.count()).group_by(*bits), given):
        names = {
            tariff.name
            for version, mask in zip(bringing, masks, strict=True)
            for n, tariff in enumerate(version.tariffs)
            if mask >> n & 1
        }
        if names:
            found[frozenset(names)] += persons
    return found


def rare(before: Counter[Combination], after: Counter[Combination], least: int) -> Iterator[Finding]:
    """The combinations that a draft makes rare: fewer than so many would show them, and before it none or enough did.

    How many they are is not said; whoever writes rules could count people out by it.
    """
    for combination in sorted(after, key=sorted):
        if 0 < after[combination] < least and not 0 < before[combination] < least:
            together = " and ".join(sorted(combination))
            yield Finding(
                "rare-tariffs",
                f"fewer than {least} persons would show a card with {together}, and so could be told by it; bring the "
                f"tariff to more people, or put one in its place that others have too",
            )


__all__ = ["rare", "shown"]
