"""Generation settings as something to read: known parameters in groups, nested values as a bounded tree."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

from assets.lossless import encode_start, is_number, same
from assets.parameters import Parameter
from assets.setting_conditions import text_of

MOST_LINES = 500
MOST_DEPTH = 8
MOST_TEXT = 2_000  # characters of one value that are shown
MOST_KEY = 200  # characters of a key
MOST_SPELLINGS = 20  # keys of one parameter
MOST_COPIED = 10_000  # characters of one value that can be copied beside it
LEAST_TEXT = 60  # characters of any value that are shown, however many there are
MOST_CHARACTERS = 200_000  # of all values together

Flags = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Value:
    """One line: a value, or a list or an object with its items."""

    key: str
    kind: str  # text, number, boolean, null, list, object
    text: str
    is_cut: bool = False
    copy: str = ""  # the whole, unless it is empty or very long
    condition: str = ""  # what finds all assets with this value, if anything can
    items: list["Value"] = field(default_factory=list)

    @property
    def is_long(self) -> bool:
        """So long that it scrolls."""
        return len(self.text) > 200


@dataclass(frozen=True, slots=True)
class Setting:
    """A parameter: its value, and after it what other keys say of it that is not the same."""

    label: str
    group: str
    keys: tuple[str, ...]
    values: list[Value]
    flags: list[str]


@dataclass(frozen=True, slots=True)
class Inspector:
    groups: list[tuple[str, list[Setting]]]
    values: list[Value]  # of settings that are not an object
    note: str  # what a person must know of the whole: empty, null, not an object, cut short


def inspect(settings: Any, parameters: Iterable[Parameter], flags: Flags) -> Inspector:
    room = _Room()
    shown = [_setting(each, flags.get(each.name, []), room) for each in room.of(parameters)]
    groups = [(name, list(members)) for name, members in groupby(shown, attrgetter("group"))]
    values = [] if isinstance(settings, dict) else list(_lines(settings, room))
    return Inspector(groups, values, _note(settings, room))


def is_nsfw(settings: Any) -> bool:
    return isinstance(settings, dict) and settings.get("content_mode") == "nsfw"


@dataclass(slots=True)
class _Room:
    """What the page still has room for."""

    lines: int = MOST_LINES
    characters: int = MOST_CHARACTERS
    is_short: bool = False  # something found none

    def of(self, items: Iterable[Any]) -> Iterator[Any]:
        """As many of the items as there are lines for."""
        for item in items:
            if self.lines <= 0:
                self.is_short = True
                return
            self.lines -= 1
            yield item

    def few(self, spellings: Sequence[str]) -> Sequence[str]:
        self.is_short |= len(spellings) > MOST_SPELLINGS
        return spellings[:MOST_SPELLINGS]

    def show(self, text: str) -> str:
        shown = text[: max(LEAST_TEXT, min(MOST_TEXT, self.characters))]
        self.characters -= len(shown)
        return shown

    def copy(self, text: str) -> str:
        if len(text) > min(MOST_COPIED, self.characters):
            return ""
        self.characters -= len(text)
        return text


def _note(settings: Any, room: _Room) -> str:
    if room.is_short:
        return f"These are the first {MOST_LINES} lines; the JSON has them all."
    if settings is None:
        return "No settings were stored (null)."
    if not isinstance(settings, dict):
        return f"The settings are not an object but a {_kind(settings)}."
    return "" if settings else "The settings are empty: {}."


def _setting(parameter: Parameter, flags: list[str], room: _Room) -> Setting:
    said = zip(parameter.keys, parameter.values, strict=True)
    key = next(key for key, value in said if same(value, parameter.value))
    values = [_value(key, parameter.value, (key,), 0, room)]
    values += [_value(key, value, (key,), 0, room) for key, value in room.of(parameter.others)]
    keys = tuple(_short(key) for key in room.few(parameter.keys))
    return Setting(parameter.label, parameter.group, keys, values, list(room.few(flags)))


def _lines(settings: Any, room: _Room) -> Iterator[Value]:
    if isinstance(settings, list):
        yield from _items(settings, None, 0, room)
    elif settings is not None:
        yield _value("", settings, None, 0, room)


def _value(key: str, value: Any, path: tuple[str, ...] | None, depth: int, room: _Room) -> Value:
    """The path is that of a condition; within a list there is none."""
    is_branch = isinstance(value, dict | list) and depth < MOST_DEPTH
    whole = value if isinstance(value, str) else encode_start(value, MOST_COPIED)
    text = _length(value) if is_branch else room.show(whole)
    return Value(
        key=_short(key),
        kind=_kind(value),
        text=text,
        is_cut=not is_branch and len(text) < len(whole),
        copy="" if value is None else room.copy(whole),
        condition=text_of(path, value) if path else "",
        items=list(_items(value, path, depth + 1, room)) if is_branch else [],
    )


def _items(value: dict | list, path: tuple[str, ...] | None, depth: int, room: _Room) -> Iterator[Value]:
    for key in room.of(value if isinstance(value, dict) else range(len(value))):
        inner = (*path, key) if path and isinstance(value, dict) else None
        yield _value(str(key), value[key], inner, depth, room)


def _short(key: str) -> str:
    return key if len(key) <= MOST_KEY else f"{key[:MOST_KEY]}…"


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if is_number(value):
        return "number"
    return {str: "text", list: "list", dict: "object"}[type(value)]


def _length(value: dict | list) -> str:
    noun = "key" if isinstance(value, dict) else "item"
    return f"{len(value)} {noun}{'' if len(value) == 1 else 's'}"
