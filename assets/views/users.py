"""One user: totals by type, newest assets, latest jobs."""

from typing import NamedTuple
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
from assets.humanize import size_text
from assets.models import Job
from assets.pagination import keyset_page
from assets.views.cards import PROMPT_START, cards, for_cards, short_id
from assets.views.columns import row_columns

MOST_ASSETS = 24
MOST_JOBS = 12


class Total(NamedTuple):
    type: str
    count: int
    bytes: int

    @property
    def size(self) -> str:
        return size_text(self.bytes)


@require_safe
@viewers_only
def user(request: HttpRequest, user_id: UUID) -> HttpResponse:
    parent = user_or_404(user_id)
    newest = keyset_page(for_cards(parent.assets), SORTS[DEFAULT_SORT][1], size=MOST_ASSETS)
    totals = [Total(*row.values()) for row in parent.assets.totals_by_type()]
    query = f"user={user_id}"
    context = {
        "user_id": user_id,
        "profile": parent.row,
        "columns": row_columns(parent.row) if parent.row else [],
        "name": parent.row.username if parent.row and parent.row.username else short_id(user_id),
        "totals": totals,
        "all": Total("all", sum(total.count for total in totals), sum(total.bytes for total in totals)),
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
