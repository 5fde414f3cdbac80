"""Generation settings as something to read: a bounded tree of rows, and JSON."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from assets.lossless import encode, is_number

MOST_ROWS = 500
MOST_DEPTH = 8
MOST_TEXT = 2_000  # characters of one value


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One line of the tree. A list or an object is a line of its own, its items the deeper ones after it."""

    depth: int
    key: str
    kind: str  # text, number, boolean, null, list, object
    text: str


@dataclass(frozen=True, slots=True)
class SettingsTree:
    rows: list[SettingRow]
    note: str  # what a person must know of the whole: empty, null, not an object, cut short


def tree(settings: Any) -> SettingsTree:
    rows = list(islice(_rows(settings, 0), MOST_ROWS + 1))
    note = _note(settings)
    if len(rows) > MOST_ROWS:
        note = f"These are the first {MOST_ROWS} lines; the JSON has them all."
    return SettingsTree(rows[:MOST_ROWS], note)


def as_json(settings: Any) -> str:
    return encode(settings)


def is_nsfw(settings: Any) -> bool:
    return isinstance(settings, dict) and settings.get("content_mode") == "nsfw"


def _note(settings: Any) -> str:
    if settings is None:
        return "No settings were stored (null)."
    if not isinstance(settings, dict):
        return f"The settings are not an object but a {_kind(settings)}."
    return "" if settings else "The settings are empty: {}."


def _rows(value: Any, depth: int) -> Iterator[SettingRow]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield SettingRow(depth, str(key), _kind(item), _text(item, depth))
            if isinstance(item, dict | list) and depth < MOST_DEPTH:
                yield from _rows(item, depth + 1)
    elif value is not None:
        yield SettingRow(depth, "", _kind(value), _text(value, depth))


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if is_number(value):
        return "number"
    return {str: "text", list: "list", dict: "object"}[type(value)]


def _text(value: Any, depth: int) -> str:
    if isinstance(value, dict | list):
        if depth < MOST_DEPTH:
            return _length(value)
        value = encode(value, indent=None)
    text = value if isinstance(value, str) else encode(value, indent=None)
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"


def _length(value: dict | list) -> str:
    noun = "key" if isinstance(value, dict) else "item"
    return f"{len(value)} {noun}{'' if len(value) == 1 else 's'}"
