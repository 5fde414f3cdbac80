"""One job: what was asked, and its assets by index."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from assets.access import Parent, job_or_404, viewers_only
from assets.models.upstream import usernames
from assets.pagination import CursorError, Order, Page, keyset_page
from assets.replica import reads_from_replica
from assets.views.cards import cards, for_cards
from assets.views.columns import row_columns
from assets.views.compare import compare_first_url
from assets.views.variations import with_variations

PAGE_SIZE = 60
BY_INDEX = Order("asset_index")


@require_safe
@viewers_only
@reads_from_replica
def job(request: HttpRequest, job_id: UUID) -> HttpResponse:
    parent = job_or_404(job_id)
    page, error = Page([], "", ""), ""
    try:
        after, before = request.GET.get("after", ""), request.GET.get("before", "")
        page = keyset_page(for_cards(parent.assets), BY_INDEX, after=after, before=before, size=PAGE_SIZE)
    except CursorError as fault:
        error = str(fault)
    owner_id = parent.row.user_id if parent.row else page.rows[0].user_id if page.rows else None
    found = cards(page.rows, timezone.now(), f"job={job_id}")
    context = {
        "job_id": job_id,
        "job": parent.row,
        "columns": row_columns(parent.row) if parent.row else [],
        "owner_id": owner_id,
        "owner": usernames([owner_id]).get(owner_id),
        "cards": with_variations(found, _first_id(parent, page), base_says="the first") if found else [],
        "compare_url": compare_first_url(card.id for card in found),
        "next_url": f"?after={page.after}" if page.after else "",
        "previous_url": f"?before={page.before}" if page.before else "",
        "errors": [error] if error else [],
    }
    return render(request, "assets/job.html", context)


def _first_id(parent: Parent, page: Page) -> str:
    """The asset of the least index, which an earlier page may have."""
    first = parent.assets.order_by("asset_index", "id").values_list("id", flat=True).first
    return str(first() if page.before else page.rows[0].pk)
