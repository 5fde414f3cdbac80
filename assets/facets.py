"""How many assets a selection has, and how many each type, model, expiry and verdict would leave of it.

No number costs more where the table is larger: some stop at a cap, and some are of the first rows alone.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.core.cache import cache
from django.core.exceptions import EmptyResultSet
from django.db.models import Case, F, Q, QuerySet, TextField, Value, When
from django.db.models import Count as Counting

from assets.counts import Capped, Count, CountStatement
from assets.filters import EXPIRIES, EXPIRY_WINDOWS, VERDICTS, AssetFilterSet
from assets.models import Review, WorkspaceAsset
from assets.pagination import PROBED_FIRST, is_rare
from assets.shapes import written
from assets.sieves import Selection, are_countable, verdict_of_asset
from assets.time_limits import TimeLimitError, rows_within
from assets.windows import estimate, first_rows, rows_passing

TOTAL_CAP = 10_000
FACET_CAP = 1_000
FAR = 10  # times its cap, which a total does not fall below in a moment
MOST_LOOKED_UP = 2_000  # assets, for the number of those without a verdict
MOST_OPTIONS = 60  # of one facet
OPTIONS_AGE = 60  # seconds for which a new type or model may be missing
SAMPLE = 3_000  # rows of a list, of which those that pass a sieve are counted
ENOUGH = 15  # of a sample; where there are fewer, those that pass are looked up
MOST_FOUND = 3_000  # of them; where more are expected, FACET_CAP
WORTH_TRYING = 100_000  # rows that an index finds, of which so many are looked for
TIME_LIMIT = 1.0  # seconds, for each of the statements
MANY, MANY_AGE = "facets-many", 20  # of cache keys; seconds for which a number beyond its cap stays so

UNKNOWN = Count(0, capped=True)


class Facets(NamedTuple):
    total: Count
    types: dict[str, Count]
    models: dict[str, Count]
    expiries: dict[str, Count]
    verdicts: dict[str, Count]


class Listed(NamedTuple):
    """All assets of a selection, where they are so few that a page has them, and their verdicts."""

    assets: list[WorkspaceAsset]
    verdicts: Mapping[UUID, Review]


def count_facets(filterset: AssetFilterSet, listed: Listed | None = None) -> Facets:
    """Where it takes too long, nothing is known of any."""
    options = _options(filterset)
    of_listed = [name for name in options if listed and name not in filterset.names()]
    others = [name for name in options if name not in of_listed]
    counted = [name for name in others if _is_counted(filterset, name)]
    sampled = [name for name in others if name not in counted]
    try:
        found = _counted(filterset, {name: options[name] for name in counted})
        found |= _sampled(filterset, {name: options[name] for name in sampled})
    except TimeLimitError:
        found = {name: dict.fromkeys(options[name], UNKNOWN) for name in others}
    if listed:
        sample = _Sample(list(_told_of(listed, filterset.now)), is_whole=True, cap=len(listed.assets))
        found |= {name: sample.counts(name, options[name]) for name in of_listed}
    return Facets(found["total"][""], *(found[name] for name in ("type", "model", "expires", "verdict")))


def _options(filterset: AssetFilterSet) -> dict[str, list[str]]:
    values = facet_values() if filterset.is_valid() else {"asset_type": [], "model_used": []}
    return {
        "total": [""],
        "type": sorted({*WorkspaceAsset.Type.values, *values["asset_type"]}),
        "model": values["model_used"],
        "expires": list(EXPIRIES),
        "verdict": list(VERDICTS),
    }


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
    many = _known_many(filterset, options)
    left = {
        name: [value for value in values if value not in many.get(name, {})]
        for name, values in options.items()
    }
    statement = written(filterset, _write, tuple((name, tuple(values)) for name, values in left.items()))
    counts = statement.counts(time_limit=TIME_LIMIT)
    found = {name: many.get(name, {}) | _of_options(name, left[name], counts) for name in options}
    for name in options:
        if name not in many and _is_of_all(filterset, name):
            cache.set(f"{MANY}-{name}", _many(name, found[name]), MANY_AGE)
    return {name: {value: found[name][value] for value in values} for name, values in options.items()}


def _known_many(filterset: AssetFilterSet, names: Iterable[str]) -> dict[str, dict[str, Count]]:
    """Of the whole workspace the numbers that were beyond the cap a moment ago.

    All others are counted anew for each page, since people see what they themselves change.
    """
    keys = {f"{MANY}-{name}": name for name in names if _is_of_all(filterset, name)}
    return {keys[key]: many for key, many in cache.get_many(keys).items()}


def _is_of_all(filterset: AssetFilterSet, name: str) -> bool:
    """Whether the numbers of a facet are of the whole workspace."""
    return filterset.is_valid() and filterset.names() <= {name}


def _many(name: str, counts: Mapping[str, Count]) -> dict[str, Count]:
    cap = TOTAL_CAP if name == "total" else FACET_CAP
    many = {value: count for value, count in counts.items() if count == Count(cap, capped=True)}
    # The total stands above the list: it must not say so of assets that one operation has removed meanwhile.
    return {} if many and name == "total" and _about_all() < FAR * TOTAL_CAP else many


def _write(filterset: AssetFilterSet, options: tuple[tuple[str, tuple[str, ...]], ...]) -> CountStatement:
    return CountStatement.of(_to_count(filterset, {name: list(values) for name, values in options}))


def _to_count(filterset: AssetFilterSet, options: Mapping[str, list[str]]) -> dict[str, Capped]:
    wanted: dict[str, Capped] = {}
    if options.get("total"):
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
        found = filterset.filter_verdict(first_rows(others, MOST_LOOKED_UP), "verdict", verdict)
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
    cap: int  # of its numbers, where there are more

    @property
    def is_few(self) -> bool:
        return not self.is_whole and self.size < ENOUGH

    @property
    def size(self) -> int:
        return sum(group.number for group in self.groups)

    def counts(self, name: str, values: Iterable[str]) -> dict[str, Count]:
        """Of a facet."""
        return {value: self._count(_means(name, value)) for value in values}

    def _count(self, is_meant: Callable[[_Group], bool]) -> Count:
        number = sum(group.number for group in self.groups if is_meant(group))
        return Count(number) if self.is_whole else Count(min(number, self.cap), capped=True)


def _sampled(filterset: AssetFilterSet, options: Mapping[str, list[str]]) -> dict[str, dict[str, Count]]:
    """Numbers that are the least there can be, unless all rows were looked at; by two statements at most."""
    given = filterset.names()
    parts = {name: name if name in given else "" for name in options}  # a facet without its own filter
    selections = {part: filterset.selection(without=[part]) for part in dict.fromkeys(parts.values())}
    told = {part: tuple(name for name in options if parts[name] == part) for part in selections}
    whole = filterset.selection()
    alike = {part for part, selection in selections.items() if selection.sieve == whole.sieve}
    rare = alike if is_rare(*whole) else set()
    likely_few = {part for part, selection in selections.items() if part in rare or _is_likely_few(selection)}
    samples = _first_samples(filterset, {part: told[part] for part in selections if part not in likely_few})
    few = [part for part in selections if part in likely_few or samples[part].is_few]
    columns = {part: _told_apart(filterset.now, told[part]) for part in few}
    samples |= _looked_up({part: selections[part] for part in few}, columns, rare)
    return {name: samples[parts[name]].counts(name, values) for name, values in options.items()}


def _is_likely_few(selection: Selection) -> bool:
    """Whether so few pass that a sample would not have enough of them."""
    sieve = selection.sieve
    if any(number * SAMPLE < ENOUGH * PROBED_FIRST for number in sieve.passed):
        return True
    if not sieve or not (sieve.estimates or sieve.can_be_estimated()):
        return False
    passing = sieve.estimate(selection.ordered)
    return passing.are_few(WORTH_TRYING) and passing.rows * SAMPLE < _about_all() * ENOUGH


def _about_all() -> float:
    """The number of all assets, as the planner takes it."""
    return cache.get_or_set(
        "about-all", lambda: estimate(WorkspaceAsset.objects.all(), Q()).rows, OPTIONS_AGE
    )


def _means(name: str, value: str) -> Callable[[_Group], bool]:
    if name == "total":
        return lambda group: True
    if name == "expires" and value in EXPIRY_WINDOWS:
        windows = [window for window, span in EXPIRY_WINDOWS.items() if span <= EXPIRY_WINDOWS[value]]
        return lambda group: group.expires in windows
    return lambda group: getattr(group, name) == value


def _first_samples(filterset: AssetFilterSet, told: Mapping[str, tuple[str, ...]]) -> dict[str, _Sample]:
    """Of the first rows of each list those that pass its sieve."""
    found = written(filterset, _write_first_samples, tuple(told.items())).groups(filterset.queryset.db)

    def tried(part: str) -> int:
        groups = found.get(f"all of {part}", found.get(part, []))
        return sum(group.number for group in groups)

    return {part: _Sample(found.get(part, []), is_whole=tried(part) < SAMPLE, cap=SAMPLE) for part in told}


def _write_first_samples(
    filterset: AssetFilterSet, told: tuple[tuple[str, tuple[str, ...]], ...]
) -> "_GroupStatement":
    order, queries = filterset.order, []
    ordering = [f"{'-' if order.descending else ''}{column}" for column in (order.column, "pk")]
    for part, names in told:
        ordered, sieve = filterset.selection(without=[part])
        rows = first_rows(ordered.order_by(*ordering), SAMPLE).order_by()
        columns = _told_apart(filterset.now, names)
        queries.append(_grouped(rows.filter(sieve.cheap), part, columns))
        if sieve:
            queries.append(_grouped(rows, f"all of {part}", dict.fromkeys(columns, Value(""))))
    return _GroupStatement.of(queries)


def _looked_up(
    selections: Mapping[str, Selection], columns: Mapping[str, Mapping[str, Any]], rare: Collection[str]
) -> dict[str, _Sample]:
    queries, caps = [], {}
    for part, (ordered, sieve) in selections.items():
        expected = sieve.estimate(ordered)
        passing = rows_passing(ordered, sieve.indexed, alone=part in rare or expected.are_few(WORTH_TRYING))
        caps[part] = MOST_FOUND if expected.rows <= MOST_FOUND else FACET_CAP
        queries.append(_grouped(first_rows(passing, caps[part] + 1), part, columns[part]))
    groups = _GroupStatement.of(queries).groups(WorkspaceAsset.objects.db)
    samples = {part: _Sample(groups.get(part, []), is_whole=True, cap=cap) for part, cap in caps.items()}
    return {part: sample._replace(is_whole=sample.size <= sample.cap) for part, sample in samples.items()}


def _told_apart(now: datetime, names: Collection[str]) -> dict[str, Any]:
    """What the groups of a sample differ by, as far as some facets need it."""
    windows = [When(expires_at__lte=now + span, then=Value(name)) for name, span in EXPIRY_WINDOWS.items()]
    expired = When(expires_at__lte=now, then=Value("expired"))
    never = When(expires_at=None, then=Value("never"))
    told = {
        "type": F("asset_type"),
        "model": F("model_used"),
        "expires": Case(expired, *windows, never, default=Value("later"), output_field=TextField()),
        "verdict": verdict_of_asset(),
    }
    return {f"of_{name}": value if name in names else Value("") for name, value in told.items()}


def _told_of(listed: Listed, now: datetime) -> Iterator[_Group]:
    """The same of assets that are at hand."""
    for asset in listed.assets:
        review = listed.verdicts.get(asset.pk)
        verdict = review.verdict if review else "none"
        yield _Group("", asset.asset_type, asset.model_used, _expiry(asset.expires_at, now), verdict, 1)


def _expiry(at: datetime | None, now: datetime) -> str:
    if at is None:
        return "never"
    windows = (name for name, span in EXPIRY_WINDOWS.items() if at <= now + span)
    return "expired" if at <= now else next(windows, "later")


def _grouped(rows: QuerySet, part: str, columns: Mapping[str, Any]) -> QuerySet:
    named = {"part": Value(part), **columns}
    return rows.annotate(**named).values(*named).annotate(number=Counting("*"))


class _GroupStatement(NamedTuple):
    sql: str  # empty where nothing can be found
    params: list[Any]

    @classmethod
    def of(cls, queries: Sequence[QuerySet]) -> "_GroupStatement":
        if not queries:
            return cls("", [])
        union = queries[0].union(*queries[1:], all=True) if len(queries) > 1 else queries[0]
        try:
            sql, params = union.query.get_compiler(union.db).as_sql()
        except EmptyResultSet:
            return cls("", [])
        return cls(sql, list(params))

    def groups(self, using: str) -> dict[str, list[_Group]]:
        groups: dict[str, list[_Group]] = {}
        for row in rows_within(using, TIME_LIMIT, self.sql, self.params) if self.sql else ():
            groups.setdefault(row[0], []).append(_Group(*row))
        return groups
