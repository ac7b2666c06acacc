"""What the doors for operators say; nothing of it is about anybody."""

from enum import StrEnum

from pydantic import Field

from core.schema import Schema


class Health(StrEnum):
    """How it stands."""

    FINE = "pass"
    WARN = "warn"
    """It serves, and an operator should look."""


class LiveView(Schema):
    """That the process answers."""

    status: Health = Field(description="`pass`, or there is no answer at all", examples=["pass"])


class ReadyView(Schema):
    """That the process can serve, and whether an operator should look all the same."""

    status: Health = Field(description="The worst of all below", examples=["pass"])
    database: Health = Field(description="`pass`: it answers in time", examples=["pass"])
    jobs: Health = Field(
        description="`warn` where one is a quarter of an hour late, or was given up", examples=["pass"]
    )
