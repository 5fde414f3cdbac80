"""What a list cannot promise here, in calm sentences."""

from collections.abc import Iterator

from django.core.cache import cache
from django.utils.formats import date_format
from django.utils.timezone import localtime

from assets.filters import AssetFilterSet, ListFilterSet
from assets.indexes import is_small, lacking
from assets.models import KnownSettings

MAX_AGE = 20  # seconds, of what is the same for everybody


def notices(filterset: AssetFilterSet) -> Iterator[str]:
    if not filterset.is_valid():
        return
    yield from slow_notices(filterset)
    conditions = filterset.form.cleaned_data["setting"] or []
    if any(condition.operator != "=" for condition in conditions):
        said = cache.get_or_set("how-settings-are-known", _how_settings_are_known, MAX_AGE)
        yield from [said] if said else []


def slow_notices(filterset: ListFilterSet) -> Iterator[str]:
    """Of a list of the product's: what no index there answers."""
    model = filterset.queryset.model
    if filterset.is_valid() and (missing := lacking(model, filterset.order.column, filterset.given.keys())):
        yield (
            f"This database has no index for {' and '.join(missing)}: it may be slow,"
            " add a user, a type or a date."
        )


def _how_settings_are_known() -> str:
    """Nothing where all are soon looked through."""
    if is_small():
        return ""
    known = KnownSettings.objects.first()
    if known is None or known.complete_at is None:
        return "Settings are still being looked through: rare ones may take too long to find."
    looked_at = date_format(localtime(known.complete_at), "j M, H:i")
    return (
        f"All settings were last looked through on {looked_at}: a rare value that was changed in an"
        " older asset since then may be missing here."
    )
