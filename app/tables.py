"""Every module that keeps tables, so that migrations and tests see the whole."""

import core.access.models
import core.audit.models
import core.idempotency
import core.jobs.models
import issuers.authorities.models
import issuers.status.models

__all__ = ["core", "issuers"]
