"""Ask a machine that may be slow or gone: through a few threads, with a time limit, and not again while it is silent."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import structlog

from core.vault.keys import VaultError, VaultMissing, VaultSilent

T = TypeVar("T")
R = TypeVar("R")

log = structlog.get_logger("vault")


class Hands(Generic[T]):
    """Does work on machines that `reach` opens, each thread with one of its own.

    The first that does not answer within the limit costs its caller that limit. From then on everybody is refused
    at once, until `try_again` finds that it answers: no worker waits for a machine that is known to be silent. A
    call that hangs inside the machine's own library cannot be ended; it costs one of these threads and no other.
    """

    def __init__(self, reach: Callable[[], T], *, hands: int, limit: float) -> None:
        self._reach = reach
        self._limit = limit
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[[T], Any]] | None] = SimpleQueue()
        self._silent = False
        # Daemons, or a machine that hangs would keep the process from ending.
        self._threads = [
            threading.Thread(target=self._work, name=f"vault-{number}", daemon=True)
            for number in range(hands)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Lets the machines go, as soon as what they do is done; whoever asks afterwards gets no answer."""
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join(self._limit)

    @property
    def silent(self) -> bool:
        """Whether the machine did not answer when it was asked last."""
        return self._silent

    def ask(self, work: Callable[[T], R]) -> R:
        """What the work gives; VaultSilent where the machine does not answer, at once where that is known."""
        if self._silent:
            raise VaultSilent("the machine with the keys did not answer; it is asked again shortly")
        return self._do(work)

    def try_again(self, work: Callable[[T], R]) -> R:
        """The same, also while the machine counts as silent: its answer opens the way for everybody."""
        answer = self._do(work)
        if self._silent:
            self._silent = False
            log.info("vault.answers_again")
        return answer

    def _do(self, work: Callable[[T], R]) -> R:
        future: Future[R] = Future()
        self._tasks.put((future, work))
        try:
            return future.result(self._limit)
        except TimeoutError:
            future.cancel()  # what has not begun is not begun any more
            self._fell_silent("no answer in time")
            raise VaultSilent(f"the machine with the keys did not answer within {self._limit:g} s") from None
        except (VaultSilent, VaultMissing) as gone:
            self._fell_silent(str(gone))
            raise

    def _fell_silent(self, why: str) -> None:
        if not self._silent:
            self._silent = True
            log.warning("vault.silent", why=why)

    def _work(self) -> None:
        machine: T | None = None
        while True:
            task = self._tasks.get()
            if task is None:
                _let_go(machine)
                return
            future, work = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if machine is None:
                    machine = self._reach()
                answer = work(machine)
            except (VaultSilent, VaultMissing) as gone:
                _let_go(machine)
                machine = None
                future.set_exception(gone)
            except (VaultError, ValueError) as refused:
                future.set_exception(refused)
            except Exception as error:  # noqa: BLE001  (whatever a machine's library throws must not end the thread)
                _let_go(machine)
                machine = None
                future.set_exception(VaultSilent(f"the machine with the keys failed: {type(error).__name__}"))
            else:
                future.set_result(answer)


def _let_go(machine: object) -> None:
    # The next piece of work reaches for it anew: after a restart of the machine, old sessions are worth nothing.
    close = getattr(machine, "close", None)
    if close is not None:
        with suppress(Exception):
            close()
