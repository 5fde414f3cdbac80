"""The answer to a page that the database was stopped at: what would help of what was asked for."""

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone

from assets.fields import StrictForm
from assets.filters import AssetFilterSet, LibraryFilterSet, ListFilterSet, RemovedFilterSet

LISTS: dict[str, type[ListFilterSet]] = {
    "home": AssetFilterSet,
    "gallery": AssetFilterSet,
    "count": AssetFilterSet,
    "setting_values": AssetFilterSet,
    "export": AssetFilterSet,
    "library": LibraryFilterSet,
    "library_export": LibraryFilterSet,
    "removed": RemovedFilterSet,
    "removed_export": RemovedFilterSet,
}
SINCE = {"created_after": "created", "disposed_after": "left"}
LATELY = {"the last hour": timedelta(hours=1), "the last day": timedelta(days=1)}
# What takes long to find, and what it is without.
BROAD = {
    "q": "without the prompt words",
    "setting": "without the settings",
    "same_settings": "without “same settings”",
    "same_prompt": "without “same prompt”",
    "verdict": "whatever the verdict",
    "title": "whatever the title",
    "mime": "of any MIME type",
    "sort": "newest first",
}
# Filters that an index finds in an order of their own.
IN_ORDER = {
    "expires_at": ("expires", "expires_after", "expires_before"),
    "-file_size_bytes": ("size_min", "size_max"),
}
MOST_CHARACTERS = 80


class Way(NamedTuple):
    label: str
    query: str


class Asked(NamedTuple):
    label: str
    text: str


def too_broad(request: HttpRequest) -> HttpResponse:
    """Asks the database nothing of what was looked for."""
    name = request.resolver_match.view_name if request.resolver_match else ""
    filterset = LISTS.get(name)
    given = _without(request.GET, *StrictForm.PAGING)
    context = {
        "seconds": settings.REQUEST_TIMEOUT,
        "is_gallery": name in {"home", "gallery"},
        "is_list": filterset is not None,
        "asked": list(_asked(filterset, given)) if filterset else [],
        "ways": list(_ways(filterset, given)) if filterset else [],
        "is_admin": name.startswith("admin:"),
        "path": request.path,
    }
    return render(request, "too_broad.html", context, status=503)


def _asked(filterset: type[ListFilterSet], given: QueryDict) -> Iterator[Asked]:
    for name, values in given.lists():
        if name in filterset.base_filters and name != "view":
            known = filterset.base_filters[name]
            choices = dict(known.extra.get("choices", []))
            for value in filter(str.strip, values):
                text = choices.get(value, value)
                short = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
                yield Asked(known.label, short)


def _ways(filterset: type[ListFilterSet], given: QueryDict) -> Iterator[Way]:
    """Narrower lists and easier ones, with everything else that was asked for."""
    known = filterset.base_filters
    for sort, names in IN_ORDER.items():
        if sort in filterset.sorts and any(map(given.get, names)) and given.get("sort") != sort:
            yield Way(filterset.sorts[sort][0].lower(), _with(given, "sort", sort))
    for name, verb in SINCE.items():
        if name in known and not given.get(name) and not given.get(name.replace("after", "before")):
            for label, span in LATELY.items():
                since = (timezone.now() - span).strftime("%Y-%m-%dT%H:%MZ")
                yield Way(f"{verb} within {label}", _with(given, name, since))
    if "type" in known and not given.get("type"):
        yield Way("only images", _with(given, "type", "image"))
        yield Way("only videos", _with(given, "type", "video"))
    for name, label in BROAD.items():
        if name in known and given.get(name):
            yield Way(label, _without(given, name).urlencode(safe=":,/"))


def _with(given: QueryDict, name: str, value: str) -> str:
    changed = given.copy()
    changed[name] = value
    return changed.urlencode(safe=":,/")


def _without(given: QueryDict, *names: str) -> QueryDict:
    changed = given.copy()
    for name in names:
        changed.pop(name, None)
    return changed
