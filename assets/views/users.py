"""One user: totals by type, newest assets, latest jobs."""

from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from assets.access import user_or_404, viewers_only
from assets.filters import DEFAULT_SORT, SORTS
from assets.humanize import since_text
from assets.models import Job
from assets.overview import user_totals
from assets.pagination import keyset_page
from assets.replica import reads_from_replica
from assets.views.cards import PROMPT_START, cards, for_cards, short_id
from assets.views.columns import row_columns

MOST_ASSETS = 24
MOST_JOBS = 12


@require_safe
@viewers_only
@reads_from_replica
def user(request: HttpRequest, user_id: UUID) -> HttpResponse:
    parent = user_or_404(user_id)
    newest = keyset_page(for_cards(parent.assets), SORTS[DEFAULT_SORT][1], size=MOST_ASSETS)
    totals = user_totals(user_id, parent.assets, exact=request.GET.get("exact") == "1")
    query = f"user={user_id}"
    context = {
        "user_id": user_id,
        "profile": parent.row,
        "columns": row_columns(parent.row) if parent.row else [],
        "name": parent.row.username if parent.row and parent.row.username else short_id(user_id),
        "totals": totals,
        "totals_age": since_text(totals.as_of, timezone.now()) if totals.as_of else "",
        "cards": cards(newest.rows, timezone.now(), query),
        "jobs": latest_jobs(user_id),
        "gallery_url": f"{reverse('gallery')}?{query}",
    }
    return render(request, "assets/user.html", context)


def latest_jobs(user_id: UUID) -> QuerySet[Job]:
    jobs = Job.objects.filter(user_id=user_id, created_at__isnull=False).annotate(
        prompt_start=Left("original_prompt", PROMPT_START + 1)
    )
    return jobs.only("id", "status").order_by("-created_at")[:MOST_JOBS]
