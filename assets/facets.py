"""How many assets a selection has, and how many each type, model, expiry and verdict would leave of it.

No number costs more where the table is larger: some stop at a cap, and some are of the first rows alone.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.core.cache import cache
from django.core.exceptions import EmptyResultSet
from django.db.models import Case, F, QuerySet, TextField, Value, When
from django.db.models import Count as Counting

from assets.filters import EXPIRIES, EXPIRY_WINDOWS, VERDICTS, AssetFilterSet
from assets.models import Review, WorkspaceAsset
from assets.pagination import Capped, Count, Order, capped_counts, is_rare
from assets.sieves import Selection, are_countable, verdict_of_asset
from assets.time_limits import TimeLimitError, rows_within
from assets.windows import are_few, first_rows, rows_passing

TOTAL_CAP = 10_000
FACET_CAP = 1_000
MOST_LOOKED_UP = 2_000  # assets, for the number of those without a verdict
MOST_OPTIONS = 60  # of one facet
OPTIONS_AGE = 60  # seconds for which a new type or model may be missing
SAMPLE = 3_000  # rows of a list, of which those that pass a sieve are counted
ENOUGH = 15  # of a sample; where there are fewer, those that pass are looked up
MOST_FOUND = 3_000  # of them
WORTH_TRYING = 100_000  # rows that an index finds, of which so many are looked for
TIME_LIMIT = 1.0  # seconds, for each of the statements
MANY, MANY_AGE = "facets-many", 20  # a cache key; seconds for which a number beyond its cap stays so

UNKNOWN = Count(0, capped=True)


class Facets(NamedTuple):
    total: Count
    types: dict[str, Count]
    models: dict[str, Count]
    expiries: dict[str, Count]
    verdicts: dict[str, Count]


def count_facets(filterset: AssetFilterSet) -> Facets:
    """Where it takes too long, nothing is known of any."""
    values = facet_values() if filterset.is_valid() else {"asset_type": [], "model_used": []}
    options = {
        "total": [""],
        "type": sorted({*WorkspaceAsset.Type.values, *values["asset_type"]}),
        "model": values["model_used"],
        "expires": list(EXPIRIES),
        "verdict": list(VERDICTS),
    }
    counted = [name for name in options if _is_counted(filterset, name)]
    try:
        found = _counted(filterset, {name: options[name] for name in counted})
        found |= _sampled(filterset, {name: options[name] for name in options if name not in counted})
    except TimeLimitError:
        found = {name: dict.fromkeys(options[name], UNKNOWN) for name in options}
    return Facets(found["total"][""], *(found[name] for name in ("type", "model", "expires", "verdict")))


def facet_values() -> dict[str, list[str]]:
    return cache.get_or_set(
        "facet-values",
        lambda: WorkspaceAsset.objects.all().distinct_values(["asset_type", "model_used"], MOST_OPTIONS),
        OPTIONS_AGE,
    )


def _is_counted(filterset: AssetFilterSet, name: str) -> bool:
    """Whether an index alone has the numbers of a facet."""
    names = filterset.names() - {name}
    if name == "verdict":
        return not filterset.selection(without=[name]).sieve
    return are_countable(names if name == "total" else {*names, name})


# --- By an index -----------------------------------------------------------------


def _counted(filterset: AssetFilterSet, options: Mapping[str, list[str]]) -> dict[str, dict[str, Count]]:
    many = _known_many(filterset)
    left = {
        name: [value for value in values if value not in many.get(name, {})]
        for name, values in options.items()
    }
    counts = capped_counts(_to_count(filterset, left), time_limit=TIME_LIMIT)
    found = {name: many.get(name, {}) | _of_options(name, left[name], counts) for name in options}
    if not many and _is_unfiltered(filterset):
        cache.set(MANY, {name: _many(values) for name, values in found.items() if name != "total"}, MANY_AGE)
    return {name: {value: found[name][value] for value in values} for name, values in options.items()}


def _known_many(filterset: AssetFilterSet) -> dict[str, dict[str, Count]]:
    """Of the whole workspace the numbers that were beyond the cap a moment ago.

    All others, and the total, are counted anew for each page, since people see what they themselves change.
    """
    return cache.get(MANY, {}) if _is_unfiltered(filterset) else {}


def _is_unfiltered(filterset: AssetFilterSet) -> bool:
    return filterset.is_valid() and not filterset.names()


def _many(counts: Mapping[str, Count]) -> dict[str, Count]:
    return {value: count for value, count in counts.items() if count == Count(FACET_CAP, capped=True)}


def _to_count(filterset: AssetFilterSet, options: Mapping[str, list[str]]) -> dict[str, Capped]:
    wanted: dict[str, Capped] = {}
    if "total" in options:
        wanted["total"] = Capped(filterset.qs, TOTAL_CAP)
    for name, column in {"type": "asset_type", "model": "model_used"}.items():
        if options.get(name):
            wanted[name] = Capped(filterset.select(without=[name]), FACET_CAP, column, options[name])
    for value in options.get("expires", []):
        wanted[value] = Capped(filterset.select(expires=value), FACET_CAP)
    for value in options.get("verdict", []):
        wanted |= _verdict_to_count(filterset, value)
    return wanted


def _verdict_to_count(filterset: AssetFilterSet, verdict: str) -> dict[str, Capped]:
    """Of each verdict the newest reviews alone are looked up: most are of assets that have left.

    And without one some of the assets alone, since all may have been reviewed.
    """
    others = filterset.select(without=["verdict"])
    if verdict == "none":
        some = WorkspaceAsset.objects.among(others.order_by().values("id")[:MOST_LOOKED_UP])
        found = filterset.filter_verdict(some, "verdict", verdict)
        looked_up = Capped(others, MOST_LOOKED_UP)
    else:
        found = others.among(Review.objects.newest(verdict, FACET_CAP).values("asset_id"))
        looked_up = Capped(Review.objects.current().filter(verdict=verdict), FACET_CAP)
    return {verdict: Capped(found, FACET_CAP), f"{verdict} looked up": looked_up}


def _of_options(name: str, values: list[str], counts: Mapping[str, dict[str, Count]]) -> Mapping[str, Count]:
    if name == "verdict":
        return {value: _of_verdict(value, counts) for value in values}
    if name == "expires":
        return {value: counts[value][""] for value in values}
    return counts.get(name, {})


def _of_verdict(name: str, counts: Mapping[str, dict[str, Count]]) -> Count:
    """More than counted, where not all were looked up."""
    found, looked_up = counts[name][""], counts[f"{name} looked up"][""]
    return found._replace(capped=found.capped or looked_up.capped)


# --- By a sample -------------------------------------------------------------------


class _Group(NamedTuple):
    part: str
    type: str
    model: str
    expires: str
    verdict: str
    number: int


class _Sample(NamedTuple):
    """Of a selection the rows that were looked at, by what the facets tell apart."""

    groups: list[_Group]
    is_whole: bool

    @property
    def is_few(self) -> bool:
        return not self.is_whole and self.size < ENOUGH

    @property
    def size(self) -> int:
        return sum(group.number for group in self.groups)

    def count(self, is_meant: Callable[[_Group], bool]) -> Count:
        number = sum(group.number for group in self.groups if is_meant(group))
        return Count(min(number, MOST_FOUND), not self.is_whole)


def _sampled(filterset: AssetFilterSet, options: Mapping[str, list[str]]) -> dict[str, dict[str, Count]]:
    """Numbers that are the least there can be, unless all rows were looked at; by two statements at most."""
    given = filterset.names()
    parts = {name: name if name in given else "" for name in options}  # a facet without its own filter
    selections = {part: filterset.selection(without=[part]) for part in dict.fromkeys(parts.values())}
    columns = _told_apart(filterset.now, with_verdict="verdict" in options)
    whole = filterset.selection()
    alike = {part for part, selection in selections.items() if selection.sieve == whole.sieve}
    rare = alike if is_rare(*whole) else set()
    others = {part: selection for part, selection in selections.items() if part not in rare}
    samples = _first_samples(others, filterset.order, columns)
    few = [part for part in selections if part in rare or samples[part].is_few]
    samples |= _looked_up({part: selections[part] for part in few}, columns, rare)
    return {
        name: {value: samples[parts[name]].count(_means(name, value)) for value in values}
        for name, values in options.items()
    }


def _means(name: str, value: str) -> Callable[[_Group], bool]:
    if name == "total":
        return lambda group: True
    if name == "expires" and value in EXPIRY_WINDOWS:
        windows = [window for window, span in EXPIRY_WINDOWS.items() if span <= EXPIRY_WINDOWS[value]]
        return lambda group: group.expires in windows
    return lambda group: getattr(group, name) == value


def _first_samples(
    selections: Mapping[str, Selection], order: Order, columns: Mapping[str, Any]
) -> dict[str, _Sample]:
    """Of the first rows of each list those that pass its sieve."""
    ordering = [f"{'-' if order.descending else ''}{column}" for column in (order.column, "pk")]
    alike = dict.fromkeys(columns, Value(""))
    queries = []
    for part, (ordered, sieve) in selections.items():
        rows = first_rows(ordered.order_by(*ordering), SAMPLE).order_by()
        queries.append(_grouped(rows.filter(sieve.cheap), part, columns))
        queries.append(_grouped(rows, f"all of {part}", alike))
    groups = _groups(queries)
    return {
        part: _Sample(groups.get(part, []), is_whole=groups[f"all of {part}"][0].number < SAMPLE)
        for part in selections
    }


def _looked_up(
    selections: Mapping[str, Selection], columns: Mapping[str, Any], rare: Collection[str]
) -> dict[str, _Sample]:
    queries = []
    for part, (ordered, sieve) in selections.items():
        alone = part in rare or are_few(ordered, sieve.indexed, at_most=WORTH_TRYING)
        passing = rows_passing(ordered, sieve.indexed, alone=alone)
        queries.append(_grouped(first_rows(passing, MOST_FOUND + 1), part, columns))
    groups = _groups(queries)
    samples = {part: _Sample(groups.get(part, []), is_whole=True) for part in selections}
    return {part: sample._replace(is_whole=sample.size <= MOST_FOUND) for part, sample in samples.items()}


def _told_apart(now: datetime, *, with_verdict: bool) -> dict[str, Any]:
    windows = [When(expires_at__lte=now + span, then=Value(name)) for name, span in EXPIRY_WINDOWS.items()]
    expired = When(expires_at__lte=now, then=Value("expired"))
    never = When(expires_at=None, then=Value("never"))
    return {
        "of_type": F("asset_type"),
        "of_model": F("model_used"),
        "of_expiry": Case(expired, *windows, never, default=Value("later"), output_field=TextField()),
        "of_verdict": verdict_of_asset() if with_verdict else Value(""),
    }


def _grouped(rows: QuerySet, part: str, columns: Mapping[str, Any]) -> QuerySet:
    named = {"part": Value(part), **columns}
    return rows.annotate(**named).values(*named).annotate(number=Counting("*"))


def _groups(queries: list[QuerySet]) -> dict[str, list[_Group]]:
    groups: dict[str, list[_Group]] = {}
    if not queries:
        return groups
    union = queries[0].union(*queries[1:], all=True) if len(queries) > 1 else queries[0]
    try:
        sql, params = union.query.get_compiler(union.db).as_sql()
    except EmptyResultSet:
        return groups
    for row in rows_within(union.db, TIME_LIMIT, sql, params):
        groups.setdefault(row[0], []).append(_Group(*row))
    return groups
