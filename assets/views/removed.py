"""What left the workspace: by whom and why, until when it can come back, what became of its files."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from assets import settings_view
from assets.access import RESTORE, VIEW_LEDGER, disposition_or_404, only_with
from assets.counts import Capped, capped_counts
from assets.facets import TOTAL_CAP
from assets.filters import REMOVED_SORTS, RemovedFilterSet
from assets.history import history
from assets.humanize import instant_text, since_text, size_text, span_text
from assets.lossless import encode
from assets.models import Disposition, LibraryAsset, Review, WorkspaceAsset
from assets.models.upstream import usernames
from assets.pagination import CursorError, Page, keyset_page
from assets.replica import reads_from_replica
from assets.reviews import verdicts
from assets.views.cards import page_url, prompt_text, short_id
from assets.views.columns import Column, settings_column
from assets.views.gallery import PAGE_SIZE, chips, explain, export_urls, switch
from assets.views.reviews import review_context
from assets.views.settings import settings_context
from assets.views.status import status


@dataclass(frozen=True)
class Entry:
    """A row of the page, in ready strings."""

    id: int
    url: str
    asset_id: str
    preview_url: str
    prompt: str
    model: str
    kind: str
    size: str
    is_nsfw: bool
    owner: str
    owner_url: str
    how: str
    action: str
    who: str
    operation_id: int | None
    left: str
    left_at: str
    state: str
    level: str  # calm, soon, expired, failed
    restore_url: str
    verdict: str  # empty where there is none
    verdict_text: str


@require_safe
@only_with(VIEW_LEDGER)
@reads_from_replica
def removed(request: HttpRequest) -> HttpResponse:
    filterset = RemovedFilterSet(request.GET)
    errors = list(explain(filterset))
    page = Page([], "", "")
    try:
        after, before = request.GET.get("after", ""), request.GET.get("before", "")
        listed = filterset.selection()
        rows = listed.ordered.select_related("actor", "restored_by")
        page = keyset_page(
            rows, filterset.order, sieve=listed.sieve, after=after, before=before, size=PAGE_SIZE
        )
    except CursorError as error:
        errors.append(str(error))
    context = {
        "filterset": filterset,
        "status": status(request.user),
        "errors": errors,
        "chips": list(chips(filterset)),
        "entries": entries(page.rows, filterset.now, may_restore=request.user.has_perm(RESTORE)),
        "total": capped_counts({"": Capped(filterset.qs, TOTAL_CAP)})[""][""],
        "sorts": list(switch(filterset, "sort", {name: label for name, (label, _) in REMOVED_SORTS.items()})),
        "export_urls": export_urls("removed_export", filterset),
        "first_url": f"?{filterset.query()}",
        "next_url": f"?{filterset.query(after=page.after)}" if page.after else "",
        "previous_url": f"?{filterset.query(before=page.before)}" if page.before else "",
        "is_paged": bool(request.GET.get("after") or request.GET.get("before")),
    }
    return render(request, "assets/removed.html", context)


@require_safe
@only_with(VIEW_LEDGER)
def removed_entry(request: HttpRequest, pk: int) -> HttpResponse:
    entry = disposition_or_404(pk, Disposition.objects.with_settings_text())
    [shown] = entries([entry], timezone.now(), may_restore=request.user.has_perm(RESTORE))
    row = entry.row if isinstance(entry.row, dict) else {}
    context = {
        "entry": entry,
        "shown": shown,
        "prompt": row.get("original_prompt"),
        "columns": row_columns(row, shown.owner, entry.settings_text),
        **settings_context(row, entry.settings_text),
        "is_live": WorkspaceAsset.objects.filter(id=entry.asset_id).exists(),
        "is_saved": LibraryAsset.objects.filter(id=entry.asset_id).exists(),
        "purge_after": instant_text(entry.purge_after),
        "purged_at": instant_text(entry.purged_at),
        "restored_at": instant_text(entry.restored_at),
        **review_context(request, entry.asset_id, history(entry.asset_id)),
        "review_url": "",  # where the asset is, if it is anywhere
    }
    return render(request, "assets/removed_entry.html", context)


def row_columns(row: dict[str, Any], owner: str, settings_text: str | None) -> list[Column]:
    """Every column of the row that left, as JSON has it."""
    columns = []
    for field in WorkspaceAsset._meta.concrete_fields:
        if field.attname == "generation_settings":
            columns.append(settings_column(settings_text))
            continue
        value = row.get(field.attname)
        text = value if isinstance(value, str) else encode(value)
        shown = f"{owner} · {text}" if field.attname == "user_id" else text
        columns.append(Column(field.attname, shown, "" if value is None else text))
    return columns


def entries(rows: list[Disposition], now: datetime, *, may_restore: bool) -> list[Entry]:
    names = usernames(entry.user_id for entry in rows if entry.user_id)
    found = verdicts(entry.asset_id for entry in rows)
    return [
        _entry(entry, names.get(entry.user_id), found.get(entry.asset_id), now, may_restore) for entry in rows
    ]


def _entry(
    entry: Disposition, owner: str | None, review: Review | None, now: datetime, may_restore: bool
) -> Entry:
    row = entry.row if isinstance(entry.row, dict) else {}
    state, level, open_ = _state(entry, now)
    size = row.get("file_size_bytes")
    return Entry(
        id=entry.pk,
        url=reverse("removed_entry", args=[entry.pk]),
        asset_id=str(entry.asset_id),
        preview_url=reverse("removed_preview", args=[entry.pk]),
        prompt=prompt_text(str(row.get("original_prompt") or "")),
        model=str(row.get("model_used") or ""),
        kind=str(row.get("asset_type") or ""),
        size=size_text(size if isinstance(size, int) else None),
        is_nsfw=settings_view.is_nsfw(row.get("generation_settings")),
        owner=owner or (short_id(entry.user_id) if entry.user_id else "unknown"),
        owner_url=page_url("user", entry.user_id) if entry.user_id else "",
        how=entry.get_action_display(),
        action=entry.action,
        who=entry.actor.get_username() if entry.actor else "system",
        operation_id=entry.operation_id,
        left=since_text(entry.disposed_at, now),
        left_at=instant_text(entry.disposed_at),
        state=state,
        level=level,
        restore_url=reverse("restore", args=[entry.pk]) if open_ and may_restore else "",
        verdict=review.verdict if review else "",
        verdict_text=review.summary if review else "",
    )


def _state(entry: Disposition, now: datetime) -> tuple[str, str, bool]:
    """In words, how pressing it is, and whether the asset can come back."""
    until = entry.purge_after
    if entry.restored_at:
        who = f" by {entry.restored_by.get_username()}" if entry.restored_by else ""
        back = f"brought back{who} {since_text(entry.restored_at, now)}"
        if entry.last_error and not entry.purged_at:
            return f"{back}; the library's files not removed: {entry.last_error}", "expired", False
        return back, "calm", False
    if entry.purged_at:
        return _fate(entry, since_text(entry.purged_at, now)), "calm", False
    if entry.last_error:
        return f"files not removed: {entry.last_error}", "expired", False
    if until is None:
        # Until the next purge sets its time, which may have passed: a restore is not refused before that.
        until = entry.disposed_at + timedelta(hours=settings.PURGE_GRACE_HOURS)
        if until <= now:
            return "can come back until the next removal of files", "soon", True
    if until > now:
        return f"can come back for {span_text(until - now)}", "soon", True
    return "files are about to be removed", "expired", False


def _fate(entry: Disposition, when: str) -> str:
    """What became of the files of an entry that the purge is done with."""
    states = {file["state"] for file in entry.files or ()}
    if "kept" in states and "removed" in states:
        return f"files removed {when}, but for one that another asset has too"
    if "kept" in states:
        return "its file stays: another asset has the same"
    if "outside" in states and "removed" not in states:
        return "its path names no file here"
    if states == {"missing"}:
        return "its files were missing"
    return f"files removed {when}"
