"""What every door for wallets has at hand: the transaction, the vault, the settings, the moment."""

from dataclasses import dataclass
from datetime import datetime

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from core.settings import Settings
from core.vault import Vault


@dataclass(frozen=True, slots=True)
class Desk:
    """One request's means; made at the door, handed on as one thing."""

    session: AsyncSession
    vault: Vault
    settings: Settings
    now: datetime

    @property
    def issuer(self) -> str:
        """The issuer's identifier, which is also the OAuth server's."""
        return self.settings.public_url


def provide_desk(
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> Desk:
    """The desk of this request."""
    return Desk(session, vault, settings, now)
