"""Judges what a holder shows: accepted, refused, cannot tell, or check the clock, and always why."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from core.cose import Malformed
from issuers.credentials.card import CardId, WrongKind, card_is_genuine, printed_is_genuine
from verifiers.offers.rules import OfferKind
from wallet.codes.text import Kind, LiveCode, NotOurs, PrintedCode, parse, read_live, read_printed_code

WINDOW: Final = timedelta(seconds=60)
# A screenshot goes round within minutes; a clock that stands wrong is wrong by more (a zone, a day). From the
# future no picture comes, so there every difference beyond the window is a clock's.
A_CLOCKS_ERROR: Final = timedelta(hours=1)


class Outcome(StrEnum):
    """What the venue is told."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    CANNOT_TELL = "cannot_tell"
    CHECK_THE_CLOCK = "check_the_clock"


class Reason(StrEnum):
    """Why it was not accepted; stable words for texts, counts and vectors. Each belongs to one outcome."""

    # What was shown
    NOT_OURS = "not_ours"
    WRONG_KIND = "wrong_kind"
    MALFORMED = "malformed"
    # Who signed it
    UNKNOWN_ISSUER = "unknown_issuer"
    WRONG_USE = "wrong_use"
    KEY_WITHDRAWN = "key_withdrawn"
    KEY_NOT_IN_FORCE = "key_not_in_force"
    BAD_SIGNATURE = "bad_signature"
    NOT_ON_RECORD = "not_on_record"
    # When and where
    STALE_CODE = "stale_code"
    WRONG_VENUE = "wrong_venue"
    VENUE_MISSING = "venue_missing"
    REPLAYED = "replayed"
    # Whether it still holds
    EXPIRED = "expired"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    STATUS_OUT_OF_RANGE = "status_out_of_range"
    # Whether it brings anything here
    NO_OFFER = "no_offer"
    # What the scanner lacks
    TRUST_LIST_STALE = "trust_list_stale"
    STATUS_MISSING = "status_missing"
    STATUS_STALE = "status_stale"
    STATUS_ROLLED_BACK = "status_rolled_back"
    NAME_NEEDED = "name_needed"
    # Whose clock is wrong
    CODE_CLOCK_OFF = "code_clock_off"
    SCANNER_CLOCK_BEHIND = "scanner_clock_behind"


KEYS_ANNOUNCED_AHEAD: Final = timedelta(days=1)
"""How long before its first use a key stands in the trust list (`issuers.authorities.service.OVERLAP`)."""

_CANNOT_TELL: Final = frozenset(
    {
        Reason.TRUST_LIST_STALE,
        Reason.STATUS_MISSING,
        Reason.STATUS_STALE,
        Reason.STATUS_ROLLED_BACK,
        Reason.NAME_NEEDED,
    }
)
_CLOCK: Final = frozenset({Reason.CODE_CLOCK_OFF, Reason.SCANNER_CLOCK_BEHIND})


