"""Lists and files to take away: as long as they may be, sent as they are read."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from typing import Any
from uuid import UUID

from django.db import close_old_connections, connection
from django.http import Http404, HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from assets.access import VIEW_ASSETS, VIEW_LEDGER, VIEW_LIBRARY, only_with
from assets.archive import archive, read_assets
from assets.bulk import Refused
from assets.export import ASSET_COLUMNS, FORMATS, LIBRARY_COLUMNS, REMOVED_COLUMNS, chunks
from assets.filters import AssetFilterSet, LibraryFilterSet, ListFilterSet, RemovedFilterSet
from assets.forms import SelectionForm
from assets.pagination import walk
from assets.replica import reads_from_replica
from assets.views.gallery import explain
from assets.views.toasts import after_login

MOST_FILES = 2_000  # of one zip
BROKEN_OFF = (
    "\nThis export broke off here: it is not complete. Try again or export less.\n"  # no JSON, one cell
)


@require_safe
@never_cache
@only_with(VIEW_ASSETS)
@reads_from_replica
def export(request: HttpRequest, form: str) -> HttpResponseBase:
    return _export(request, "workspace-assets", form, AssetFilterSet(request.GET), ASSET_COLUMNS)


@require_safe
@never_cache
@only_with(VIEW_LIBRARY)
@reads_from_replica
def library_export(request: HttpRequest, form: str) -> HttpResponseBase:
    return _export(request, "library", form, LibraryFilterSet(request.GET), LIBRARY_COLUMNS)


@require_safe
@never_cache
@only_with(VIEW_LEDGER)
@reads_from_replica
def removed_export(request: HttpRequest, form: str) -> HttpResponseBase:
    return _export(request, "removed", form, RemovedFilterSet(request.GET), REMOVED_COLUMNS)


def _export(
    request: HttpRequest, name: str, form: str, filterset: ListFilterSet, columns: Mapping[str, Any]
) -> HttpResponseBase:
    if form not in FORMATS:
        raise Http404(f"Lists are exported as {', '.join(FORMATS)}.")
    if errors := list(explain(filterset)):
        return _refused(request, "Nothing is exported", " ".join(errors))
    listed = filterset.selection()
    parts = chunks(listed.ordered, filterset.order, columns, sieve=listed.sieve)
    known = FORMATS[form]
    return download_lines(
        request,
        parts,
        lambda parts: known.lines(list(columns), parts),
        content_type=known.content_type,
        name=f"{name}-{timezone.localdate()}.{form}",
    )


def download_lines(
    request: HttpRequest,
    parts: Iterator[Any],
    write: Callable[[Iterator[Any]], Iterator[str]],
    *,
    content_type: str,
    name: str,
) -> StreamingHttpResponse:
    # Read before anything is answered, so that a query that takes too long is answered with advice.
    first = list(islice(parts, 1))
    return _download(request, _or_broken_off(write(_let_go(chain(first, parts)))), content_type, name)


def _let_go(parts: Iterator[Any]) -> Iterator[Any]:
    """Hands the connection back before a part is sent, which a slow client may take its time for.

    Only what is streamed may: within a request, the connection knows what is left of the request's time, and
    whoever has it next must not.
    """
    for part in parts:
        _hang_up()
        yield part


def _or_broken_off(lines: Iterator[str]) -> Iterator[str]:
    """Says so in the file itself, since a web server may end what broke off as if it were whole."""
    try:
        yield from lines
    except Exception:
        yield BROKEN_OFF
        raise


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


# --- Files -------------------------------------------------------------------


@after_login("gallery")
@require_POST
@never_cache
@only_with(VIEW_ASSETS)
def files_zip(request: HttpRequest) -> HttpResponseBase:
    """The files of a selection."""
    form = SelectionForm(request.POST)
    try:
        if not form.is_valid():
            raise Refused(" ".join(form.messages()))
        asset_ids = _chosen(form.cleaned_data)
    except Refused as refusal:
        return _refused(request, "No file is sent", str(refusal))
    parts = read_assets(asset_ids)
    first = list(islice(parts, 1))
    content = archive(_let_go(chain(first, parts)))
    return _download(request, content, "application/zip", f"workspace-files-{timezone.localdate()}.zip")


def _chosen(wanted: dict[str, Any]) -> list[UUID]:
    """The ids, once each and in order; Refused where there are none, or too many."""
    if wanted["select"] == "all":
        filterset = AssetFilterSet(QueryDict(wanted["filter"].removeprefix("?")))
        if errors := list(explain(filterset)):
            raise Refused(" ".join(["The filter is not understood.", *errors]))
        listed = filterset.selection()
        parts = walk(listed.ordered, filterset.order, ["id"], MOST_FILES + 1, sieve=listed.sieve)
        asset_ids = [asset_id for [asset_id] in next(parts, [])]
    else:
        asset_ids = list(dict.fromkeys(wanted["ids"]))
    if not asset_ids:
        raise Refused("No asset is selected.")
    if len(asset_ids) > MOST_FILES:
        raise Refused(f"At most {MOST_FILES:,} files are sent at once: select fewer of them.")
    return asset_ids
