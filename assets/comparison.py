"""What differs between assets: their columns, their settings, and the words of two texts."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum
from itertools import accumulate, combinations
from typing import Any, NamedTuple

from assets import prepared
from assets.lossless import same
from assets.models import WorkspaceAsset
from assets.models.upstream import WorkspaceAssetQuerySet
from assets.parameters import MEASURED, OTHER, RANKS, Parameter, parameters

FEWEST, MOST = 2, 6  # assets side by side
MOST_LABEL = 40  # characters
MOST_KEY = 200  # characters of each key in the name of a part
MOST_LEVELS = 8  # of objects within each other that are compared part by part
MOST_CHARACTERS = 40_000  # of a text, to be compared word by word
MOST_WORDS = 2_000
MOST_WORK = 1_000_000  # places looked at

ASSET = "Asset"  # the group of what is no setting
PROMPTS = frozenset(name for name in RANKS if name.endswith("prompt"))  # compared word by word


class Missing(Enum):
    """What stands where an asset has no value."""

    ABSENT = "absent"  # which is not null
    UNREAD = "too large to compare"  # the settings, as a whole


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter, with the value of each asset."""

    name: str
    label: str
    group: str
    values: tuple[Any, ...]

    @property
    def differs(self) -> bool:
        return _differ(self.values)


def _differ(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not Missing.UNREAD]
    return any(not same(known[0], value) for value in known[1:])


def readable(rows: WorkspaceAssetQuerySet, *, most_settings: int) -> list[WorkspaceAsset]:
    """The rows by one query, without settings of more bytes than that."""
    found = prepared.rows(rows.with_settings_up_to(most_settings))
    for row in found:
        is_read = row.settings_size is None or row.settings_size <= most_settings
        row.generation_settings = row.small_settings if is_read else Missing.UNREAD
    return found


# --- Rows --------------------------------------------------------------------


class _Column(NamedTuple):
    name: str
    label: str
    value: Callable[[WorkspaceAsset], Any]
    is_asked: bool = False  # rather than what came of it


def _pixels(asset: WorkspaceAsset) -> str | None:
    return f"{asset.width} × {asset.height}" if asset.width and asset.height else None


_COLUMNS = (
    _Column("prompt", "Prompt", lambda asset: asset.original_prompt, is_asked=True),
    _Column("model", "Model", lambda asset: asset.model_used, is_asked=True),
    _Column("seed", "Seed", lambda asset: asset.generation_seed, is_asked=True),
    _Column("type", "Type", lambda asset: asset.asset_type, is_asked=True),
    _Column("size", "Size", _pixels, is_asked=True),
    _Column("duration", "Duration", lambda asset: asset.duration_seconds),
    _Column("bytes", "Bytes", lambda asset: asset.file_size_bytes),
    _Column("job", "Job", lambda asset: asset.job_id),
    _Column("index", "Index", lambda asset: asset.asset_index),
    _Column("user", "User", lambda asset: asset.user_id),
    _Column("created", "Created", lambda asset: asset.created_at),
)


def compare(assets: Sequence[WorkspaceAsset]) -> Iterator[Row]:
    """The columns, then the settings; an object that differs is a row for each of its parts."""
    columns = {
        column.name: Row(column.name, column.label, ASSET, tuple(map(column.value, assets)))
        for column in _COLUMNS
    }
    yield from columns.values()
    for row in _setting_rows([asset.generation_settings for asset in assets]):
        column = columns.get(row.name)
        if column is None or not all(map(same, column.values, row.values)):
            yield row


def _setting_rows(settings: Sequence[Any]) -> Iterator[Row]:
    if not all(isinstance(each, dict) or each is Missing.UNREAD for each in settings):
        yield Row("settings", "Settings", ASSET, tuple(settings))
    said = [{each.name: each for each in parameters(one)} for one in settings]
    for first in _in_order(said):
        found = [each.get(first.name) for each in said]
        nothing = [Missing.UNREAD if one is Missing.UNREAD else Missing.ABSENT for one in settings]
        value = _by_key if _contradict([each for each in found if each]) else _value
        values = tuple(value(one) if one else none for one, none in zip(found, nothing, strict=True))
        yield from _rows(cut(first.name, MOST_KEY), cut(first.label, MOST_KEY), first.group, values)