def outcome_of(reason: Reason) -> Outcome:
    """The outcome that a reason belongs to."""
    if reason in _CANNOT_TELL:
        return Outcome.CANNOT_TELL
    return Outcome.CHECK_THE_CLOCK if reason in _CLOCK else Outcome.REFUSED


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer as a scanner needs it: for any of which tariffs, and whether it asks for the name."""

    id: str
    kind: OfferKind
    tariff_bits: int
    asks_name: bool = False
    value: int | None = None
    """Percent off, or the price in cents."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the scanner stands; with a sign, only codes made for that sign count."""

    venue: int
    has_sign: bool = False


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key of an authority, as the trust list names it; in force from its beginning until before its end."""

    kid: bytes
    use: str
    public_key: EllipticCurvePublicKey
    not_before: datetime
    not_after: datetime
    withdrawn: bool = False


class TrustView(Protocol):
    """The trust list that this scanner goes by."""

    @property
    def issued_at(self) -> datetime: ...

    @property
    def expires_at(self) -> datetime: ...

    def key(self, kid: bytes, /) -> TrustedKey | None:
        """The key of this id, withdrawn ones included, or None where the list has none."""
        ...


class StatusSheet(Protocol):
    """One status list, its signature checked: a small number for each index (0 valid, 2 suspended, else revoked)."""

    @property
    def issued_at(self) -> datetime: ...

    @property
    def expires_at(self) -> datetime: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> int: ...


class StatusView(Protocol):
    """The status lists that this scanner goes by."""

    def sheet(self, status_list: int, /) -> StatusSheet | None:
        """The list of this number, or None where the scanner has none."""
        ...

    def newest_seen(self, status_list: int, /) -> datetime | None:
        """The newest issue of this list ever seen here; a list that is older was put back by someone."""
        ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of one scan.

    `card` and `at` are for the server's own marks (status, replay) and leave it in no answer; `tariff_bits` neither:
    a venue is told offers.
    """

    outcome: Outcome
    reason: Reason | None = None
    kind: Kind | None = None
    card: CardId | None = None
    at: int | None = None
    """The second that a live code was made for: the replay mark, if the code is accepted."""
    expires_at: datetime | None = None
    tariff_bits: int = 0
    name: str | None = None
    compare_name: bool = False
    """Whether the venue has to compare the name with an ID before it gives anything."""
    offers: tuple[Offer, ...] = ()
    """What applies with this code."""
    offers_with_name: tuple[Offer, ...] = ()
    """What would apply besides, if the holder showed the named card."""
    off_by: timedelta | None = None
    """How far the code's time lies from the scanner's, where a clock is in question; behind is negative."""
    alarm: bool = False
    """A valid signature over a card that was never issued: the key is not ours alone."""


def judge(
    shown: str,
    *,
    host: str,
    trust: TrustView,
    status: StatusView,
    now: datetime,
    floor: datetime,
    place: Place,
    offers: Iterable[Offer] | None = None,
    last_accepted: Callable[[CardId], int | None] = lambda _card: None,
    recognise: Callable[[bytes], bool | None] = lambda _digest: None,
) -> Judgement:
    """Judges the text of a code.

    `floor` is the newest signed time this scanner has seen; `last_accepted` the second of this card's last accepted
    live code; `offers` what the venue gives (None: only the card is asked about). `recognise` knows the SHA-256 of
    every card ever issued: True spares the issuer's signature and nothing else, False on a valid signature raises an
    alarm, None says that there is no record here to ask.
    """
    # 1. Is it one of our codes at all? This holds whatever the clock says.
    try:
        kind, body = parse(shown, host)
        code = read_live(body) if kind is Kind.LIVE else read_printed_code(body)
    except NotOurs:
        return _not(Reason.NOT_OURS)
    except WrongKind:
        return _not(Reason.WRONG_KIND)
    except Malformed:
        return _not(Reason.MALFORMED)

    # 2. Does this scanner know what time it is? Small differences are met by not running back behind the floor.
    floor = max(floor, trust.issued_at)
    if now < floor - WINDOW:
        return _not(Reason.SCANNER_CLOCK_BEHIND, off_by=now - floor)
    now = max(now, floor)

    # 3. Did the city make it, and the holder show it?
    fault = _authority(code, trust, now, recognise) or _holder(code)
    if fault is not None:
        return _not(fault, alarm=fault is Reason.NOT_ON_RECORD)

    # 4. Now, here, for the first time?
    card = code.card
    fault, off_by = _time(code, now)
    fault = (
        fault
        or _venue(code, place)
        or (Reason.EXPIRED if int(now.timestamp()) >= card.exp else None)
        or _status(card.status, status, now)
        or _replay(code, last_accepted)
    )
    at = code.at if isinstance(code, LiveCode) else None
    if fault is not None:
        return _not(fault, kind=kind, card=card.status, at=at, off_by=off_by)

    # 5. What does it bring?
    given = () if offers is None else applicable(offers, card.tariff_bits)
    with_name = tuple(offer for offer in given if offer.asks_name and card.name is None)
    given = tuple(offer for offer in given if offer not in with_name)
    if offers is not None and not given:
        fault = Reason.NAME_NEEDED if with_name else Reason.NO_OFFER
        return _not(fault, kind=kind, card=card.status, at=at, offers_with_name=with_name)
    return Judgement(
        Outcome.ACCEPTED,
        kind=kind,
        card=card.status,
        at=at,
        expires_at=datetime.fromtimestamp(card.exp, UTC),
        tariff_bits=card.tariff_bits,
        name=card.name,
        # Paper is bound to no key: whoever holds it is the holder only if the ID says so.
        compare_name=kind is Kind.PRINTED
        or (card.name is not None and any(offer.asks_name for offer in given)),
        offers=given,
        offers_with_name=with_name,
    )


