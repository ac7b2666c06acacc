"""Every kind of job and who does it."""

from collections.abc import Mapping

from core.idempotency import forget_expired
from core.jobs.service import Handler
from core.settings import Settings
from core.vault import Vault


def handlers(settings: Settings, vault: Vault) -> Mapping[str, Handler]:
    """What the worker can do; a job of another kind stays until somebody can."""
    return {"answers.forget": forget_expired}