def _in_order(said: Iterable[dict[str, Parameter]]) -> list[Parameter]:
    """Each parameter once."""
    once: dict[str, Parameter] = {}
    for each in said:
        once |= each
    return sorted(once.values(), key=lambda parameter: RANKS.get(parameter.name, len(RANKS)))


def _value(parameter: Parameter) -> Any:
    return parameter.value


def _by_key(parameter: Parameter) -> dict[str, Any]:
    return dict(zip(parameter.keys, parameter.values, strict=True))


def _contradict(found: Sequence[Parameter]) -> bool:
    """Whether other spellings of a parameter differ where its value does not."""
    pairs = combinations(found, 2)
    return any(same(one.value, another.value) and not _same_others(one, another) for one, another in pairs)


def _same_others(one: Parameter, another: Parameter) -> bool:
    return same(dict(one.others), dict(another.others))


def _rows(
    name: str, label: str, group: str, values: tuple[Any, ...], levels: int = MOST_LEVELS
) -> Iterator[Row]:
    objects = [value for value in values if isinstance(value, dict)]
    others = {type(value) for value in values} - {dict, Missing}
    if not levels or len(objects) < FEWEST or others or not _differ(objects):
        yield Row(name, label, group, values)
        return
    for key in dict.fromkeys(key for value in objects for key in value):
        parts = tuple(v.get(key, Missing.ABSENT) if isinstance(v, dict) else v for v in values)
        part = cut(key, MOST_KEY)  # since each of many parts is named after what it is in
        yield from _rows(f"{name}.{part}", f"{label}.{part}", group, parts, levels - 1)


# --- What was asked for differently -------------------------------------------


def changes(base: WorkspaceAsset, other: WorkspaceAsset) -> list[str]:
    """What was asked for differently, as words of a sentence: seed, steps, CFG scale."""
    labels = [
        _in_sentence(column.label)
        for column in _COLUMNS
        if column.is_asked and _column_changed(column, base, other)
    ]
    return list(
        dict.fromkeys([*labels, *_changed_settings(base.generation_settings, other.generation_settings)])
    )


def _column_changed(column: _Column, base: WorkspaceAsset, other: WorkspaceAsset) -> bool:
    one, another = column.value(base), column.value(other)
    # A row may leave its pixels open, though the same were asked for.
    return one is not None and another is not None and not same(one, another)


def _changed_settings(base: Any, other: Any) -> Iterator[str]:
    if not isinstance(base, dict) or not isinstance(other, dict):
        if not same(base, other):
            yield "settings"
        return
    said = [{each.name: each for each in parameters(_asked(one))} for one in (base, other)]
    for parameter in _in_order(said):
        if _changed(*(each.get(parameter.name) for each in said)):
            yield _PART_OF.get(parameter.name) or _label(parameter)


def _asked(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in MEASURED}


_PART_OF = {"width": "size", "height": "size"}


def _changed(one: Parameter | None, another: Parameter | None) -> bool:
    if one is None or another is None:
        return True
    return not (same(one.value, another.value) and _same_others(one, another))


def _label(parameter: Parameter) -> str:
    if parameter.group != OTHER:
        return _in_sentence(parameter.label)
    return cut(parameter.label, MOST_LABEL)


def _in_sentence(label: str) -> str:
    return label[:1].lower() + label[1:] if label[1:].islower() else label  # but CFG scale, and LoRAs


def cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}…"


def summary(changed: Sequence[str]) -> str:
    if not changed:
        return "made with the same parameters"
    if len(changed) == 1:
        return f"only the {changed[0]} {'differ' if changed[0].endswith('s') else 'differs'}"
    if len(changed) == 2:
        return f"{changed[0]} and {changed[1]} differ"
    more = f" and {len(changed) - 6} more" if len(changed) > 6 else ""
    return f"{len(changed)} differ: {', '.join(changed[:6])}{more}"


def caption(changed: Sequence[str]) -> str:
    """The same in the width of a thumbnail."""
    if len(changed) < 2:
        return f"only the {changed[0]}" if changed else "same parameters"
    return ", ".join(changed[:3]) + (f" +{len(changed) - 3}" if len(changed) > 3 else "")


