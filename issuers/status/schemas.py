"""What is said of the status lists as a whole."""

from pydantic import Field

from core.schema import Schema


class Aggregation(Schema):
    """Where every status list is (status list aggregation)."""

    status_lists: list[str] = Field(
        description="The address of each list", examples=[["https://karte.example/status/1"]]
    )
