"""Parts of the gallery on their own."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from django.contrib.auth.context_processors import PermWrapper
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.template.loader import render_to_string

from assets.counts import Capped, capped_counts
from assets.facets import TOTAL_CAP, count_facets
from assets.filters import AssetFilterSet
from assets.views import gallery
from assets.views.cards import Card

_first_page: dict[str, Any] = {}
_keeping = threading.Lock()


def facets(request: HttpRequest) -> HttpResponse:
    """The counts of the rail, and the total."""
    found = count_facets(AssetFilterSet(request.GET))
    return JsonResponse({name: str(value) for name, value in found._asdict().items()})


def total(request: HttpRequest) -> HttpResponse:
    """What stands above the list: 10,000+ where there are more."""
    rows = Capped(AssetFilterSet(request.GET).qs, TOTAL_CAP)
    return JsonResponse({"total": str(capped_counts({"": rows})[""][""])})


@login_not_required
def bare(request: HttpRequest) -> HttpResponse:
    """The first page from memory: its template alone, in full each time, and nothing of the database."""
    context = _kept_context(request)
    cards = _anew(context["cards"])
    return HttpResponse(render_to_string("assets/gallery.html", context | {"cards": cards}))


def _anew(cards: Iterable[Card]) -> list[Card]:
    """As nobody has rendered them yet."""
    return [replace(card) for card in cards]


def _kept_context(request: HttpRequest) -> dict[str, Any]:
    """Of the first page, as it was for whoever asked first."""
    with _keeping:
        if not _first_page:
            with patch.object(gallery, "render", return_value=HttpResponse()) as render:
                gallery.gallery(request)
            user = request.user
            _first_page.update(render.call_args.args[2], request=request, user=user, messages=[])
            _first_page.update(perms=PermWrapper(user), csrf_token=get_token(request))
    return _first_page
