"""The gallery: a filtered list of assets as a grid or a table, with its rail of filters."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from assets import facets
from assets.access import viewers_only
from assets.counts import Count
from assets.export import FORMATS
from assets.facets import Listed, count_facets
from assets.filters import EXPIRIES, SORTS, VERDICTS, VIEWS, AssetFilterSet
from assets.pagination import CursorError, Page, keyset_page
from assets.replica import reads_from_replica
from assets.reviews import verdicts
from assets.views.cards import cards, for_cards
from assets.views.notices import notices
from assets.views.saved_views import rail_context
from assets.views.status import status

PAGE_SIZE = 60
BY_EXPIRY = "expires_at"


@require_safe
@viewers_only
@reads_from_replica
def gallery(request: HttpRequest) -> HttpResponse:
    filterset = AssetFilterSet(request.GET)
    errors = list(explain(filterset))
    listed = filterset.selection()
    try:
        page = keyset_page(
            for_cards(listed.ordered),
            filterset.order,
            sieve=listed.sieve,
            after=request.GET.get("after", ""),
            before=request.GET.get("before", ""),
            size=PAGE_SIZE,
        )
    except CursorError as error:
        page, errors = Page([], "", ""), [*errors, str(error)]
    is_paged = bool(request.GET.get("after") or request.GET.get("before"))
    found = verdicts(asset.pk for asset in page.rows)
    counts = count_facets(filterset, None if is_paged or page.after else Listed(page.rows, found))
    context = {
        "filterset": filterset,
        "status": status(request.user),
        "errors": errors,
        "notices": list(notices(filterset)),
        "chips": list(chips(filterset)),
        "cards": cards(page.rows, filterset.now, filterset.query(), found),
        "first_url": f"?{filterset.query()}",
        "next_url": f"?{filterset.query(after=page.after)}" if page.after else "",
        "previous_url": f"?{filterset.query(before=page.before)}" if page.before else "",
        "is_paged": is_paged,
        "total": at_least(counts.total, len(page.rows)),
        "count_url": f"{reverse('count')}?{filterset.query()}",
        "facets": options_of(filterset, counts),
        "export_urls": export_urls("export", filterset),
        "sorts": list(switch(filterset, "sort", {name: label for name, (label, _) in SORTS.items()})),
        "views": list(switch(filterset, "view", VIEWS)),
        "carried": carried(filterset),
        "conditions": filterset.given.get("setting", []),
        "created_type": created_type(filterset),
        **rail_context(request.user, filterset),
    }
    return render(request, "assets/gallery.html", context)


@require_safe
@viewers_only
@reads_from_replica
def count(request: HttpRequest) -> HttpResponse:
    """The exact number of a selection, however large, for a person who asked."""
    filterset = AssetFilterSet(request.GET)
    context = {
        "total": Count(filterset.qs.count()),
        "errors": list(explain(filterset)),
        "chips": list(chips(filterset)),
        "is_paged": False,
        "first_url": f"{reverse('gallery')}?{filterset.query()}",
    }
    return render(request, "assets/count.html", context)


# --- What is selected, in words ------------------------------------------------


class Chip(NamedTuple):
    label: str
    text: str
    query: str  # without this filter


def chips(filterset: AssetFilterSet) -> Iterator[Chip]:
    for name, values in filterset.given.items():
        if name in {"sort", "view"} and name not in filterset.errors:
            continue
        known = filterset.filters.get(name)
        for value in values:
            others = [other for other in values if other != value]
            without = {name: others, **_soonest_first(filterset, name, value, is_chosen=True)}
            yield Chip(
                known.label if known else name, chip_text(filterset, name, value), filterset.query(**without)
            )


def chip_text(filterset: AssetFilterSet, name: str, value: str) -> str:
    if name == "expires":
        return EXPIRIES.get(value, value)
    if name == "verdict":
        return VERDICTS.get(value, value)
    if name == "user" and (owner := filterset.form.cleaned_data.get("user")):
        return owner.username or str(owner.id)
    if name == "same_prompt" and (prompt := filterset.form.cleaned_data.get(name)):
        value = prompt.text or "no prompt"
    return value if len(value) <= 80 else f"{value[:80]}…"


def explain(filterset: AssetFilterSet) -> Iterator[str]:
    for name, messages in filterset.errors.items():
        label = filterset.filters[name].label if name in filterset.filters else ""
        for message in messages:
            yield f"{label}: {message}" if label else message


# --- The rail --------------------------------------------------------------------


class Option(NamedTuple):
    label: str
    query: str  # choosing it, or leaving it where it is chosen
    is_chosen: bool
    count: Count | None = None


def switch(filterset: AssetFilterSet, name: str, labels: dict[str, str]) -> Iterator[Option]:
    chosen = getattr(filterset, f"chosen_{name}")
    for value, label in labels.items():
        yield Option(label, filterset.query(**{name: value}), value == chosen)


def export_urls(name: str, filterset: AssetFilterSet) -> list[tuple[str, str]]:
    """Where the list is to be had in each format."""
    return [
        (known.label, f"{reverse(name, args=[form])}?{filterset.query()}") for form, known in FORMATS.items()
    ]


def carried(filterset: AssetFilterSet) -> list[tuple[str, str]]:
    """What the rail chooses by links, for its form to keep."""
    names = ("type", "model", "expires", "expires_after", "expires_before", "verdict")
    names += ("same_prompt", "same_settings", "sort", "view")
    return [(name, values[0]) for name, values in filterset.given.items() if name in names]


def created_type(filterset: AssetFilterSet) -> str:
    """The browser's own date picker, unless it would lose a time of day that the URL names."""
    given = filterset.given
    values = [*given.get("created_after", []), *given.get("created_before", [])]
    return "date" if all(re.fullmatch(r"\d{4}-\d\d-\d\d", value) for value in values) else "text"


class Facets(NamedTuple):
    types: list[Option]
    models: list[Option]
    expiries: list[Option]
    verdicts: list[Option]


def options_of(filterset: AssetFilterSet, counts: facets.Facets) -> Facets:
    def option(name: str, value: str, label: str, count: Count) -> Option:
        is_chosen = filterset.given.get(name) == [value]
        changes = {name: None if is_chosen else value, **_soonest_first(filterset, name, value, is_chosen)}
        return Option(label, filterset.query(**changes), is_chosen, count)

    return Facets(
        types=[option("type", value, value, count) for value, count in counts.types.items()],
        models=_most_first(option("model", value, value, count) for value, count in counts.models.items()),
        expiries=[option("expires", name, EXPIRIES[name], count) for name, count in counts.expiries.items()],
        verdicts=[option("verdict", name, VERDICTS[name], count) for name, count in counts.verdicts.items()],
    )


def _soonest_first(
    filterset: AssetFilterSet, name: str, value: str, is_chosen: bool
) -> dict[str, str | None]:
    """What expires is listed soonest first, as long as it is chosen."""
    if name != "expires" or value == "never":
        return {}
    if not is_chosen:
        return {"sort": BY_EXPIRY}
    return {"sort": None} if filterset.chosen_sort == BY_EXPIRY else {}


def _most_first(options: Iterable[Option]) -> list[Option]:
    """Without those that would leave nothing: models are many."""
    shown = [option for option in options if option.count != Count(0) or option.is_chosen]
    return sorted(shown, key=lambda option: (-option.count.number, option.label))


def at_least(count: Count, shown: int) -> Count:
    """Of a sample there may be fewer than the page itself shows."""
    shown = min(shown, facets.TOTAL_CAP)
    return Count(shown, capped=True) if count.capped and count.number < shown else count
