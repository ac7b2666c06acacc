"""What an operator can set: read once, when the application is made, and handed on."""

from enum import StrEnum
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_SECRET = "change-me-change-me-change-me-32"  # noqa: S105  (refused in production mode below)
DEMO_SECRET = "the-demo-has-no-secrets-at-all"  # noqa: S105  (likewise)


class Mode(StrEnum):
    """How the instance runs; only `demo` has the movable clock and its own OpenID provider."""

    PRODUCTION = "production"
    DEMO = "demo"
    TEST = "test"


class Settings(BaseSettings):
    """Every setting, from the environment (`CITYCARD_…`) or `.env`."""

    model_config = SettingsConfigDict(
        env_prefix="CITYCARD_", env_file=".env", extra="ignore", frozen=True, env_nested_delimiter="__"
    )

    mode: Mode = Mode.PRODUCTION
    database_url: str = "sqlite+aiosqlite:///var/citycard.sqlite"
    public_url: str = Field(
        default="http://localhost:8000", description="How the outside reaches us; no trailing slash"
    )
    code_host: str = Field(
        default="KARTE.DORTMUND.DE",
        description="Host that stands in codes, upper case; its length is part of the QR budget",
    )
    city: str = Field(default="dortmund", description="Which folder of rulebooks/ this deployment serves")
    time_zone: str = "Europe/Berlin"
    vault_file: Path = Path("var/vault.json")
    vault_secret: SecretStr = SecretStr(DEFAULT_SECRET)
    hsm_module: Path | None = Field(
        default=None,
        description="The PKCS#11 library of the machine that holds the keys (extra `hsm`); the vault's file then "
        "holds the root, sealed by that machine",
    )
    hsm_token: str = Field(default="citycard", description="The label of its token")
    hsm_pin: SecretStr = SecretStr("")
    hsm_limit: float = Field(
        default=1.0, gt=0, le=10, description="Seconds that it has for an answer, before it counts as silent"
    )
    oidc_issuer: str = Field(default="", description="The city's OpenID provider; empty: nobody can sign in")
    oidc_client_id: str = "citycard"
    oidc_client_secret: SecretStr = SecretStr("")
    oidc_audience: str = Field(
        default="citycard-api", description="`aud` that access tokens for this API must carry"
    )
    oidc_roles_claim: str = Field(
        default="roles", description="Claim with a list of role names; a dotted path reaches into objects"
    )
    oidc_subject_claim: str = Field(
        default="sub", description="Claim that names the person stably, for example `bpk2` behind a broker"
    )
    oidc_level_claim: str = Field(default="acr", description="Claim with the level of assurance")
    trusted_proxies: tuple[str, ...] = ()
    max_body: int = Field(default=1_000_000, description="Bytes of a request body, deliveries apart")
    card_days: int = Field(default=14, ge=1, le=14, description="Longest life of a compact card, in days")
    card_batch: int = Field(default=8, ge=1, le=32, description="Cards that a phone holds at once")
    moved_phone_hours: int = Field(
        default=24,
        ge=0,
        le=168,
        description="Hours for which a phone that was added or moved to pays nothing, unless the desk or an online ID "
        "vouched for it",
    )
    two_venues_minutes: int = Field(
        default=3,
        ge=0,
        le=3,
        description="Minutes within which one card at two venues raises a flag; 0: never. No longer than marks live",
    )
    status_ttl: int = Field(default=60, description="Seconds that a status list may be cached")
    status_days: int = Field(default=7, description="Days until a status list is too old to be relied on")
    status_size: int = Field(
        default=2**17, ge=1024, le=2**24, multiple_of=8, description="Entries of one status list"
    )
    status_bits: int = Field(
        default=2,
        ge=1,
        le=2,
        description="Bits of a status: with one, nothing can be suspended, only revoked",
    )
    publish_folder: Path | None = Field(
        default=None,
        description="Where status lists and trust list are also written as files, twice a minute, for a CDN",
    )
    notice_grace_days: int = Field(
        default=14, description="Days between a notice and the end that it announces"
    )
    notice_deemed_days: int = Field(
        default=4, description="Days until a notice counts as received (§ 37(2) SGB X: the fourth day)"
    )
    loopback_http: bool = Field(
        default=False,
        description="Let wallets reach us by plain http, on this machine's own addresses and nowhere else",
    )
    credential_chain: Path | None = Field(
        default=None,
        description="PEM file with the certificate that signs credentials, leaf first; without it, and outside "
        "production, a development authority makes one",
    )
    credential_key: Path | None = Field(
        default=None, description="PEM file with its private key, where the vault does not hold it yet"
    )
    status_chain: Path | None = Field(
        default=None, description="The same for status lists of credentials; else the one of credentials"
    )
    status_key: Path | None = None
    request_chain: Path | None = Field(
        default=None, description="The same for requests to wallets; else the one of credentials"
    )
    request_key: Path | None = None
    metadata_chain: Path | None = Field(
        default=None, description="The same for signed issuer metadata; else the one of credentials"
    )
    metadata_key: Path | None = None
    wallet_provider_anchors: Path | None = Field(
        default=None,
        description="PEM file with the certificates of the wallet providers whose attestations are believed",
    )
    presentation_anchors: Path | None = Field(
        default=None,
        description="PEM file with the certificates of those whose attestations are believed when a wallet shows "
        "them; our own credentials need none",
    )
    registration_certificate: Path | None = Field(
        default=None,
        description="File with the registration certificate that goes with every request to a wallet",
    )
    oauth_clients: str = Field(
        default="",
        description="More clients of the credential issuer: a JSON list of {client_id, redirect_uris, jwks?}, "
        "or the path of a file with it",
    )
    wallet_batch: int = Field(default=10, ge=2, le=50, description="Credentials that a wallet gets at once")
    apple_pass_chain: Path | None = Field(
        default=None,
        description="PEM file with the certificate that signs passes for Apple's wallet, leaf first, then its "
        "intermediates; empty: there are none",
    )
    apple_pass_key: Path | None = Field(default=None, description="PEM file with its private key")
    google_wallet_issuer: str = Field(
        default="", description="Our issuer number at Google's wallet; empty: there are no passes for it"
    )
    google_wallet_account: Path | None = Field(
        default=None, description="JSON file of the service account that signs links to it"
    )
    hold_share: float = Field(
        default=0.05,
        description="Share of entitlements that a delivery or a release may end before a person must look",
    )
    tariff_holders: int | None = Field(
        default=None,
        ge=0,
        description="How many people at least must show a combination of tariffs before rules that bring it are released; "
        "1,000 where nothing is said, and any number in a demo or a test, whose city is small",
    )
    simulation_threshold: int = Field(
        default=5,
        ge=2,
        le=1000,
        description="Simulations round numbers of persons to multiples of this, and show nothing of one multiple or less",
    )
    simulation_tables: int = Field(
        default=30,
        ge=1,
        description="How many tables of simulations, one for each programme, anybody is shown in a day",
    )
    release_sample: int = Field(
        default=1000,
        ge=1,
        description="Persons on whom the gate of a release tries both back ends; as many as there are: everybody",
    )

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @model_validator(mode="after")
    def _no_default_secret_in_production(self) -> Self:
        if self.mode is Mode.PRODUCTION and self.vault_secret.get_secret_value() in {
            DEFAULT_SECRET,
            DEMO_SECRET,
        }:
            raise ValueError("CITYCARD_VAULT_SECRET must be a secret of your own in production mode")
        if len(self.vault_secret.get_secret_value()) < 16:
            raise ValueError("CITYCARD_VAULT_SECRET must have at least 16 characters")
        return self
