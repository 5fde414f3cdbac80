"""JSON as PostgreSQL holds it: every digit of a number, however long, and however deep it is nested."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

MOST_DEPTH = 64  # levels; what is deeper is kept as its JSON text
_MOST_DIGITS = 4_000  # Python refuses to read integers of more than 4,300
_MOST_DECIMALS = 16_383  # PostgreSQL has no more
_MOST_SPELT = 100  # characters of a text that may be a number

# --- Reading -----------------------------------------------------------------


class LosslessDecoder(json.JSONDecoder):
    """Whole numbers become int, others (and very long ones) Decimal; what is nested too deep becomes text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse_float=Decimal, parse_int=_whole, **kwargs)

    def decode(self, text: str) -> Any:  # type: ignore[override]
        is_deep = text.count("[") + text.count("{") > MOST_DEPTH
        return super().decode(_shallow(text) if is_deep else text)


def _whole(text: str) -> int | Decimal:
    return int(text) if len(text) <= _MOST_DIGITS else Decimal(text)


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]')


def _shallow(text: str) -> str:
    """The same JSON, with each list and object that is nested too deep written as a string."""
    parts, depth, kept, start = [], 0, 0, 0
    for match in _TOKEN.finditer(text):
        mark = match[0]
        if mark in "[{":
            depth += 1
            if depth == MOST_DEPTH + 1:
                parts.append(text[kept : match.start()])
                start = match.start()
        elif mark in "]}":
            if depth == MOST_DEPTH + 1:
                kept = match.end()
                parts.append(json.dumps(text[start:kept]))
            depth -= 1
    return "".join([*parts, text[kept:]])


# --- Writing -----------------------------------------------------------------


def encode(value: Any, *, indent: int | None = 2) -> str:
    """JSON text, which the standard library does not make of Decimals."""
    return "".join(_encode(value, indent, 0))


def encode_start(value: Any, most: int) -> str:
    """The first of its JSON on one line, a little more than so many characters, however long it is."""
    parts: list[str] = []
    room = most
    for part in _encode(value, None, 0):
        parts.append(part)
        room -= len(part)
        if room < 0:
            break
    return "".join(parts)


def _encode(value: Any, indent: int | None, depth: int) -> Iterator[str]:
    if not isinstance(value, dict | list) or not value:
        yield _digits(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)
        return
    is_object = isinstance(value, dict)
    inner, outer = (
        ("", "") if indent is None else (f"\n{' ' * indent * (depth + 1)}", f"\n{' ' * indent * depth}")
    )
    yield "{" if is_object else "["
    for number, key in enumerate(value):
        yield f"{'' if number == 0 else ',' if indent is not None else ', '}{inner}"
        if is_object:
            yield f"{json.dumps(key, ensure_ascii=False)}: "
        yield from _encode(value[key] if is_object else key, indent, depth + 1)
    yield f"{outer}{'}' if is_object else ']'}"


def _digits(value: Decimal) -> str:
    """As PostgreSQL writes it, without an exponent, unless that would be endless."""
    exponent = int(value.as_tuple().exponent)
    return f"{value:f}" if -_MOST_DECIMALS <= exponent <= 0 else str(value)


_PIECE = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}:,]|[^\s\[\]{}:,"]+')


def indented(text: str, most: int) -> str:
    """JSON text on indented lines, as far as that many characters go; nothing of it is written anew."""
    parts: list[str] = []
    room, depth, before = most, 0, ""
    for match in _PIECE.finditer(text):
        piece = match[0]
        depth -= piece in "]}"
        is_first = before in ("[", "{")
        starts_line = not is_first if piece in "]}" else is_first or before == ","
        part = f"\n{'  ' * depth}{piece}" if starts_line and before else piece
        parts.append(f"{part} " if piece == ":" else part)
        depth += piece in "[{"
        before, room = piece, room - len(parts[-1])
        if room < 0:
            break
    return "".join(parts)[:most]


# --- Comparing ---------------------------------------------------------------


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same: 7 is 7.0, keys have no order, and true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def number_of(value: Any) -> Decimal | None:
    """A number, also one that is spelt as text."""
    if not isinstance(value, str):
        return Decimal(value) if is_number(value) else None
    try:
        number = Decimal(value[:_MOST_SPELT].strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
