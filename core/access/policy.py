"""What an operator can set about access, beyond what a sign-in needs at all."""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.access.rules import CEILINGS, Ceiling, Level, Role

_KNOWN_LEVELS = {
    # what brokers of BundID send, in the two spellings that are in use, and eIDAS's own
    "STORK-QAA-Level-1": Level.BASIC,
    "STORK-QAA-Level-3": Level.SUBSTANTIAL,
    "STORK-QAA-Level-4": Level.HIGH,
    "basic": Level.BASIC,
    "normal": Level.BASIC,
    "substantial": Level.SUBSTANTIAL,
    "substantiell": Level.SUBSTANTIAL,
    "high": Level.HIGH,
    "hoch": Level.HIGH,
    "http://eidas.europa.eu/LoA/low": Level.BASIC,
    "http://eidas.europa.eu/LoA/substantial": Level.SUBSTANTIAL,
    "http://eidas.europa.eu/LoA/high": Level.HIGH,
}


class Policy(BaseSettings):
    """From the environment (`CITYCARD_ACCESS_…`) or `.env`; read once, when the application is made."""

    model_config = SettingsConfigDict(
        env_prefix="CITYCARD_ACCESS_", env_file=".env", extra="ignore", frozen=True
    )

    ceilings: dict[Level, Ceiling] = Field(
        default={},
        description="How long a session lasts unused (`idle`) and altogether (`absolute`), in seconds, per level",
    )
    levels: dict[str, Level] = Field(
        default=_KNOWN_LEVELS,
        description="What the provider's level claim means; a word that does not stand here means `basic`",
    )
    roles: dict[str, str] = Field(
        default={}, description="The provider's name of a role, and ours; names that agree need no entry"
    )
    every_login: tuple[Role, ...] = Field(
        default=(), description="Roles of everybody who can sign in at the provider, for example `citizen`"
    )
    scope: str = Field(default="openid", description="What a sign-in asks the provider for")
    plain_access_tokens: bool = Field(
        default=False, description="Take the provider's access tokens without the type `at+jwt`, too"
    )
    machine_token_lasts: timedelta = Field(
        default=timedelta(minutes=5), description="How long a machine's access token is good"
    )

    def ceiling(self, level: Level) -> Ceiling:
        """How long a session of this level lasts."""
        return self.ceilings.get(level, CEILINGS[level])

    def level(self, stated: object) -> Level:
        """The level that the provider's word stands for."""
        return self.levels.get(str(stated), Level.BASIC)
