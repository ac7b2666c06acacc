"""The demo as a whole: its folder, its settings, and the application with the doors that only a demo has."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from litestar import Litestar

from app.application import create_app
from app.demo.accounts import logins, newcomer
from app.demo.city import PERSONS, City
from app.demo.clock import DemoClock, create_clock, remembered
from app.demo.filling import Filling
from app.demo.provider import PASSWORD, create_provider
from app.handlers import handlers, recurring
from core.access.doorkeeper import DEMO_CLIENT_SECRET, DEMO_PROVIDER
from core.clock import day_of
from core.database import Database
from core.jobs.service import Worker
from core.settings import DEMO_SECRET, Mode, Settings
from core.vault import open_vault

FOLDER = Path("var/demo")
MARK = "city.json"
PORT = 8000


@dataclass(frozen=True, slots=True)
class Greeted:
    """An account, as the start page names it."""

    name: str
    label: str


def _made(folder: Path) -> dict[str, Any]:
    """Of what the city that stands here was made; nothing where none does."""
    mark = folder / MARK
    made: dict[str, Any] = json.loads(mark.read_text(encoding="utf-8")) if mark.exists() else {}
    return made


def _own_database(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder / 'citycard.sqlite'}"


@dataclass(frozen=True, slots=True)
class Demo:
    """One demo city and where it is kept."""

    folder: Path
    settings: Settings

    @staticmethod
    def anew(folder: Path, port: int | None = None, *, database_url: str | None = None) -> "Demo":
        """A demo that is to be made in this folder, whatever stood there before."""
        own = _own_database(folder.resolve())
        return Demo.at(folder, port or PORT, database_url=database_url or own)

    @staticmethod
    def at(folder: Path, port: int | None = None, *, database_url: str | None = None) -> "Demo":
        """The demo in this folder; what is not said is as it was when its city was made."""
        folder = folder.resolve()
        made = _made(folder)
        port = port or made.get("port", PORT)
        database_url = database_url or made.get("database_url")
        url = f"http://localhost:{port}"
        settings = Settings(
            mode=Mode.DEMO,
            database_url=database_url or _own_database(folder),
            public_url=url,
            vault_file=folder / "vault.json",
            vault_secret=DEMO_SECRET,
            oidc_issuer=url + DEMO_PROVIDER,
            oidc_client_secret=DEMO_CLIENT_SECRET,
            loopback_http=True,
            _env_file=None,
        )
        return Demo(folder, settings)

    @property
    def port(self) -> int:
        """On which port it is served."""
        return urlsplit(self.settings.public_url).port or PORT

    @property
    def clock_file(self) -> Path:
        return self.folder / "clock.json"

    def clear(self) -> None:
        """Forgets the city: its database, keys and clock, and nothing else that may lie in the folder."""
        shutil.rmtree(self.folder / "clients", ignore_errors=True)
        for pattern in ("citycard.sqlite*", "vault.json*", "clock.json", MARK):
            for path in self.folder.glob(pattern):
                path.unlink()

    def city(self) -> City | None:
        """The city that stands here; None where there is none, or one that was never finished."""
        made = _made(self.folder)
        return City(date.fromisoformat(made["today"]), persons=made["persons"]) if made else None

    @property
    def home_port(self) -> int:
        """The port for which its city was made: its accounts are known by the provider's address, and so by the port."""
        port: int = _made(self.folder).get("port", PORT)
        return port

    async def fill(self, *, persons: int = PERSONS, tell: Callable[[str, float], None]) -> City:
        """Makes the city in an empty database."""
        clock = remembered(self.clock_file)
        city = City(day_of(clock.now(), self.settings.zone), persons=persons)
        vault = open_vault(self.settings)
        database = Database(self.settings.database_url)
        try:
            worker = Worker(database, handlers(self.settings, vault), clock, recurring(self.settings))
            await Filling(self.settings, vault, clock, database, worker, self.folder, tell).all(city)
        finally:
            await database.dispose()
        made = {"today": city.today.isoformat(), "persons": persons, "port": self.port}
        if self.settings.database_url != _own_database(self.folder):
            made["database_url"] = self.settings.database_url
        # Written when the city is complete; a database's address may hold a password.
        mark = self.folder / MARK
        mark.touch(mode=0o600)
        mark.write_text(json.dumps(made), encoding="utf-8")
        return city

    def application(self, city: City) -> Litestar:
        """The application with the demo's own provider and clock."""
        clock = remembered(self.clock_file)
        accounts = [login.account for login in logins(city)]
        application = create_app(
            self.settings,
            clock,
            more_doors=[
                create_provider(self.settings, accounts, newcomer=newcomer),
                create_clock(self.settings, self.clock_file),
            ],
        )
        application.state.demo_accounts = [
            Greeted(account.sub, f"{account.name} – {account.about}") for account in accounts
        ]
        return application


__all__ = ["FOLDER", "PASSWORD", "Demo", "DemoClock"]
