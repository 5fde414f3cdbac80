"""Where the settings of an asset, its row, its worker and the bytes of its file contradict each other."""

import mimetypes
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from assets.formats import FORMATS
from assets.lossless import encode, number_of, same
from assets.parameters import MEASURED, OTHER, UNKNOWN_SEED, Parameter, folded

_MOST_SHOWN = 60  # characters of a value within a sentence
_DISTILLED = "guidance"  # which Flux has beside a CFG scale of 1
_LATENT = 8  # pixels of a side that are made as one
_PRECISION = Decimal("1e-6")  # of a number with 32 bits
_MOST_DIGITS = 100  # before or behind the point, of numbers that may be close


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
    known = [each for each in parameters if each.group != OTHER]
    factor = next((number_of(each.value) for each in known if each.name == "hires_upscale"), None)
    found = {each.name: [*_other_keys(each), *_facts_against(each, facts, factor)] for each in known}
    return {name: sentences for name, sentences in found.items() if sentences}


def _other_keys(parameter: Parameter) -> Iterator[str]:
    if _is_open(parameter):
        return
    for key, value in parameter.others:
        if value is None or _agree(value, parameter.value):
            continue
        if key in MEASURED:
            yield f"the worker reported {_shown(value)}"
        elif _means_the_same(key, value, parameter):
            yield f"{_shown(key)} says {_shown(value)}"


def _is_open(parameter: Parameter) -> bool:
    """Whether any seed was asked for."""
    return parameter.name == "seed" and _agree(parameter.value, UNKNOWN_SEED)


def _means_the_same(key: str, value: Any, parameter: Parameter) -> bool:
    """A word of another key, such as the id of a model beside its name, need not be that of this one."""
    if folded(key) == folded(parameter.keys[0]):
        return True
    is_number = number_of(value) is not None or number_of(parameter.value) is not None
    return is_number and key != _DISTILLED


def _facts_against(parameter: Parameter, facts: Facts, factor: Decimal | None) -> Iterator[str]:
    value = parameter.value
    if value is None or value == "" or _is_open(parameter):
        return
    if parameter.name == "format":
        yield from _formats_against(value, facts)
    elif parameter.name == "size":
        yield from _sizes_against(value, facts)
    for sentence, fact in _sayings(parameter.name, facts):
        if fact is not None and not _agree(value, fact) and not _is_enlarged(parameter, fact, factor):
            yield sentence.format(fact)


def _is_enlarged(parameter: Parameter, fact: int, factor: Decimal | None) -> bool:
    """Whether a side is what was asked for, after a second pass at so many times the size."""
    side = number_of(parameter.value)
    if parameter.name not in ("width", "height") or side is None or factor is None:
        return False
    is_plausible = 0 < side < 100_000 and 0 < factor < 100
    return is_plausible and abs(side * factor - fact) < _LATENT


def _sayings(name: str, facts: Facts) -> list[tuple[str, int | None]]:
    return {
        "seed": [("the row’s seed is {}", None if facts.seed == UNKNOWN_SEED else facts.seed)],
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


_PICTURED = re.compile(r"(image|video)/[a-z0-9.+-]+")
_MIMES = {known.extension: known.mime for known in FORMATS} | {"image/jpg": "image/jpeg"}


def _mime(text: str) -> str:
    """The type that a format's name or extension means; empty where it names none."""
    name = text.strip().lower().removeprefix(".")
    mime = _MIMES.get(name) or (name if "/" in name else mimetypes.types_map.get(f".{name}", ""))
    return mime if _PICTURED.fullmatch(mime) else ""


def _agree(left: Any, right: Any) -> bool:
    """As values of JSON, or as numbers however they are spelt, or as text in any case."""
    if same(left, right):
        return True
    first, second = number_of(left), number_of(right)
    if first is not None and second is not None:
        return first == second or _are_close(first, second)
    words = _word(left), _word(right)
    return words[0] is not None and words[0] == words[1]


def _are_close(first: Decimal, second: Decimal) -> bool:
    """As a worker of 32 bits reports 6.3: 6.300000190734863. Whole numbers have no such excuse."""
    if (
        max(abs(first.adjusted()), abs(second.adjusted())) > _MOST_DIGITS
        or first == first.to_integral_value()
    ):
        return False
    return abs(first - second) <= abs(first) * _PRECISION


def _word(value: Any) -> str | None:
    if isinstance(value, bool):
        return encode(value)
    return value.strip().casefold() if isinstance(value, str) else None


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else encode(value, indent=None)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
