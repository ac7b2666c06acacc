"""The two cookies: the session's, and the one that ties a sign-in to the browser that began it."""

from datetime import timedelta

from litestar.datastructures import Cookie

from core.settings import Mode, Settings

SESSION = "citycard"
SIGNING_IN = "citycard-login"


def is_plain(settings: Settings) -> bool:
    """Whether cookies go without `Secure`: in the demo over plain HTTP, where curl would not send them back."""
    return settings.mode is Mode.DEMO and settings.public_url.startswith("http://")


def name(settings: Settings, which: str) -> str:
    """A cookie's full name. With `__Host-`, no other host and no plain connection can plant one."""
    return which if is_plain(settings) else f"__Host-{which}"


def given(settings: Settings, which: str, value: str, lasts: timedelta | None = None) -> Cookie:
    """The cookie to set; without `lasts`, until the browser closes."""
    return Cookie(
        key=name(settings, which),
        value=value,
        path="/",
        secure=not is_plain(settings),
        httponly=True,
        # Lax: the provider's redirect back is a visit from another site, and must bring the cookie.
        samesite="lax",
        max_age=None if lasts is None else int(lasts.total_seconds()),
    )


def taken_back(settings: Settings, which: str) -> Cookie:
    """The cookie that makes the browser drop the one it has."""
    return given(settings, which, "", timedelta())
