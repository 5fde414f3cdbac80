"""The five queries that everybody runs, for the users, jobs and models of the newest assets."""

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from assets.access import viewers_only
from assets.models import WorkspaceAsset
from assets.models.upstream import usernames
from assets.replica import reads_from_replica
from assets.views.cards import short_id

RECENT = 300
MOST = 8


@require_safe
@viewers_only
@vary_on_headers("HX-Request")
@reads_from_replica
def queries(request: HttpRequest) -> HttpResponse:
    columns = ("user_id", "job_id", "asset_type", "model_used")
    dated = WorkspaceAsset.objects.filter(created_at__isnull=False)  # others would come first
    recent = dated.order_by("-created_at", "-id").values_list(*columns)[:RECENT]
    user_ids, job_ids, pairs = {}, {}, {}  # dictionaries keep the order of the newest
    for user_id, job_id, asset_type, model in recent:
        user_ids[user_id] = job_ids[job_id] = pairs[asset_type, model] = True
    names = usernames(list(user_ids)[:MOST])
    context = {
        "users": [(user_id, names.get(user_id, short_id(user_id))) for user_id in list(user_ids)[:MOST]],
        "jobs": [(job_id, short_id(job_id)) for job_id in list(job_ids)[:MOST]],
        "pairs": [
            (f"{asset_type} · {model}", urlencode({"type": asset_type, "model": model}))
            for asset_type, model in list(pairs)[:MOST]
        ],
    }
    template = "assets/_queries.html" if request.htmx else "assets/queries.html"
    return render(request, template, context)
