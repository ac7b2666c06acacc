"""Where everything meets: the application, the command line, the demo city."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.application import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    # Importing the application loads the whole house; a command that only asks a server does without it.
    if name == "create_app":
        from app.application import create_app

        return create_app
    raise AttributeError(name)
