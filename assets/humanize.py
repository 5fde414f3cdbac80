"""Sizes, lengths and times in the words that a page uses."""

import math
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.utils import timezone

from assets.instants import LATEST

_UNITS = ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "min"))

_POWERS = ((10**3, "k"), (10**6, "M"), (10**9, "G"))


def size_text(size: int | None) -> str:
    """Bytes with a decimal unit: 1.4 MB."""
    if size is None:
        return "unknown"
    number = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(number) < 999.5 or unit == "TB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "B" or abs(number) >= 99.95 else f"{number:.1f} {unit}"


def compact_text(number: float) -> str:
    """A number in as little room as a plot has: 9,999, 12 k, 1.4 M."""
    if number < 10_000:
        return f"{number:,.0f}" if number == int(number) else f"{number:,.1f}"
    power, unit = next(known for known in _POWERS if number < 999.5 * known[0] or known is _POWERS[-1])
    number /= power
    return f"{number:.0f} {unit}" if number >= 99.95 else f"{number:.1f} {unit}"


def length_text(seconds: Decimal | float | None) -> str:
    """The length of a video: 0:04, 1:02:03."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return ""  # numeric columns can hold NaN
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


def instant_text(instant: datetime | None) -> str:
    """The exact instant in the dashboard's time zone: 2026-11-23 09:00:12 UTC."""
    if instant is None:
        return ""
    try:
        local = instant.astimezone(timezone.get_default_timezone())
    except OverflowError:  # at either end of the calendar
        local = instant
    return f"{local.isoformat(' ', 'seconds')[:19]} {local.tzname()}"


def span_text(span: timedelta) -> str:
    """A span by its largest unit, rounded down: 6 d, 3 h, 45 min."""
    for unit, name in _UNITS:
        if span >= unit:
            return f"{span // unit} {name}"
    return "under 1 min"


def since_text(instant: datetime | None, now: datetime) -> str:
    if instant is None:
        return "at an unknown time"
    return f"in {span_text(instant - now)}" if instant > now else f"{span_text(now - instant)} ago"


class Expiry(NamedTuple):
    text: str
    level: str  # calm, soon, urgent, expired, never


_NONE, _URGENT, _SOON = timedelta(0), timedelta(days=1), timedelta(days=3)


def expiry(expires_at: datetime | None, now: datetime) -> Expiry:
    if expires_at in (None, LATEST):
        return Expiry("never expires", "never")
    left = expires_at - now
    if left <= _NONE:
        return Expiry(f"expired {span_text(-left)} ago", "expired")
    level = "urgent" if left < _URGENT else "soon" if left < _SOON else "calm"
    return Expiry(f"in {span_text(left)}", level)
