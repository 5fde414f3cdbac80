"""Conditions on generation settings, as people write them: `steps=30`, `guidance_scale>=7`, `scene_id`."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, F, Func, Q, Value

MAX_LENGTH = 500  # characters; more is not something a person wrote

_CONDITION = re.compile(
    r"""\s*(?P<path>(?:"(?:[^"\\]|\\.)*"|[^\s"=!<>.]+)(?:\.(?:"(?:[^"\\]|\\.)*"|[^\s"=!<>.]+))*)
        \s*(?:(?P<operator>>=|<=|!=|=|>|<)\s*(?P<value>.*\S))?\s*""",
    re.VERBOSE | re.DOTALL,
)
_KEY = re.compile(r'"(?:[^"\\]|\\.)*"|[^.]+', re.DOTALL)
_BARE_KEY = re.compile(r'[^\s"=!<>.]+')


class ConditionError(ValueError):
    """A condition that is not understood; the message is for people."""


@dataclass(frozen=True)
class SettingCondition:
    """One condition. A nested key is written with dots, a key that has dots in it in double quotes.

    `=` and `!=` compare JSON values, a number and its spelling as text alike; `>`, `>=`, `<` and `<=`
    compare numbers; a key alone asks that it be there.
    """

    keys: tuple[str, ...]
    operator: str = ""
    value: Any = None

    @classmethod
    def parse(cls, text: str) -> "SettingCondition":
        """Raises ConditionError."""
        match = _CONDITION.fullmatch(text) if len(text) <= MAX_LENGTH and "\0" not in text else None
        if not match:
            raise ConditionError(
                f"“{_shown(text)}” is not a condition: write steps=30, guidance_scale>=7 or scene_id."
            )
        operator, value = match["operator"] or "", _value(match["value"] or "")
        keys = tuple(_key(key) for key in _KEY.findall(match["path"]))
        if not _is_storable([keys, value]):
            raise ConditionError(f"“{_shown(text)}” has a character that no setting can hold.")
        if isinstance(value, list | dict):
            raise ConditionError(f"“{_shown(text)}” compares with a list or an object: name a key within it.")
        if operator in {">", ">=", "<", "<="} and not _is_number(value):
            raise ConditionError(f"“{_shown(text)}” compares with something that is not a number.")
        return cls(keys, operator, value)

    def as_q(self, column: str = "generation_settings") -> Q:
        if self.operator == "=":
            return self._equals(column)
        if self.operator == "!=":
            return Q(_PathMatches(column, self._path())) & ~self._equals(column)
        comparison = f" ? (@ {self.operator} {json.dumps(self.value)})" if self.operator else ""
        return Q(_PathMatches(column, self._path() + comparison))

    def _equals(self, column: str) -> Q:
        # Containment rather than a comparison, since the index on settings answers it.
        condition = Q()
        for value in _spellings(self.value):
            for key in reversed(self.keys):
                value = {key: value}
            condition |= Q(**{f"{column}__contains": value})
        return condition

    def _path(self) -> str:
        # Strict: a list is not searched as if it were each of its items.
        return "strict $" + "".join(f".{json.dumps(key)}" for key in self.keys)


class _PathMatches(Func):
    """`column @? path`, which is false where the path does not fit the value."""

    template = "%(expressions)s"
    arg_joiner = " @? "
    output_field = BooleanField()

    def __init__(self, column: str, path: str) -> None:
        super().__init__(F(column), Value(path))


def path_text(keys: Sequence[str]) -> str:
    """The keys of a condition as one writes them."""
    return ".".join(key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False) for key in keys)


def _key(text: str) -> str:
    try:
        return json.loads(text) if text.startswith('"') else text
    except ValueError:
        raise ConditionError(f"{_shown(text)} is not a quoted key.") from None


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if _is_finite(value) else text


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    if isinstance(value, list | dict):
        return all(map(_is_finite, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)


def _is_storable(value: Any) -> bool:
    """PostgreSQL's JSON holds neither NUL nor half a surrogate pair."""
    text = json.dumps(value, ensure_ascii=False)
    return "\\u0000" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _spellings(value: Any) -> list[Any]:
    """The JSON values that a person means: writers store 30 as a number or as text."""
    if isinstance(value, bool | int | float):
        return [value, json.dumps(value)]
    return [value]


def _shown(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"