def difference(base: WorkspaceAsset, other: WorkspaceAsset, *, say: Callable[[Sequence[str]], str]) -> str:
    if Missing.UNREAD in (base.generation_settings, other.generation_settings):
        return f"settings {Missing.UNREAD.value}"
    return say(changes(base, other))


# --- Words -------------------------------------------------------------------


class Piece(NamedTuple):
    kind: str  # kept, removed, added
    text: str


class WordDiff(NamedTuple):
    pieces: list[Piece]
    note: str  # what a person must know of it


_WORD = re.compile(r"(?:\w+|[^\w\s])\s*|\s+")


@dataclass(slots=True)
class Effort:
    """How many places may still be looked at, for one text or for all of a page."""

    left: int = MOST_WORK


def word_diff(before: str, after: str, effort: Effort | None = None) -> WordDiff:
    """How one text becomes the other, word by word, within limits of length and work."""
    texts = [_WORD.findall(text[:MOST_CHARACTERS]) for text in (before, after)]
    is_cut = max(len(before), len(after)) > MOST_CHARACTERS or max(map(len, texts)) > MOST_WORDS
    old, new = (words[:MOST_WORDS] for words in texts)
    bare = ([word.strip() for word in words] for words in (old, new))
    blocks, is_coarse = _common(*bare, effort or Effort())
    note = f"Only the first {MOST_WORDS:,} words are compared." if is_cut else ""
    if is_coarse:
        note = "These texts are too long or repetitive to be compared word by word throughout."
    return WordDiff(list(_pieces(old, new, blocks)), note)


def _pieces(old: list[str], new: list[str], blocks: list[tuple[int, int, int]]) -> Iterator[Piece]:
    at_old = at_new = 0
    for start_old, start_new, size in [*blocks, (len(old), len(new), 0)]:
        parts = (
            ("removed", old[at_old:start_old]),
            ("added", new[at_new:start_new]),
            ("kept", new[start_new : start_new + size]),
        )
        yield from (Piece(kind, "".join(words)) for kind, words in parts if words)
        at_old, at_new = start_old + size, start_new + size


def _common(old: list[str], new: list[str], effort: Effort) -> tuple[list[tuple[int, int, int]], bool]:
    """Runs of the same words, as (place in the old, in the new, length); and whether the search gave up."""
    start = _length_of_same(old, new)
    end = _length_of_same(old[start:][::-1], new[start:][::-1])
    middle = _Matcher(old[start : len(old) - end], new[start : len(new) - end], effort)
    blocks = [(start + one, start + another, size) for one, another, size in middle.blocks()]
    ends = [(0, 0, start), *blocks, (len(old) - end, len(new) - end, end)]
    return [block for block in ends if block[2]], middle.is_exhausted


def _length_of_same(old: list[str], new: list[str]) -> int:
    pairs = zip(old, new, strict=False)
    return next((at for at, (one, another) in enumerate(pairs) if one != another), min(len(old), len(new)))


class _Matcher:
    """difflib's search for the longest run, then on both sides of it, as long as a budget of work lasts."""

    def __init__(self, old: list[str], new: list[str], effort: Effort) -> None:
        self.size = len(old), len(new)
        self.effort = effort
        self.is_exhausted = False
        self._matcher = SequenceMatcher(None, old, new, autojunk=False)
        occurrences = Counter(new)
        # A search looks at each word of the old, and at each place in the new where it occurs.
        self._cost = list(accumulate((1 + occurrences[word] for word in old), initial=0))

    def blocks(self) -> list[tuple[int, int, int]]:
        found, waiting = [], [(0, self.size[0], 0, self.size[1])]
        while waiting:
            low, high, new_low, new_high = waiting.pop()
            if low == high or new_low == new_high or not self._affords(low, high):
                continue
            at, new_at, size = self._matcher.find_longest_match(low, high, new_low, new_high)
            if size:
                found.append((at, new_at, size))
                waiting += [(low, at, new_low, new_at), (at + size, high, new_at + size, new_high)]
        return sorted(found)

    def _affords(self, low: int, high: int) -> bool:
        cost = self._cost[high] - self._cost[low]
        if cost > self.effort.left:
            self.is_exhausted = True
            return False
        self.effort.left -= cost
        return True
