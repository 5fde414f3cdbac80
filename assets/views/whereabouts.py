"""Where assets are that have left the workspace."""

from collections.abc import Collection
from uuid import UUID

from django.urls import reverse

from assets.models import Disposition, LibraryAsset
from assets.views.cards import page_url


def whereabouts(asset_ids: Collection[UUID]) -> dict[UUID, str]:
    """The page of each asset that is known to have left: in the library, else in the ledger."""
    saved = LibraryAsset.objects.filter(id__in=asset_ids).values_list("id", flat=True)
    pages = {asset_id: page_url("library_detail", asset_id) for asset_id in saved}
    if left := set(asset_ids) - set(pages):
        entries = Disposition.objects.of_assets(left).order_by("asset_id", "-id").distinct("asset_id")
        for asset_id, pk in entries.values_list("asset_id", "id"):
            pages[asset_id] = reverse("removed_entry", args=[pk])
    return pages
