"""Conditions on generation settings, as people write them: `steps=30`, `guidance_scale>=7`, `scene_id`."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import BooleanField, Case, F, Func, Q, TextField, Value, When
from django.db.models.lookups import Exact

from assets.lossless import encode, is_number, same

MAX_LENGTH = 500  # characters; more is not something a person wrote

_CONDITION = re.compile(
    r"""\s*(?P<path>(?:"(?:[^"\\]|\\.)*"|[^\s"=!<>.]+)(?:\.(?:"(?:[^"\\]|\\.)*"|[^\s"=!<>.]+))*)
        \s*(?:(?P<operator>>=|<=|!=|=|>|<)\s*(?P<value>(?![\s=>]).*\S))?\s*""",
    re.VERBOSE | re.DOTALL,
)
# Of ASCII: what is a digit to an expression of PostgreSQL depends on the collation.
_SPELLING = r"^-?(?:0|[1-9][0-9]{0,254})(?:\.[0-9]{1,255})?(?:[eE][+-]?[0-9]{1,3})?$"
_KEY = re.compile(r'"(?:[^"\\]|\\.)*"|[^.]+', re.DOTALL)
_BARE_KEY = re.compile(r'[^\s"=!<>.]+')
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class ConditionError(ValueError):
    """A condition that is not understood; the message is for people."""


@dataclass(frozen=True)
class SettingCondition:
    """One condition. A nested key is written with dots, a key that has dots in it in double quotes.

    A key alone asks that it be there, though its value be null; so does `!=`, of a value other than that.
    `=` and `!=` compare JSON values, `>`, `>=`, `<` and `<=` compare numbers. Writers store 30 as a number
    or as text: both are meant by a number, text where it spells the number as written here, as 30 or as
    30.0, and in `>`, `>=`, `<` and `<=` where it is spelt as in JSON. Text in quotes means text alone;
    text that begins with = or > needs them, since `steps==30` is a slip.
    """

    keys: tuple[str, ...]
    operator: str = ""
    value: Any = None
    written: str = field(default="", compare=False)  # the value as a person spelt it

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
        if isinstance(value, list | dict):
            raise ConditionError(f"“{_shown(text)}” compares with a list or an object: name a key within it.")
        if not _is_storable([*keys, value]):
            raise ConditionError(f"“{_shown(text)}” has a character that no setting can hold.")
        if operator in {">", ">=", "<", "<="} and not is_number(value):
            raise ConditionError(f"“{_shown(text)}” compares with something that is not a number.")
        return cls(keys, operator, value, match["value"] or "")

    def as_q(self, column: str = "generation_settings") -> Q:
        if self.operator == "=":
            return self._equals(column)
        is_there = Q(_PathMatches(column, self._path()))
        if self.operator == "!=":
            return is_there & ~self._equals(column)
        return self._compares(column) if self.operator else is_there

    def _compares(self, column: str) -> Q:
        comparison = f"{self.operator} {encode(self.value)}"
        in_numbers = _PathMatches(column, f"{self._path()} ? (@ {comparison})")
        value = _At(column, self.keys)
        is_text = Exact(Func(value, function="jsonb_typeof", output_field=TextField()), Value("string"))
        in_text = Case(When(is_text, then=_SpeltNumber(value, comparison)), default=False)
        return Q(in_numbers) | Q(in_text)

    def _equals(self, column: str) -> Q:
        # Containment rather than a comparison, since the index on settings answers it.
        condition = Q()
        for value in _spellings(self.value, self.written):
            for key in reversed(self.keys):
                value = {key: value}
            condition |= Q(_Contains(column, value))
        return condition

    def _path(self) -> str:
        # Strict: a list is not searched as if it were each of its items.
        return "strict $" + "".join(f".{json.dumps(key)}" for key in self.keys)


class _Contains(Func):
    """`column @> value`, of a value that may have numbers of any length."""

    template = "(%(expressions)s::jsonb)"
    arg_joiner = " @> "
    output_field = BooleanField()

    def __init__(self, column: str, value: Any) -> None:
        super().__init__(F(column), Value(encode(value, indent=None)))


class _PathMatches(Func):
    """`column @? path`, which is false where the path does not fit the value."""

    template = "%(expressions)s"
    arg_joiner = " @? "
    output_field = BooleanField()

    def __init__(self, column: str, path: str) -> None:
        super().__init__(F(column), Value(path))


class _At(Func):
    """`column -> key -> key`."""

    template = "(%(expressions)s)"
    arg_joiner = " -> "
    output_field = TextField()  # of JSON; it is only ever looked into

    def __init__(self, column: str, keys: Sequence[str]) -> None:
        super().__init__(F(column), *map(Value, keys))


class _SpeltNumber(Func):
    """Whether a JSON text spells a number as JSON does, which then compares so.

    The lengths are those that a `numeric` certainly holds: it must never raise an error.
    """

    template = "(substring(%(expressions)s #>> '{}' from '%(spelling)s')::numeric %(comparison)s)"
    output_field = BooleanField()

    def __init__(self, json_text: Func, comparison: str) -> None:
        super().__init__(json_text, comparison=comparison, spelling=_SPELLING)


def path_text(keys: Sequence[str]) -> str:
    """The keys of a condition as one writes them."""
    return ".".join(key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False) for key in keys)


def text_of(keys: Sequence[str], value: Any) -> str:
    """The condition that a key has just this value; empty where none can be written."""
    if value is None or isinstance(value, list | dict):
        return ""
    spellings = [encode(value)]
    if isinstance(value, str):
        spellings.insert(0, value)  # without quotes, where that is read as the same
    for spelling in spellings:
        text = f"{path_text(keys)}={spelling}"
        if _says(text, tuple(keys), value):
            return text
    return ""


def _says(text: str, keys: tuple[str, ...], value: Any) -> bool:
    try:
        condition = SettingCondition.parse(text)
    except ConditionError:
        return False
    return condition.keys == keys and condition.operator == "=" and same(condition.value, value)


def _key(text: str) -> str:
    try:
        return json.loads(text) if text.startswith('"') else text
    except ValueError:
        raise ConditionError(f"{_shown(text)} is not a quoted key.") from None


def _value(text: str) -> Any:
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text
    return value if _fits(value) else text


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _fits(value: Any) -> bool:
    """Whether a number is one that a setting may be; what is not can only be text."""
    if not isinstance(value, Decimal):
        return True
    exponent = value.as_tuple().exponent
    return value.adjusted() <= 100_000 and isinstance(exponent, int) and exponent >= -16_000


def _is_storable(values: Iterable[Any]) -> bool:
    """PostgreSQL's JSON holds neither NUL nor half a surrogate pair."""
    return not any(_UNSTORABLE.search(value) for value in values if isinstance(value, str))


def _spellings(value: Any, written: str) -> list[Any]:
    """The JSON values that a person means."""
    if isinstance(value, bool):
        return [value, json.dumps(value)]
    if not is_number(value):
        return [value]
    return [value, *sorted({written, *_plain(value)} - {""})]


def _plain(number: int | Decimal) -> set[str]:
    """As programs write it: 30 and 30.0, or 7.5; unless that is very long."""
    exact = Decimal(number)
    if not -7 <= exact.adjusted() <= 21:
        return set()
    plain = format(exact, "f")
    whole, _, part = plain.partition(".")
    part = part.rstrip("0")
    return {f"{whole}.{part}"} if part else {whole, f"{whole}.0"}


def _shown(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"
