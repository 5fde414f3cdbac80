"""Lists and files to take away: as long as they may be, sent as they are read."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any

from django.db import close_old_connections, connection
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from assets.access import VIEW_ASSETS, VIEW_LEDGER, VIEW_LIBRARY, only_with
from assets.export import ASSET_COLUMNS, FORMATS, LIBRARY_COLUMNS, REMOVED_COLUMNS, chunks
from assets.filters import AssetFilterSet, LibraryFilterSet, ListFilterSet, RemovedFilterSet
from assets.views.gallery import explain


@require_safe
@never_cache
@only_with(VIEW_ASSETS)
def export(request: HttpRequest, form: str) -> HttpResponseBase:
    return _export(request, "workspace-assets", form, AssetFilterSet(request.GET), ASSET_COLUMNS)


@require_safe
@never_cache
@only_with(VIEW_LIBRARY)
def library_export(request: HttpRequest, form: str) -> HttpResponseBase:
    return _export(request, "library", form, LibraryFilterSet(request.GET), LIBRARY_COLUMNS)


@require_safe
@never_cache
@only_with(VIEW_LEDGER)
def removed_export(request: HttpRequest, form: str) -> HttpResponseBase:
    return _export(request, "removed", form, RemovedFilterSet(request.GET), REMOVED_COLUMNS)


def _export(
    request: HttpRequest, name: str, form: str, filterset: ListFilterSet, columns: Mapping[str, Any]
) -> HttpResponseBase:
    if form not in FORMATS:
        raise Http404(f"Lists are exported as {', '.join(FORMATS)}.")
    if errors := list(explain(filterset)):
        return _refused(request, "Nothing is exported", " ".join(errors))
    parts = _let_go(chunks(filterset.qs, filterset.order, columns))
    # Read before anything is answered, so that a query that takes too long is answered with advice.
    first = list(islice(parts, 1))
    lines = FORMATS[form].lines(list(columns), chain(first, parts))
    return _download(request, lines, FORMATS[form].content_type, f"{name}-{timezone.localdate()}.{form}")


def _let_go(parts: Iterator[Any]) -> Iterator[Any]:
    """Hands the connection back before a part is sent, which a slow client may take its time for."""
    for part in parts:
        _hang_up()
        yield part


def _hang_up() -> None:
    if not connection.in_atomic_block:
        close_old_connections()


def _download(
    request: HttpRequest, content: Iterator[Any], content_type: str, name: str
) -> StreamingHttpResponse:
    response = StreamingHttpResponse(() if request.method == "HEAD" else content, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _refused(request: HttpRequest, heading: str, reason: str) -> HttpResponse:
    return render(request, "assets/refused.html", {"heading": heading, "reason": reason}, status=400)
