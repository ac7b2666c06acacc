"""Tells the story on a terminal: numbered steps with a tick, in German or English."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from app.walk.keeping import NotThere
from app.walk.phone import SignInAgain
from app.walk.signin import SignInFailed
from app.walk.wire import Refused, Unreachable

TROUBLE = (Refused, NotThere, SignInAgain, SignInFailed)


class StepFailed(Exception):
    """Something that the story promises did not happen."""


class Teller:
    """Counts the steps and says how each went."""

    def __init__(self, language: str, say: Callable[[str], None]) -> None:
        self.language = language
        self._say = say
        self.done: list[str] = []

    def words(self, de: str, en: str) -> str:
        return en if self.language == "en" else de

    @contextmanager
    def step(self, de: str, en: str) -> Iterator[None]:
        """One step: its title, then what happens, then the tick; whatever goes wrong in it names it."""
        number, title = len(self.done) + 1, self.words(de, en)
        self._say(f"\n{number:>2}. {title}")
        try:
            yield
        except StepFailed as failed:
            raise StepFailed(f"{number}. {title}: {failed}") from None
        except Unreachable as trouble:
            why = self.words(
                "der Server antwortet nicht; läuft er? citycard demo",
                "the server does not answer; is it running? citycard demo",
            )
            raise StepFailed(f"{number}. {title}: {why} ({trouble})") from trouble
        except TROUBLE as trouble:
            kind = type(trouble).__name__
            raise StepFailed(f"{number}. {title}: {kind}: {trouble}") from trouble
        self.done.append(title)
        self._say(f"    ✓ {self.words('geschehen', 'done')}")

    def tell(self, de: str, en: str) -> None:
        """A line within a step."""
        self._say(f"    {self.words(de, en)}")

    def quote(self, text: str) -> None:
        """What the server or a device says in its own words."""
        for line in text.splitlines():
            self._say(f"      │ {line}")

    def picture(self, text: str) -> None:
        """A drawing, as it is."""
        self._say(text)

    def need(self, holds: object, de: str, en: str) -> None:
        """Fails the step unless this holds."""
        if not holds:
            self.fail(de, en)

    def fail(self, de: str, en: str) -> NoReturn:
        raise StepFailed(self.words(de, en))
