"""Drop what wallets can no longer use: offers, requests, codes, tokens and nonces that have ended."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from issuers.openid.models import (
    AuthorizationCode,
    CredentialOffer,
    Deferral,
    HandedOver,
    PushedRequest,
    UsedOnce,
    WalletGrant,
    WalletToken,
)


async def forget_ended(session: AsyncSession, _payload: dict[str, Any], now: datetime) -> None:
    """The hourly job; what stands on something else goes before it."""
    await session.execute(delete(UsedOnce).where(col(UsedOnce.expires_at) <= now))
    await session.execute(delete(AuthorizationCode).where(col(AuthorizationCode.kept_until) <= now))
    await session.execute(delete(WalletToken).where(col(WalletToken.expires_at) <= now))
    await session.execute(delete(Deferral).where(col(Deferral.expires_at) <= now))
    await session.execute(delete(HandedOver).where(col(HandedOver.kept_until) <= now))
    await session.execute(delete(PushedRequest).where(col(PushedRequest.expires_at) <= now))
    awaited = exists().where(col(PushedRequest.offer_id) == col(CredentialOffer.id))
    await session.execute(delete(CredentialOffer).where(col(CredentialOffer.expires_at) <= now, ~awaited))
    # A grant goes with the last thing that names it.
    named = [
        exists().where(column == col(WalletGrant.id))
        for column in (
            col(AuthorizationCode.grant_id),
            col(WalletToken.grant_id),
            col(Deferral.grant_id),
            col(HandedOver.grant_id),
            col(CredentialOffer.grant_id),
        )
    ]
    await session.execute(
        delete(WalletGrant).where(*(~one for one in named)).execution_options(synchronize_session=False)
    )
