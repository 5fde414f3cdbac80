"""Private files and their previews. What a file is, its bytes say; what is unknown is never rendered."""

import hashlib
import textwrap
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from assets.access import VIEW_ASSETS, VIEW_LEDGER, VIEW_LIBRARY, only_with
from assets.formats import Format
from assets.models import Disposition, LibraryAsset, WorkspaceAsset
from assets.previews import preview, preview_name
from assets.storage import LIBRARY, WORKSPACE, FileFault, Served, Store
from assets.views.ranged import ranged_response

FILE_MAX_AGE = 3600  # seconds
LINK_MAX_AGE = 240  # less than the link itself is good for
PREVIEW_MAX_AGE = 7 * 24 * 3600
PLACEHOLDER_MAX_AGE = 60

Response = TypeVar("Response", bound=HttpResponseBase)

# A file opened on its own may show itself, and nothing else: no script, no form, no other file.
_SEALED = "default-src 'none'; img-src 'self'; media-src 'self'; frame-ancestors 'none'; sandbox"


@dataclass(frozen=True)
class _Item:
    """An asset of either store, by what its file needs."""

    pk: UUID
    store: Store
    path: str
    thumbnail: str | None

    @property
    def preview_name(self) -> str:
        return preview_name(self.store.alias, self.pk)

    @property
    def paths_to_preview(self) -> list[str]:
        """The product's own thumbnail, which is quicker to decode, then the file."""
        return [path for path in (self.thumbnail, self.path) if path is not None]


def _workspace_item(pk: UUID) -> _Item:
    asset = get_object_or_404(WorkspaceAsset.objects.only("temp_storage_path", "thumbnail_path"), pk=pk)
    return _Item(pk, WORKSPACE, asset.temp_storage_path, asset.thumbnail_path)


def _library_item(pk: UUID) -> _Item:
    saved = get_object_or_404(LibraryAsset.objects.only("storage_path", "thumbnail_path"), pk=pk)
    return _Item(pk, LIBRARY, saved.storage_path, saved.thumbnail_path)


def _removed_item(pk: int) -> _Item:
    """An asset that has left, whose file is there until it is purged."""
    entry = get_object_or_404(Disposition.objects.only("asset_id", "row"), pk=pk)
    row = entry.row if isinstance(entry.row, dict) else {}
    path, thumbnail = row.get("temp_storage_path"), row.get("thumbnail_path")
    return _Item(entry.asset_id, WORKSPACE, str(path or ""), str(thumbnail) if thumbnail else None)


@require_safe
@only_with(VIEW_ASSETS)
def asset_file(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    return _file(request, _workspace_item(pk))


@require_safe
@only_with(VIEW_ASSETS)
def asset_preview(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _preview(request, _workspace_item(pk))


@require_safe
@only_with(VIEW_LIBRARY)
def library_file(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    return _file(request, _library_item(pk))


@require_safe
@only_with(VIEW_LIBRARY)
def library_preview(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _preview(request, _library_item(pk))


@require_safe
@only_with(VIEW_LEDGER)
def removed_preview(request: HttpRequest, pk: int) -> HttpResponse:
    return _preview(request, _removed_item(pk))


# --- Files -------------------------------------------------------------------


def _file(request: HttpRequest, item: _Item) -> HttpResponseBase:
    try:
        known = item.store.format_of(item.path)
        served = _served(request, item, known)
        if link := item.store.link(item.path, served, request.method or "GET"):
            return _sealed(HttpResponseRedirect(link), LINK_MAX_AGE)
        modified_at = item.store.facts(item.path).modified_at
        file = item.store.open(item.path)
    except FileFault as fault:
        context = {"asset_id": item.pk, "reason": str(fault)}
        status = 503 if fault.transient else 404
        return render(request, "assets/file_fault.html", context, status=status)
    response = ranged_response(request, file, content_type=served.content_type, modified_at=modified_at)
    response["Content-Disposition"] = served.disposition
    # A sandbox is of no origin at all, and Chromium's own player then may not load its video.
    return _sealed(response, FILE_MAX_AGE, same_origin=known is not None and known.asset_type == "video")


def _served(request: HttpRequest, item: _Item, known: Format | None) -> Served:
    """What a browser may take it for; a store that sends it says no more than this."""
    content_type = known.mime if known else "application/octet-stream"
    return Served(content_type, _disposition(request, item, known))


def _disposition(request: HttpRequest, item: _Item, known: Format | None) -> str:
    as_attachment = known is None or request.GET.get("download") == "1"
    name = f"{item.pk}.{known.extension if known else 'bin'}"
    return content_disposition_header(as_attachment, name) or "attachment"


def _sealed(response: Response, max_age: int, *, same_origin: bool = False) -> Response:
    response["Cache-Control"] = f"private, max-age={max_age}"
    response["Content-Security-Policy"] = f"{_SEALED} allow-same-origin" if same_origin else _SEALED
    response["X-Content-Type-Options"] = "nosniff"
    return response


# --- Previews ----------------------------------------------------------------


def _preview(request: HttpRequest, item: _Item) -> HttpResponse:
    sources = [lambda path=path: item.store.open(path) for path in item.paths_to_preview]
    try:
        content = preview(item.preview_name, sources)
    except FileFault as fault:
        return _placeholder(request, str(fault))
    etag = f'"{hashlib.blake2b(content, digest_size=16).hexdigest()}"'
    response = HttpResponse(content, content_type="image/webp", headers={"ETag": etag})
    # A 304 keeps the ETag, and what is set below.
    response = get_conditional_response(request, etag, response=response) or response
    return _sealed(response, PREVIEW_MAX_AGE)


def _placeholder(request: HttpRequest, reason: str) -> HttpResponse:
    """A picture of the reason; a success, so that an <img> shows it."""
    lines = textwrap.wrap(reason, 24)
    context = {"lines": lines, "reason": reason}
    response = render(request, "assets/placeholder.svg", context, content_type="image/svg+xml")
    response["X-Preview-Fault"] = reason.encode("ascii", "replace").decode()
    return _sealed(response, PLACEHOLDER_MAX_AGE)
