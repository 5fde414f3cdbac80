"""The filters of lists: page, links, exports and operations all select through them."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import lru_cache, reduce
from operator import and_
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

import django_filters as filters
from django.core.validators import EMPTY_VALUES
from django.db.models import BigIntegerField, Exists, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import QueryDict
from django.utils import timezone
from django.utils.functional import cached_property

from assets.fields import Actor, Owner, StrictForm
from assets.filter_kinds import (
    ActorFilter,
    ConditionsFilter,
    IntegerFilter,
    MimeFilter,
    OwnerFilter,
    QuickFilterSet,
    SamePromptFilter,
    SameSettingsFilter,
    SizeFilter,
    TypeFilter,
    WordsFilter,
    one_of,
    seed_filter,
    since,
    sort_by,
    until,
)
from assets.likeness import Prompt, Request
from assets.models import Disposition, LibraryAsset, Review, Verdict, WorkspaceAsset
from assets.models.prompts import has_words
from assets.models.upstream import WorkspaceAssetQuerySet
from assets.pagination import Order, Sieve
from assets.setting_conditions import SettingCondition
from assets.sieves import SIEVES, Selection, have_few, names_in_order, settings_sieve, verdict_sieve

# --- The selection -----------------------------------------------------------

EXPIRY_WINDOWS = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "3d": timedelta(days=3),
    "7d": timedelta(days=7),
}
EXPIRIES = {
    "1h": "within 1 hour",
    "24h": "within 24 hours",
    "3d": "within 3 days",
    "7d": "within 7 days",
    "expired": "already expired",
    "never": "never",
}
SORTS = {
    "-created_at": ("Newest first", Order("created_at", descending=True)),
    "created_at": ("Oldest first", Order("created_at")),
    "expires_at": ("Expiring first", Order("expires_at")),
    "-file_size_bytes": ("Largest first", Order("file_size_bytes", descending=True)),
}
MOST_REVIEWS = 1_000_000  # of one verdict, which one query looks through for those of assets that are here
MOST_REVIEWED = 10_000  # assets that are listed to the database one by one
VERDICTS = {"approved": "approved", "flagged": "flagged", "none": "neither"}
VIEWS = {"grid": "Grid", "table": "Table"}

DEFAULT_SORT, DEFAULT_VIEW = "-created_at", "grid"


class ListFilterSet(QuickFilterSet):
    """What a query string selects, and the query strings around it.

    A value that is not understood selects nothing, and `errors` says why.
    """

    sorts: Mapping[str, tuple[str, Order]]
    asset_id = "id"  # the column with the id of the asset that a row is about

    def __init__(self, data: QueryDict, queryset: QuerySet | None = None) -> None:
        super().__init__(data, queryset)
        self.now = timezone.now()  # one instant for all that a page says of expiry

    @property
    def qs(self) -> QuerySet:
        return self.select()

    def select(self, *, without: Iterable[str] = (), **instead: Any) -> QuerySet:
        """The selection, with some filters left out or given another (clean) value."""
        queryset = self.queryset.all()
        if not self.is_valid():
            return queryset.none()
        for name, value in (self.form.cleaned_data | instead).items():
            if name not in without:
                queryset = self.filters[name].filter(queryset, value)
        return queryset

    def selection(self, *, without: Iterable[str] = ()) -> Selection:
        """The same, for lists to walk: no index has their order and a verdict.

        What many have is met on the way. Few are looked up where the first rows have none.
        """
        ordered = self.select(without={*without, "verdict"})
        verdict = self._valid("verdict")
        if not verdict or "verdict" in without or not self.is_valid():
            return Selection(ordered, Sieve())
        sieve = verdict_sieve(verdict, self.asset_id)
        if verdict == Verdict.FLAGGED or (verdict != "none" and have_few(verdict)):
            return Selection(ordered, sieve)
        return Selection(ordered.filter(sieve.cheap), Sieve())

    # --- How it is shown ---

    @property
    def chosen_sort(self) -> str:
        return self._valid("sort") or next(iter(self.sorts))

    @property
    def chosen_view(self) -> str:
        return self._valid("view") or DEFAULT_VIEW

    @property
    def order(self) -> Order:
        return self.sorts[self.chosen_sort][1]

    def _valid(self, name: str) -> Any:
        self.is_valid()
        return self.form.cleaned_data.get(name)

    # --- Query strings ---

    @cached_property
    def given(self) -> dict[str, list[str]]:
        """The parameters of this selection as they were written, without empty ones and cursors."""
        written = ((name, [value for value in values if value.strip()]) for name, values in self.data.lists())
        return {name: values for name, values in written if values and name not in StrictForm.PAGING}

    def query(self, /, **changes: str | list[str] | None) -> str:
        """The query string of this selection with some parameters changed, or left out by None."""
        written = {name: values for name, values in (self.given | changes).items() if values}
        return _query_string(tuple((name, _hashable(values)) for name, values in written.items()))

    def leave(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        return queryset

    def filter_user(self, queryset: QuerySet, name: str, value: Owner) -> QuerySet:
        return queryset.filter(user_id=value.id)

    def filter_verdict(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        standing = Review.objects.standing().filter(asset_id=OuterRef(self.asset_id))
        if value == "none":
            # Looked up row by row. Most reviews are of assets that have left: to join all would take longer.
            found = standing.annotate(one=Value(True)).values("one")[:1]
            return queryset.filter(~Coalesce(Subquery(found), False))
        return queryset.filter(Exists(standing.filter(verdict=value)))


def _hashable(values: str | list[str]) -> str | tuple[str, ...]:
    return values if isinstance(values, str) else tuple(values)


@lru_cache(maxsize=512)
def _query_string(written: tuple[tuple[str, str | tuple[str, ...]], ...]) -> str:
    """A page has forty of them, most of which the next one has as well."""
    return urlencode(written, doseq=True, safe=":,/", quote_via=quote)


# --- The lists ------------------------------------------------------------------


class AssetFilterSet(ListFilterSet):
    """The gallery's."""

    sorts = SORTS

    user = OwnerFilter(label="User", method="filter_user")
    job = filters.UUIDFilter(
        label="Job", field_name="job_id", error_messages={"invalid": "Write the UUID of a job."}
    )
    type = TypeFilter(label="Type", field_name="asset_type", strip=False)
    model = filters.CharFilter(label="Model", field_name="model_used", strip=False)
    expires = one_of("Expires", EXPIRIES, "filter_expires")
    q = WordsFilter(label="Prompt words", method="filter_words", max_length=300)
    seed = seed_filter()
    mime = MimeFilter(label="MIME type", field_name="mime_type")
    created_after = since("Created from", "created_at")
    created_before = until("Created before", "created_at")
    expires_after = since("Expires from", "expires_at")
    expires_before = until("Expires before", "expires_at")
    size_min = SizeFilter(label="Size from", field_name="file_size_bytes", lookup_expr="gte")
    size_max = SizeFilter(label="Size up to", field_name="file_size_bytes", lookup_expr="lte")
    setting = ConditionsFilter(label="Setting", method="filter_settings")
    same_prompt = SamePromptFilter(label="Same prompt", method="filter_likeness")
    same_settings = SameSettingsFilter(label="Same settings as", method="filter_likeness")
    verdict = one_of("Verdict", VERDICTS, "filter_verdict")
    sort = sort_by(SORTS)
    view = one_of("View", VIEWS, "leave")

    class Meta:
        model = WorkspaceAsset
        fields: list[str] = []
        form = StrictForm

    # --- Filters that are more than a lookup ---

    def filter_expires(
        self, queryset: WorkspaceAssetQuerySet, name: str, value: str
    ) -> WorkspaceAssetQuerySet:
        return queryset.filter(self._expires(value))

    def _expires(self, value: str) -> Q:
        if value == "never":
            return Q(expires_at=None)
        if value == "expired":
            return Q(expires_at__lte=self.now)
        return Q(expires_at__gt=self.now, expires_at__lte=self.now + EXPIRY_WINDOWS[value])

    def filter_words(self, queryset: WorkspaceAssetQuerySet, name: str, value: str) -> WorkspaceAssetQuerySet:
        return queryset.filter(has_words(value))

    def filter_settings(
        self, queryset: WorkspaceAssetQuerySet, name: str, value: list[SettingCondition]
    ) -> WorkspaceAssetQuerySet:
        return queryset.filter(settings_sieve(value).indexed)

    def __init__(self, data: QueryDict, queryset: QuerySet | None = None) -> None:
        super().__init__(data, queryset)
        self._ids: dict[str, list[UUID] | None] = {}
        self._sieves: dict[str, Sieve] = {}  # made once, since some are looked up
        self._sifted: dict[frozenset[str], Sieve] = {}  # also of several, which are estimated

    def filter_verdict(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        ids = None if value == "none" else self._ids_with(value)
        if ids is None:
            return super().filter_verdict(queryset, name, value)
        return queryset.filter(id__in=ids)

    @property
    def exact(self) -> QuerySet:
        """The selection by the assets alone, whatever is known of settings: for what is done to them."""
        conditions = [condition.as_q() for condition in self._valid("setting") or []]
        return self.select(without=["setting"]).filter(*conditions)

    def _ids_with(self, verdict: str) -> list[UUID] | None:
        """The assets of a verdict, if they are few, looked up once.

        A join would read all rows: the database expects those that are reviewed to be among them, but most
        have left.
        """
        if verdict not in self._ids:
            reviews = Review.objects.newest(verdict, MOST_REVIEWS + 1)
            here = WorkspaceAsset.objects.among(reviews.values("asset_id")).values_list("id", flat=True)
            ids = list(here[: MOST_REVIEWED + 1]) if reviews.count() <= MOST_REVIEWS else None
            self._ids[verdict] = ids if ids is None or len(ids) <= MOST_REVIEWED else None
        return self._ids[verdict]

    def filter_likeness(self, queryset: QuerySet, name: str, value: Prompt | Request) -> QuerySet:
        return queryset.filter(value.as_q())

    # --- In two steps ---

    def names(self) -> set[str]:
        """The filters that are given; none where they are not understood."""
        return set(self._values()) if self.is_valid() else set()

    def selection(self, *, without: Iterable[str] = (), order: Order | None = None) -> Selection:
        """For lists in the order that was chosen, or another."""
        if not self.is_valid():
            return Selection(self.queryset.none(), Sieve())
        values = {name: value for name, value in self._values().items() if name not in without}
        in_order = names_in_order(order or self.order, set(values))
        ordered = self.queryset.all()
        for name in in_order:
            ordered = self.filters[name].filter(ordered, values[name])
        for name in values.keys() - in_order - self._sieves.keys():
            self._sieves[name] = self._sieve(name, values[name])
        sifted = frozenset(values.keys() - in_order)
        if sifted not in self._sifted:
            sieves = [self._sieves[name] for name in values if name in sifted]
            self._sifted[sifted] = reduce(and_, sieves, Sieve())
        # A job's assets are few, and never sifted.
        return Selection(ordered, Sieve(sorts_all=True) if "job" in values else self._sifted[sifted])

    def _values(self) -> dict[str, Any]:
        values = self.form.cleaned_data.items()
        shown = {"sort", "view"}
        return {name: value for name, value in values if value not in EMPTY_VALUES and name not in shown}

    def _sieve(self, name: str, value: Any) -> Sieve:
        if name == "expires":
            return Sieve.of(self._expires(value))
        if name in SIEVES:
            return SIEVES[name](value)
        known = self.filters[name]
        return Sieve.of(Q(**{f"{known.field_name}__{known.lookup_expr}": value}))


LIBRARY_SORTS = {
    "-created_at": ("Saved last", Order("created_at", descending=True)),
    "created_at": ("Saved first", Order("created_at")),
    "-file_size_bytes": ("Largest first", Order("file_size_bytes", descending=True)),
}


class LibraryFilterSet(ListFilterSet):
    sorts = LIBRARY_SORTS

    user = OwnerFilter(label="User", method="filter_user")
    type = one_of("Type", dict(WorkspaceAsset.Type.choices), "filter_type")
    model = filters.CharFilter(label="Model", field_name="model_used", strip=False)
    q = WordsFilter(label="Prompt words", method="filter_words", max_length=300)
    seed = seed_filter()
    mime = MimeFilter(label="MIME type", field_name="mime_type")
    title = filters.CharFilter(label="Title has", field_name="custom_title", lookup_expr="icontains")
    tag = filters.CharFilter(label="Tag", method="filter_tag")
    created_after = since("Saved from", "created_at")
    created_before = until("Saved before", "created_at")
    size_min = SizeFilter(label="Size from", field_name="file_size_bytes", lookup_expr="gte")
    size_max = SizeFilter(label="Size up to", field_name="file_size_bytes", lookup_expr="lte")
    verdict = one_of("Verdict", VERDICTS, "filter_verdict")
    sort = sort_by(LIBRARY_SORTS)

    class Meta:
        model = LibraryAsset
        fields: list[str] = []
        form = StrictForm

    def filter_type(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        return queryset.filter(asset_type=value)

    def filter_words(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        return queryset.with_prompt_words(value)

    def filter_tag(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        return queryset.filter(tags__contains=[value])


REMOVED_SORTS = {
    "-disposed_at": ("Newest first", Order("disposed_at", descending=True)),
    "disposed_at": ("Oldest first", Order("disposed_at")),
}
REMOVED_STATES = {
    "restorable": "can come back",
    "restored": "has come back",
    "purged": "files removed",
    "failing": "files could not be removed",
}


class RemovedFilterSet(ListFilterSet):
    """The ledger's."""

    sorts = REMOVED_SORTS
    asset_id = "asset_id"

    action = one_of("Why", dict(Disposition.Action.choices), "filter_action")
    actor = ActorFilter(label="By", method="filter_actor")
    user = OwnerFilter(label="User", method="filter_user")
    state = one_of("State", REMOVED_STATES, "filter_state")
    disposed_after = since("Left from", "disposed_at")
    disposed_before = until("Left before", "disposed_at")
    asset = filters.UUIDFilter(
        label="Asset", field_name="asset_id", error_messages={"invalid": "Write the UUID of an asset."}
    )
    operation = IntegerFilter(
        label="Operation",
        field_name="operation_id",
        min_value=0,
        max_value=BigIntegerField.MAX_BIGINT,
        error_messages={"invalid": "Write the number of an operation."},
    )
    verdict = one_of("Verdict", VERDICTS, "filter_verdict")
    sort = sort_by(REMOVED_SORTS)

    class Meta:
        model = Disposition
        fields: list[str] = []
        form = StrictForm

    def filter_action(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        return queryset.filter(action=value)

    def filter_actor(self, queryset: QuerySet, name: str, value: Actor) -> QuerySet:
        return queryset.filter(actor_id=value.id)

    def filter_state(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        states = {
            "restorable": queryset.restorable,
            "restored": lambda: queryset.filter(restored_at__isnull=False),
            "purged": lambda: queryset.filter(purged_at__isnull=False, restored_at=None),
            "failing": queryset.failing,
        }
        return states[value]()
