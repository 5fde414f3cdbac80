"""The gallery's filters: page, links, exports and operations all select through them."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import django_filters as filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import BigIntegerField
from django.http import QueryDict
from django.utils import timezone

from assets.models import Profile, WorkspaceAsset
from assets.models.upstream import WorkspaceAssetQuerySet
from assets.pagination import Order
from assets.setting_conditions import ConditionError, SettingCondition

# --- Fields ------------------------------------------------------------------


class Owner(NamedTuple):
    id: UUID
    username: str | None  # None where the profile is gone, or has no name


class OwnerField(forms.CharField):
    """A user by UUID or by name. A UUID need not have a profile: assets outlive them."""

    def clean(self, value: Any) -> Owner | None:
        text = super().clean(value)
        if not text:
            return None
        uuid = _uuid(text)
        condition = {"id": uuid} if uuid else {"username": text}
        found = Profile.objects.filter(**condition).values_list("id", "username").first()
        if found is None and uuid is None:
            raise ValidationError(f"There is no user named “{text}”.")
        return Owner(*found) if found else Owner(uuid, None)


class WordsField(forms.CharField):
    def validate(self, value: str) -> None:
        super().validate(value)
        if value and not re.search(r"\w", value):
            raise ValidationError("Write at least one word.")


class TypeField(forms.CharField):
    """A type of the product's; it may have more of them than we know."""

    def run_validators(self, value: str) -> None:
        super().run_validators(value)  # first, since no query can hold a NUL
        known = not value or value in WorkspaceAsset.Type.values
        if not known and not WorkspaceAsset.objects.filter(asset_type=value).exists():
            raise ValidationError(
                f"“{value}” is not a type of asset: choose {_either(WorkspaceAsset.Type.values)}."
            )


class MimeField(forms.CharField):
    def validate(self, value: str) -> None:
        super().validate(value)
        if value and not re.fullmatch(r"[\w.+-]+/[\w.+-]+", value):
            raise ValidationError("Write a type such as image/png.")


class SizeField(forms.CharField):
    """Bytes, with or without a decimal unit: 500000, 500 kB, 1.5 MB."""

    UNITS = {"": 1, "b": 1, "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9}

    def clean(self, value: Any) -> int | None:
        text = super().clean(value)
        if not text:
            return None
        match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]{0,2})", text.lower(), re.ASCII)
        if not match or match[2] not in self.UNITS:
            raise ValidationError("Write a size such as 500000, 500 kB or 1.5 MB.")
        return min(int(float(match[1]) * self.UNITS[match[2]]), BigIntegerField.MAX_BIGINT)


class ConditionsField(forms.Field):
    """Any number of conditions on settings; all must hold."""

    MOST = 20

    class widget(forms.SelectMultiple):  # noqa: N801 (the name that forms.Field looks for)
        allow_multiple_selected = True

    def clean(self, value: list[str] | None) -> list[SettingCondition]:
        texts = [text for text in value or () if text.strip()]
        if len(texts) > self.MOST:
            raise ValidationError(f"At most {self.MOST} conditions on settings.")
        try:
            return [SettingCondition.parse(text) for text in texts]
        except ConditionError as error:
            raise ValidationError(str(error)) from None


class StrictForm(forms.Form):
    """Knows every parameter that it is given: one that is misspelt must not select everything."""

    PAGING = frozenset({"after", "before"})
    REPEATABLE = frozenset({"setting"})

    def clean(self) -> dict[str, Any]:
        for name, values in self.data.lists():
            if name not in self.fields and name not in self.PAGING:
                self.add_error(None, f"There is no filter named “{name[:60]}”.")
            elif len(values) > 1 and name not in self.REPEATABLE:
                self.add_error(
                    name if name in self.fields else None, f"“{name}” is given {len(values)} times."
                )
        self._check_bounds("size_min", "size_max", "The smallest size is above the largest.")
        self._check_bounds("created_after", "created_before", "These two times leave nothing between them.")
        return self.cleaned_data

    def _check_bounds(self, low: str, high: str, message: str) -> None:
        bounds = self.cleaned_data.get(low), self.cleaned_data.get(high)
        if None not in bounds and bounds[0] > bounds[1]:
            self.add_error(high, message)


def _either(values: Iterable[str]) -> str:
    *most, last = values
    return f"{', '.join(most)} or {last}"


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


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
    "expires_at": ("Expiring soonest", Order("expires_at")),
    "-file_size_bytes": ("Largest first", Order("file_size_bytes", descending=True)),
}
VIEWS = {"grid": "Grid", "table": "Table"}

_TIME_MESSAGES = {"invalid": "Write a day such as 2026-11-20 or a time such as 2026-11-20T10:30."}

DEFAULT_SORT, DEFAULT_VIEW = "-created_at", "grid"


class OwnerFilter(filters.Filter):
    field_class = OwnerField


class TypeFilter(filters.Filter):
    field_class = TypeField


class WordsFilter(filters.Filter):
    field_class = WordsField


class IntegerFilter(filters.Filter):
    field_class = forms.IntegerField


class MimeFilter(filters.Filter):
    field_class = MimeField


class DateTimeFilter(filters.Filter):
    field_class = forms.DateTimeField


class SizeFilter(filters.Filter):
    field_class = SizeField


