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
from django.http import QueryDict

from assets.filters import EXPIRIES, EXPIRY_WINDOWS, VERDICTS, AssetFilterSet
from assets.models import Review, WorkspaceAsset
from assets.models.reviews import STANDING
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
TIME_LIMIT = 1.0  # seconds, for each of the statements

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
    wanted: dict[str, Capped] = {}
    if "total" in options:
        wanted["total"] = Capped(filterset.qs, TOTAL_CAP)
    for name, column in {"type": "asset_type", "model": "model_used"}.items():
        if name in options:
            wanted[name] = Capped(filterset.select(without=[name]), FACET_CAP, column, options[name])
    if "expires" in options:
        wanted |= {name: Capped(filterset.select(expires=name), FACET_CAP) for name in EXPIRIES}
    if "verdict" in options:
        wanted |= _verdicts_to_count(filterset)
    counts = capped_counts(wanted, time_limit=TIME_LIMIT)
    found = {name: counts[name] for name in ("total", "type", "model") if name in options}
    if "expires" in options:
        found["expires"] = {name: counts[name][""] for name in EXPIRIES}
    if "verdict" in options:
        found["verdict"] = {name: _of_verdict(name, counts) for name in VERDICTS}
    return found


def _verdicts_to_count(filterset: AssetFilterSet) -> dict[str, Capped]:
    """Of each verdict the newest reviews alone are looked up: most are of assets that have left.

    And without one some of the assets alone, since all may have been reviewed.
    """
    others = filterset.select(without=["verdict"])
    some = AssetFilterSet(
        QueryDict(), WorkspaceAsset.objects.among(others.order_by().values("id")[:MOST_LOOKED_UP])
    )
    wanted = {
        "none": Capped(some.select(verdict="none"), FACET_CAP),
        "none looked up": Capped(others, MOST_LOOKED_UP),
    }
    for verdict in STANDING:
        newest = Review.objects.newest(verdict, FACET_CAP)
        wanted[verdict] = Capped(others.among(newest.values("asset_id")), FACET_CAP)
        wanted[f"{verdict} looked up"] = Capped(Review.objects.current().filter(verdict=verdict), FACET_CAP)
    return wanted


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
        alone = part in rare or (not sieve.can_be_estimated and are_few(ordered, sieve.indexed))
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
