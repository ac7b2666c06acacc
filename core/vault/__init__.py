"""Where the keys are: signing keys that never leave, and secrets for sealing and for hashing."""

from collections.abc import Callable
from pathlib import Path

from core.settings import Mode, Settings
from core.vault.apart import apart
from core.vault.file import Cost, FileVault
from core.vault.hsm import HsmVault, Machine
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
    VaultSilent,
    WrongPassphrase,
    WrongUse,
)
from core.vault.ring import MemoryVault, SoftwareSigner
from core.vault.sealing import SealBroken, new_key, open_sealed, seal, unwrap_key, wrap_key


def open_vault(settings: Settings) -> Vault:
    """The vault that the settings name; outside production it is made at the first start."""
    if settings.hsm_module is not None:
        make = HsmVault if settings.mode is Mode.PRODUCTION else HsmVault.found
        return make(settings.vault_file, _machine(settings, settings.hsm_module), limit=settings.hsm_limit)
    passphrase = settings.vault_secret.get_secret_value()
    if settings.mode is Mode.PRODUCTION:
        return FileVault(settings.vault_file, passphrase)
    return FileVault.found(settings.vault_file, passphrase)


def found_vault(settings: Settings) -> None:
    """Makes the vault that the settings name, once; with a machine, its root is sealed by it."""
    if settings.hsm_module is not None:
        reach = _machine(settings, settings.hsm_module)
        HsmVault.found(settings.vault_file, reach, limit=settings.hsm_limit, pulse=None).close()
    else:
        FileVault.found(settings.vault_file, settings.vault_secret.get_secret_value())


def _machine(settings: Settings, module: Path) -> Callable[[], Machine]:
    try:
        # Only who has such a machine needs the binding: `pip install citycard[hsm]`.
        from core.vault.pkcs11 import Pkcs11Machine
    except ImportError as error:
        raise VaultMissing("CITYCARD_HSM_MODULE needs the extra `hsm`: pip install citycard[hsm]") from error
    return Pkcs11Machine.reaching(module, settings.hsm_token, settings.hsm_pin.get_secret_value())


__all__ = [
    "Cost",
    "FileVault",
    "HsmVault",
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
    "VaultSilent",
    "WrongPassphrase",
    "WrongUse",
    "apart",
    "found_vault",
    "new_key",
    "open_sealed",
    "open_vault",
    "seal",
    "unwrap_key",
    "wrap_key",
]
