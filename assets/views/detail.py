"""One asset: its file, all of its columns, its settings, and what lies around it."""

from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from assets import prepared
from assets.access import asset_or_404, no_such_asset, viewers_only
from assets.filters import AssetFilterSet
from assets.history import history, kinds_of, with_kinds
from assets.humanize import expiry, since_text
from assets.models import Job, WorkspaceAsset
from assets.models.upstream import owner_name
from assets.pagination import neighbours
from assets.storage import WORKSPACE
from assets.views.cards import cards, for_cards, page_url
from assets.views.columns import row_columns
from assets.views.compare import compare_first_url
from assets.views.files import report_on
from assets.views.reviews import review_context
from assets.views.settings import row_of, settings_context
from assets.views.variations import with_variations
from assets.views.whereabouts import whereabouts

MOST_SIBLINGS = 24


@require_safe
@viewers_only
def detail(request: HttpRequest, asset_id: UUID) -> HttpResponse:
    asset = next(iter(prepared.rows(whole_rows().filter(id=asset_id))), None)
    if asset is None:
        return redirect(where_it_went_or_404(asset_id))
    filterset = AssetFilterSet(request.GET)
    query = filterset.query() if filterset.is_valid() else ""
    rows = for_cards(WorkspaceAsset.objects.for_job(asset.job_id)).order_by("asset_index", "id")
    siblings = cards(prepared.rows(rows[:MOST_SIBLINGS]), filterset.now, query)
    happened = history(asset_id, created_at=asset.created_at, kinds=kinds_of(asset))
    file = report_on(asset, WORKSPACE, asset.temp_storage_path)
    settings_url = page_url("settings_json", asset_id)
    context = {
        "asset": asset,
        "asset_id_text": str(asset_id),
        "owner": asset.owner_name,
        "job": next(iter(prepared.rows(Job.objects.filter(id=asset.job_id))), None),
        "columns": row_columns(asset, owner=asset.owner_name),
        "expiry": expiry(asset.expires_at, filterset.now),
        "created": since_text(asset.created_at, filterset.now),
        "file": file,
        **settings_context(row_of(asset), asset.settings_text, file=file, url=settings_url),
        "siblings": with_variations(siblings, str(asset_id), base_says="this one"),
        "compare_url": compare_first_url([asset_id, *(card.id for card in siblings)]),
        "gallery_url": f"{reverse('gallery')}?{query}",
        **around(asset, filterset, query),
        **review_context(request, asset_id, happened),
    }
    # Where one goes on when this asset has left.
    context["after_url"] = context["next_url"] or context["previous_url"] or context["gallery_url"]
    return render(request, "assets/detail.html", context)


def whole_rows() -> QuerySet[WorkspaceAsset]:
    """With what other tables have of an asset, as far as that is told without asking them all."""
    return with_kinds(WorkspaceAsset.objects.with_settings_text()).annotate(owner_name=owner_name())


def where_it_went_or_404(asset_id: UUID) -> str:
    """The page of an asset that has left: in the library, else in the ledger."""
    page = whereabouts([asset_id]).get(asset_id)
    if page is None:
        raise no_such_asset()
    return page


@require_safe
@viewers_only
def settings_json(request: HttpRequest, asset_id: UUID) -> HttpResponse:
    asset = asset_or_404(asset_id, WorkspaceAsset.objects.with_settings_text().only("id"))
    return HttpResponse(asset.settings_text or "null", content_type="application/json")


def around(asset: WorkspaceAsset, filterset: AssetFilterSet, query: str) -> dict[str, str]:
    """Where the previous and the next asset of the gallery's selection are."""
    listed = filterset.selection()
    rows = listed.ordered.only("id", filterset.order.column)
    previous, following = neighbours(rows, filterset.order, asset, sieve=listed.sieve)
    suffix = f"?{query}" if query else ""
    return {
        "previous_url": page_url("detail", previous.pk) + suffix if previous else "",
        "next_url": page_url("detail", following.pk) + suffix if following else "",
    }
