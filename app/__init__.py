"""Where everything meets: the application, the command line, the demo city."""

from app.application import create_app

__all__ = ["create_app"]
