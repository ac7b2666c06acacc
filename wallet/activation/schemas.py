"""What is said of codes that tie an account to a person."""

from datetime import date, datetime

from pydantic import Field

from core.schema import Schema

TYPED = "3K7Q-X9M2-RTT4-W8HB-6CDN-J5PZ-VE"


class ActivationCodeView(Schema):
    """A one-time code, shown this once."""

    code: str = Field(description="To be typed; handed over or sent by letter", examples=[TYPED])
    text: str = Field(description="The same to be scanned", examples=["HTTPS://KARTE.EXAMPLE/A#…"])
    picture: str = Field(description="The same drawn as a QR code, in SVG", examples=["<svg …>"])
    expires_at: datetime = Field(description="When it ends unused", examples=["2026-10-16T10:00:00Z"])


class NewGuardianCode(Schema):
    """For how long whoever enters the code may act."""

    until: date = Field(
        description="Last day; for a child at most the day before the 18th birthday", examples=["2031-05-03"]
    )


class Activation(Schema):
    """The one-time code that somebody was given."""

    code: str = Field(
        description="As printed (spaces, hyphens and case do not matter), or the text of the picture",
        examples=[TYPED],
        min_length=1,
        max_length=200,
    )
