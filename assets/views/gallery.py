"""The gallery: a filtered list of assets as a grid or a table, with its rail of filters."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from assets.access import viewers_only
from assets.export import FORMATS
from assets.filters import EXPIRIES, SORTS, VERDICTS, VIEWS, AssetFilterSet
from assets.models import Review, WorkspaceAsset
from assets.models.reviews import STANDING
from assets.pagination import Capped, Count, CursorError, Page, capped_counts, keyset_page
from assets.views.cards import cards, for_cards
from assets.views.saved_views import rail_context
from assets.views.status import status

PAGE_SIZE = 60
TOTAL_CAP = 10_000
FACET_CAP = 1_000
MOST_LOOKED_UP = 2_000  # assets, for the number of those without a verdict
MOST_OPTIONS = 60  # of one facet
OPTIONS_AGE = 60  # seconds for which a new type or model may be missing from the rail


@require_safe
@viewers_only
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
    facets = count_facets(filterset)
    context = {
        "filterset": filterset,
        "status": status(),
        "errors": errors,
        "chips": list(chips(filterset)),
        "cards": cards(page.rows, filterset.now, filterset.query()),
        "first_url": f"?{filterset.query()}",
        "next_url": f"?{filterset.query(after=page.after)}" if page.after else "",
        "previous_url": f"?{filterset.query(before=page.before)}" if page.before else "",
        "is_paged": bool(request.GET.get("after") or request.GET.get("before")),
        "total": facets.total,
        "count_url": f"{reverse('count')}?{filterset.query()}",
        "facets": facets,
        "export_urls": export_urls("export", filterset),
        "sorts": list(switch(filterset, "sort", {name: label for name, (label, _) in SORTS.items()})),
        "views": list(switch(filterset, "view", VIEWS)),
        "carried": carried(filterset),
        "conditions": filterset.given().get("setting", []),
        "created_type": created_type(filterset),
        **rail_context(request.user, filterset),
    }
    return render(request, "assets/gallery.html", context)


@require_safe
@viewers_only
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
    for name, values in filterset.given().items():
        if name in {"sort", "view"} and name not in filterset.errors:
            continue
        known = filterset.filters.get(name)
        for value in values:
            others = [other for other in values if other != value]
            yield Chip(
                known.label if known else name,
                chip_text(filterset, name, value),
                filterset.query(**{name: others}),
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
    return [(name, values[0]) for name, values in filterset.given().items() if name in names]


def created_type(filterset: AssetFilterSet) -> str:
    """The browser's own date picker, unless it would lose a time of day that the URL names."""
    given = filterset.given()
    values = [*given.get("created_after", []), *given.get("created_before", [])]
    return "date" if all(re.fullmatch(r"\d{4}-\d\d-\d\d", value) for value in values) else "text"


class Facets(NamedTuple):
    types: list[Option]
    models: list[Option]
    expiries: list[Option]
    verdicts: list[Option]
    total: Count


def count_facets(filterset: AssetFilterSet) -> Facets:
    """How many assets each type, model, expiry and verdict would leave, by one statement with the total."""
    values = facet_values() if filterset.is_valid() else {"asset_type": [], "model_used": []}
    types = sorted({*WorkspaceAsset.Type.values, *values["asset_type"]})
    models = values["model_used"]
    wanted = {
        "total": Capped(filterset.qs, TOTAL_CAP),
        "type": Capped(filterset.select(without=["type"]), FACET_CAP, "asset_type", types),
        "model": Capped(filterset.select(without=["model"]), FACET_CAP, "model_used", models),
    }
    wanted |= {name: Capped(filterset.select(expires=name), FACET_CAP) for name in EXPIRIES}
    counts = capped_counts(wanted | _verdicts_to_count(filterset))
    return Facets(
        types=[_option(filterset, "type", value, value, counts["type"][value]) for value in types],
        models=_most_first(
            _option(filterset, "model", value, value, counts["model"][value]) for value in models
        ),
        expiries=[
            _option(filterset, "expires", name, label, counts[name][""]) for name, label in EXPIRIES.items()
        ],
        verdicts=[
            _option(filterset, "verdict", name, label, _of_verdict(name, counts))
            for name, label in VERDICTS.items()
        ],
        total=counts["total"][""],
    )


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


def _option(filterset: AssetFilterSet, name: str, value: str, label: str, count: Count) -> Option:
    is_chosen = filterset.given().get(name) == [value]
    return Option(label, filterset.query(**{name: None if is_chosen else value}), is_chosen, count)


def _most_first(options: Iterable[Option]) -> list[Option]:
    """Without those that would leave nothing: models are many."""
    shown = [option for option in options if option.count.number or option.is_chosen]
    return sorted(shown, key=lambda option: (-option.count.number, option.label))


def facet_values() -> dict[str, list[str]]:
    return cache.get_or_set(
        "facet-values",
        lambda: WorkspaceAsset.objects.all().distinct_values(["asset_type", "model_used"], MOST_OPTIONS),
        OPTIONS_AGE,
    )