def applicable(offers: Iterable[Offer], tariff_bits: int) -> tuple[Offer, ...]:
    """The offers that are for at least one of these tariffs, in the order in which the venue lists them."""
    return tuple(offer for offer in offers if offer.tariff_bits & tariff_bits)


def _not(
    reason: Reason,
    *,
    kind: Kind | None = None,
    card: CardId | None = None,
    at: int | None = None,
    offers_with_name: tuple[Offer, ...] = (),
    off_by: timedelta | None = None,
    alarm: bool = False,
) -> Judgement:
    return Judgement(
        outcome_of(reason),
        reason,
        kind=kind,
        card=card,
        at=at,
        offers_with_name=offers_with_name,
        off_by=off_by,
        alarm=alarm,
    )


def _authority(
    code: LiveCode | PrintedCode,
    trust: TrustView,
    now: datetime,
    recognise: Callable[[bytes], bool | None],
) -> Reason | None:
    if now >= trust.expires_at:
        # An old list may still name a key that has been withdrawn since.
        return Reason.TRUST_LIST_STALE
    key = trust.key(code.card.kid)
    live = isinstance(code, LiveCode)
    if key is None:
        # A list from before the next key was announced cannot know it: whoever holds one must not call that a forgery.
        fresh = now < trust.issued_at + KEYS_ANNOUNCED_AHEAD
        return Reason.UNKNOWN_ISSUER if fresh else Reason.TRUST_LIST_STALE
    if key.use != ("card" if live else "printed"):
        return Reason.WRONG_USE
    if key.withdrawn:
        return Reason.KEY_WITHDRAWN
    if not key.not_before <= now < key.not_after:
        return Reason.KEY_NOT_IN_FORCE
    known = recognise(code.digest)
    if known:
        return None
    genuine = card_is_genuine if live else printed_is_genuine
    if not genuine(code.signed_card, key.public_key):
        return Reason.BAD_SIGNATURE
    return Reason.NOT_ON_RECORD if known is False else None


def _holder(code: LiveCode | PrintedCode) -> Reason | None:
    if isinstance(code, PrintedCode):
        return None
    try:
        return None if code.is_shown_by_its_holder() else Reason.BAD_SIGNATURE
    except Malformed:
        return Reason.MALFORMED


def _time(code: LiveCode | PrintedCode, now: datetime) -> tuple[Reason | None, timedelta | None]:
    if isinstance(code, PrintedCode):
        return None, None
    # Whole seconds on both sides: a code knows no smaller.
    off_by = timedelta(seconds=code.at - int(now.timestamp()))
    if -WINDOW <= off_by <= WINDOW:
        return None, None
    if off_by > WINDOW or off_by <= -A_CLOCKS_ERROR:
        return Reason.CODE_CLOCK_OFF, off_by
    return Reason.STALE_CODE, None


def _venue(code: LiveCode | PrintedCode, place: Place) -> Reason | None:
    if isinstance(code, PrintedCode):
        return None
    if code.venue is None:
        return Reason.VENUE_MISSING if place.has_sign else None
    return None if code.venue == place.venue else Reason.WRONG_VENUE


def _status(card: CardId, status: StatusView, now: datetime) -> Reason | None:
    sheet = status.sheet(card.status_list)
    if sheet is None:
        return Reason.STATUS_MISSING
    newest = status.newest_seen(card.status_list)
    if newest is not None and sheet.issued_at < newest:
        return Reason.STATUS_ROLLED_BACK
    if now >= sheet.expires_at:
        return Reason.STATUS_STALE
    if card.index >= len(sheet):
        return Reason.STATUS_OUT_OF_RANGE
    match sheet[card.index]:
        case 0:
            return None
        case 2:
            return Reason.SUSPENDED
        case _:
            return Reason.REVOKED


def _replay(code: LiveCode | PrintedCode, last_accepted: Callable[[CardId], int | None]) -> Reason | None:
    if isinstance(code, PrintedCode):
        return None
    last = last_accepted(code.card.status)
    return Reason.REPLAYED if last is not None and code.at <= last else None
