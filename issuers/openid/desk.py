"""What every door for wallets has at hand: the transaction, the vault, the settings, the moment, what others say."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from core.settings import Settings
from core.vault import Vault
from issuers.openid.foreign import ForeignLists


@dataclass(frozen=True, slots=True)
class Desk:
    """One request's means; made at the door, handed on as one thing."""

    session: AsyncSession
    vault: Vault
    settings: Settings
    now: datetime
    lists: ForeignLists | None = None
    """The status lists of wallet providers; None where no wallet is at the door."""

    @property
    def issuer(self) -> str:
        """The issuer's identifier, which is also the OAuth server's."""
        return self.settings.public_url


def provide_desk(
    request: Request[Any, Any, Any],
    session: NamedDependency[AsyncSession],
    vault: NamedDependency[Vault],
    settings: NamedDependency[Settings],
    now: NamedDependency[datetime],
) -> Desk:
    """The desk of this request."""
    state = request.app.state
    if "provider_lists" not in state:
        # A transaction waits for the answer, so it must not wait for long.
        state.provider_lists = ForeignLists(settings, seconds=3)
    return Desk(session, vault, settings, now, state.provider_lists)
