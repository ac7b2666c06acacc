"""Every door of the house: the routers that `create_app` opens, in the order of the road."""

from litestar import Router

ROUTERS: list[Router] = []
