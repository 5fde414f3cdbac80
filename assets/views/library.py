"""The permanent library: what was saved, with how it was made."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from assets.access import RESTORE, VIEW_LIBRARY, only_with, saved_or_404
from assets.counts import Capped, capped_counts
from assets.facets import TOTAL_CAP
from assets.filters import LIBRARY_SORTS, LibraryFilterSet
from assets.history import history
from assets.humanize import instant_text, since_text, span_text
from assets.models import Disposition
from assets.models.upstream import usernames
from assets.pagination import CursorError, Page, keyset_page
from assets.replica import reads_from_replica
from assets.storage import LIBRARY
from assets.views.cards import for_library_cards, library_cards, page_url, short_id
from assets.views.columns import Column, row_columns
from assets.views.files import FileReport, report_on
from assets.views.gallery import PAGE_SIZE, chips, explain, export_urls, switch
from assets.views.notices import slow_notices
from assets.views.reviews import review_context
from assets.views.settings import settings_context


@require_safe
@only_with(VIEW_LIBRARY)
@reads_from_replica
def library(request: HttpRequest) -> HttpResponse:
    filterset = LibraryFilterSet(request.GET)
    errors = list(explain(filterset))
    page = Page([], "", "")
    try:
        after, before = request.GET.get("after", ""), request.GET.get("before", "")
        listed = filterset.selection()
        rows = for_library_cards(listed.ordered)
        page = keyset_page(
            rows, filterset.order, sieve=listed.sieve, after=after, before=before, size=PAGE_SIZE
        )
    except CursorError as error:
        errors.append(str(error))
    context = {
        "filterset": filterset,
        "errors": errors,
        "notices": list(slow_notices(filterset)),
        "chips": list(chips(filterset)),
        "cards": library_cards(page.rows, filterset.now),
        "total": capped_counts({"": Capped(filterset.qs, TOTAL_CAP)})[""][""],
        "sorts": list(switch(filterset, "sort", {name: label for name, (label, _) in LIBRARY_SORTS.items()})),
        "export_urls": export_urls("library_export", filterset),
        "first_url": f"?{filterset.query()}",
        "next_url": f"?{filterset.query(after=page.after)}" if page.after else "",
        "previous_url": f"?{filterset.query(before=page.before)}" if page.before else "",
        "is_paged": bool(request.GET.get("after") or request.GET.get("before")),
    }
    return render(request, "assets/library.html", context)


@require_safe
@only_with(VIEW_LIBRARY)
def library_detail(request: HttpRequest, asset_id: UUID) -> HttpResponse:
    saved = saved_or_404(asset_id)
    filterset = LibraryFilterSet(QueryDict())
    owner = usernames([saved.user_id]).get(saved.user_id)
    entry = (
        Disposition.objects.of_assets([asset_id])
        .filter(action=Disposition.Action.PROMOTED, restored_at=None)
        .select_related("actor", "operation")
        .with_settings_text()
        .order_by("-id")
        .first()
    )
    file = report_on(saved, LIBRARY, saved.storage_path)
    context = {
        "asset": saved,
        "owner": owner or short_id(saved.user_id),
        "columns": row_columns(saved, owner=owner),
        "file": file,
        "saved": since_text(saved.created_at, filterset.now),
        "entry": entry,
        **(_provenance(entry, file) if entry else {}),
        **_way_back(request, entry, filterset.now),
        **review_context(request, asset_id, history(asset_id)),
    }
    return render(request, "assets/library_detail.html", context)


def _provenance(entry: Disposition, file: FileReport) -> dict[str, Any]:
    """How it was made: what the library has no column for, as the ledger keeps it."""
    row = entry.row if isinstance(entry.row, dict) else {}
    names = ("job_id", "asset_index", "generation_seed", "created_at", "temp_storage_path")
    facts = [_fact(name, row.get(name)) for name in names]
    for name in ("file", "thumbnail"):
        if copied := (entry.saved or {}).get(name):
            # What the store copied by itself has no checksum of ours, but the one that it answers with.
            kind = next(kind for kind in ("sha256", "etag") if copied.get(kind))
            facts.append(Column(f"{kind} of the {name}", copied[kind], copied[kind]))
    return {"provenance": facts, **settings_context(row, entry.settings_text, file=file)}


def _fact(name: str, value: Any) -> Column:
    if value is None:
        return Column(name, "null", "")
    return Column(name, str(value), str(value), page_url("job", value) if name == "job_id" else "")


def _way_back(request: HttpRequest, entry: Disposition | None, now: Any) -> dict[str, Any]:
    can = entry is not None and entry.purged_at is None and entry.purge_after and entry.purge_after > now
    if not can or not entry or not entry.purge_after:
        return {"restore_url": ""}
    return {
        "restore_url": reverse("restore", args=[entry.pk]) if request.user.has_perm(RESTORE) else "",
        "restore_within": span_text(entry.purge_after - now),
        "restore_until": instant_text(entry.purge_after),
    }
