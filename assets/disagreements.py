"""Where the settings of an asset, its row, its worker and the bytes of its file contradict each other."""

import mimetypes
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from assets.lossless import encode, is_number, same
from assets.parameters import MEASURED, OTHER, Parameter
from assets.storage import FORMATS

_MOST_SHOWN = 60  # characters of a value within a sentence


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known besides the settings; None or empty where nothing is."""

    seed: int | None = None
    width: int | None = None
    height: int | None = None
    mime: str = ""
    file_width: int = 0
    file_height: int = 0
    file_mime: str = ""


def disagreements(parameters: Iterable[Parameter], facts: Facts) -> dict[str, list[str]]:
    """By the name of the parameter, what contradicts its value."""
    known = (each for each in parameters if each.group != OTHER)
    found = {each.name: [*_other_keys(each), *_facts_against(each, facts)] for each in known}
    return {name: sentences for name, sentences in found.items() if sentences}


def _other_keys(parameter: Parameter) -> Iterator[str]:
    for key, value in parameter.others:
        if value is not None and not _agree(value, parameter.value):
            who = "the worker reported" if key in MEASURED else f"{_shown(key)} says"
            yield f"{who} {_shown(value)}"


def _facts_against(parameter: Parameter, facts: Facts) -> Iterator[str]:
    value = parameter.value
    if value is None or value == "":
        return
    if parameter.name == "format":
        yield from _formats_against(value, facts)
    elif parameter.name == "size":
        yield from _sizes_against(value, facts)
    for sentence, fact in _sayings(parameter.name, facts):
        if fact is not None and not _agree(value, fact):
            yield sentence.format(fact)


def _sayings(name: str, facts: Facts) -> list[tuple[str, int | None]]:
    return {
        "seed": [("the row’s seed is {}", facts.seed)],
        "width": [("the row says {}", facts.width or None), ("the file has {}", facts.file_width or None)],
        "height": [("the row says {}", facts.height or None), ("the file has {}", facts.file_height or None)],
    }.get(name, [])


def _sizes_against(value: Any, facts: Facts) -> Iterator[str]:
    match = (
        re.fullmatch(r"\s*(\d{1,9})\s*[x×X*]\s*(\d{1,9})\s*", value, re.ASCII)
        if isinstance(value, str)
        else None
    )
    sides = (facts.file_width, facts.file_height)
    if match and all(sides) and (int(match[1]), int(match[2])) != sides:
        yield f"the file is {sides[0]} × {sides[1]}"


def _formats_against(value: Any, facts: Facts) -> Iterator[str]:
    declared = _mime(value) if isinstance(value, str) else ""
    for who, mime in (("the row says", facts.mime), ("the file is", facts.file_mime)):
        if declared and mime and declared != (_mime(mime) or mime):
            yield f"{who} {_shown(mime)}"


_MIMES = {known.extension: known.mime for known in FORMATS} | {"image/jpg": "image/jpeg"}


def _mime(text: str) -> str:
    """The type that a format's name or extension means; empty where it names none."""
    name = text.strip().lower().removeprefix(".")
    if "/" in name:
        return _MIMES.get(name, name)
    return _MIMES.get(name) or mimetypes.types_map.get(f".{name}", "")


def _agree(left: Any, right: Any) -> bool:
    """As values of JSON, or as numbers however they are spelt, or as text in any case."""
    if same(left, right):
        return True
    numbers = _number(left), _number(right)
    if None not in numbers:
        return numbers[0] == numbers[1]
    texts = isinstance(left, str) and isinstance(right, str)
    return texts and left.strip().casefold() == right.strip().casefold()


def _number(value: Any) -> Decimal | None:
    if not isinstance(value, str):
        return Decimal(value) if is_number(value) else None
    try:
        number = Decimal(value[:100].strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else encode(value, indent=None)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
