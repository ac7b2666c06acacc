"""Every door of the house: the routers that `create_app` opens, in the order of the road."""

from litestar import Router

import core.audit.routes
import issuers.authorities.routes
import issuers.status.routes

ROUTERS: list[Router] = [
    core.audit.routes.router,
    issuers.authorities.routes.router,
    issuers.status.routes.router,
]