class ConditionsFilter(filters.Filter):
    field_class = ConditionsField


def _one_of(label: str, choices: Mapping[str, str], method: str) -> filters.ChoiceFilter:
    message = f"“%(value)s” is not known here: choose {_either(choices)}."
    return filters.ChoiceFilter(
        label=label, choices=list(choices.items()), method=method, error_messages={"invalid_choice": message}
    )


class AssetFilterSet(filters.FilterSet):
    """What a query string selects, and the query strings around it.

    A value that is not understood selects nothing, and `errors` says why.
    """

    user = OwnerFilter(label="User", method="filter_user")
    job = filters.UUIDFilter(
        label="Job", field_name="job_id", error_messages={"invalid": "Write the UUID of a job."}
    )
    type = TypeFilter(label="Type", field_name="asset_type")
    model = filters.CharFilter(label="Model", field_name="model_used", strip=False)
    expires = _one_of("Expires", EXPIRIES, "filter_expires")
    q = WordsFilter(label="Prompt words", method="filter_words", max_length=300)
    seed = IntegerFilter(
        label="Seed",
        field_name="generation_seed",
        min_value=-BigIntegerField.MAX_BIGINT - 1,
        max_value=BigIntegerField.MAX_BIGINT,
        error_messages={"invalid": "Write a whole number."},
    )
    mime = MimeFilter(label="MIME type", field_name="mime_type")
    created_after = DateTimeFilter(
        label="Created from", field_name="created_at", lookup_expr="gte", error_messages=_TIME_MESSAGES
    )
    created_before = DateTimeFilter(
        label="Created before", field_name="created_at", lookup_expr="lt", error_messages=_TIME_MESSAGES
    )
    size_min = SizeFilter(label="Size from", field_name="file_size_bytes", lookup_expr="gte")
    size_max = SizeFilter(label="Size up to", field_name="file_size_bytes", lookup_expr="lte")
    setting = ConditionsFilter(label="Setting", method="filter_settings")
    sort = _one_of("Sort", {name: label for name, (label, _) in SORTS.items()}, "leave")
    view = _one_of("View", VIEWS, "leave")

    class Meta:
        model = WorkspaceAsset
        fields: list[str] = []
        form = StrictForm

    def __init__(self, data: QueryDict, queryset: WorkspaceAssetQuerySet | None = None) -> None:
        super().__init__(data, WorkspaceAsset.objects.all() if queryset is None else queryset)
        self.now = timezone.now()  # one instant for all that a page says of expiry

    @property
    def qs(self) -> WorkspaceAssetQuerySet:
        return self.select()

    def select(self, *, without: Iterable[str] = (), **instead: Any) -> WorkspaceAssetQuerySet:
        """The selection, with some filters left out or given another (clean) value."""
        queryset = self.queryset.all()
        if not self.is_valid():
            return queryset.none()
        for name, value in (self.form.cleaned_data | instead).items():
            if name not in without:
                queryset = self.filters[name].filter(queryset, value)
        return queryset

    # --- Filters that are more than a lookup ---

    def filter_user(
        self, queryset: WorkspaceAssetQuerySet, name: str, value: Owner
    ) -> WorkspaceAssetQuerySet:
        return queryset.for_user(value.id)

    def filter_expires(
        self, queryset: WorkspaceAssetQuerySet, name: str, value: str
    ) -> WorkspaceAssetQuerySet:
        if value == "never":
            return queryset.never_expiring()
        if value == "expired":
            return queryset.expired(self.now)
        return queryset.expiring(self.now, EXPIRY_WINDOWS[value])

    def filter_words(self, queryset: WorkspaceAssetQuerySet, name: str, value: str) -> WorkspaceAssetQuerySet:
        return queryset.with_prompt_words(value)

    def filter_settings(
        self, queryset: WorkspaceAssetQuerySet, name: str, value: list[SettingCondition]
    ) -> WorkspaceAssetQuerySet:
        for condition in value:
            queryset = queryset.filter(condition.as_q())
        return queryset

    def leave(self, queryset: WorkspaceAssetQuerySet, name: str, value: str) -> WorkspaceAssetQuerySet:
        return queryset

    # --- How it is shown ---

    @property
    def chosen_sort(self) -> str:
        return self._valid("sort") or DEFAULT_SORT

    @property
    def chosen_view(self) -> str:
        return self._valid("view") or DEFAULT_VIEW

    @property
    def order(self) -> Order:
        return SORTS[self.chosen_sort][1]

    def _valid(self, name: str) -> Any:
        self.is_valid()
        return self.form.cleaned_data.get(name)

    # --- Query strings ---

    def given(self) -> dict[str, list[str]]:
        """The parameters of this selection as they were written, without empty ones and cursors."""
        written = ((name, [value for value in values if value.strip()]) for name, values in self.data.lists())
        return {name: values for name, values in written if values and name not in StrictForm.PAGING}

    def query(self, /, **changes: str | list[str] | None) -> str:
        """The query string of this selection with some parameters changed, or left out by None."""
        query = QueryDict(mutable=True)
        for name, values in (self.given() | changes).items():
            if values:
                query.setlist(name, [values] if isinstance(values, str) else values)
        return query.urlencode(safe=":,/")
