"""Where the keys are: signing keys that never leave, and secrets for sealing and for hashing."""

from core.settings import Mode, Settings
from core.vault.file import Cost, FileVault
from core.vault.keys import (
    KeyInfo,
    KeyUse,
    Label,
    Signer,
    UnknownKey,
    Vault,
    VaultDamaged,
    VaultError,
    VaultExposed,
    VaultMissing,
    WrongPassphrase,
    WrongUse,
)
from core.vault.ring import MemoryVault, SoftwareSigner
from core.vault.sealing import SealBroken, new_key, open_sealed, seal, unwrap_key, wrap_key


def open_vault(settings: Settings) -> Vault:
    """The vault that the settings name; outside production it is made at the first start."""
    passphrase = settings.vault_secret.get_secret_value()
    if settings.mode is Mode.PRODUCTION:
        return FileVault(settings.vault_file, passphrase)
    return FileVault.found(settings.vault_file, passphrase)


__all__ = [
    "Cost",
    "FileVault",
    "KeyInfo",
    "KeyUse",
    "Label",
    "MemoryVault",
    "SealBroken",
    "Signer",
    "SoftwareSigner",
    "UnknownKey",
    "Vault",
    "VaultDamaged",
    "VaultError",
    "VaultExposed",
    "VaultMissing",
    "WrongPassphrase",
    "WrongUse",
    "new_key",
    "open_sealed",
    "open_vault",
    "seal",
    "unwrap_key",
    "wrap_key",
]
