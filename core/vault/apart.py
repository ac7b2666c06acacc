"""Sign without stopping the others: in a thread where the key is in another machine, in place where it is here."""

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from core.vault.keys import Signer
from core.vault.ring import SoftwareSigner

T = TypeVar("T")

AT_ONCE = 8
"""How many may wait for the machine at once; threads of their own, so that nothing else waits with them."""

_limiter: RunVar[CapacityLimiter] = RunVar("vault-limiter")


async def apart(signer: Signer, work: Callable[[], T]) -> T:
    """The result of work that signs with this signer."""
    if isinstance(signer, SoftwareSigner):
        return work()  # tens of microseconds; a thread would cost more
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = CapacityLimiter(AT_ONCE)
        _limiter.set(limiter)
    return await to_thread.run_sync(work, limiter=limiter)
