"""Verdicts on assets, given by reviewers and shown with all else that happened to an asset."""

from typing import Any
from uuid import UUID

from django.contrib.messages import ERROR, INFO, SUCCESS
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST
from django_htmx.http import HttpResponseClientRefresh

from assets import reviews
from assets.access import REVIEW, only_with
from assets.forms import MOST_TICKED, ReviewForm, ReviewTickedForm
from assets.history import MOST_EVENTS, History
from assets.models import Review, Verdict
from assets.views.toasts import after_login, answer, toast

DONE = {
    Verdict.APPROVED: "Approved",
    Verdict.FLAGGED: "Flagged",
    Verdict.WITHDRAWN: "Verdict withdrawn",
}
ALREADY = {
    Verdict.APPROVED: "approved already, with this note",
    Verdict.FLAGGED: "flagged already, with this note",
    Verdict.WITHDRAWN: "without a verdict already",
}

# --- What a page shows -------------------------------------------------------------


def review_context(request: HttpRequest, asset_id: UUID, happened: History) -> dict[str, Any]:
    """The verdict on an asset, where to give another, and all that happened to it."""
    may_review = request.user.has_perm(REVIEW)
    return {
        "verdict": happened.verdict,
        "review_url": reverse("review", args=[asset_id]) if may_review else "",
        "events": happened.events,
        "most_events": MOST_EVENTS,
    }


# --- Reviewing ---------------------------------------------------------------------


@after_login("gallery")
@require_POST
@only_with(REVIEW)
def review(request: HttpRequest, asset_id: UUID) -> HttpResponse:
    form = ReviewForm(request.POST)
    page = reverse("detail", args=[asset_id])
    if not form.is_valid():
        return _refuse(request, form, page)
    verdict = Verdict(form.cleaned_data["verdict"])
    found = reviews.review([asset_id], **form.cleaned_data, reviewer=request.user)
    if found.gone:
        toast(request, "Not reviewed. It is neither in the workspace nor in the library.", level=ERROR)
        return answer(request, otherwise=page, stays=True)
    if found.unchanged:
        toast(request, f"It is {ALREADY[verdict]}: nothing was changed.", level=INFO)
        return answer(request, otherwise=page)
    toast(request, DONE[verdict], undo=_undo_url(found.written))
    return answer(request, otherwise=page, reviewed=_as_event(found.written[0]))


@after_login("gallery")
@require_POST
@only_with(REVIEW)
def review_many(request: HttpRequest) -> HttpResponse:
    form = ReviewTickedForm(request.POST)
    if not form.is_valid():
        return _refuse(request, form, reverse("gallery"))
    verdict = Verdict(form.cleaned_data["verdict"])
    found = reviews.review(
        form.cleaned_data["ids"], verdict=verdict, note=form.cleaned_data["note"], reviewer=request.user
    )
    parts = {DONE[verdict]: found.written, ALREADY[verdict]: found.unchanged, "gone before": found.gone}
    told = [f"{words}: {len(part):,}" for words, part in parts.items() if part]
    undo = _undo_url(found.written) if found.written else ""
    toast(request, " · ".join(told).capitalize(), level=SUCCESS if undo else INFO, undo=undo)
    return answer(request, otherwise=reverse("gallery"))


@after_login("gallery")
@require_POST
@only_with(REVIEW)
def undo_review(request: HttpRequest, first: int, last: int) -> HttpResponse:
    """Of one's own verdicts that were given at once."""
    own = Review.objects.filter(id__gte=first, id__lte=last, reviewer=request.user)
    asset_id = own.values_list("asset_id", flat=True).first() if last - first < MOST_TICKED else None
    if asset_id is None:
        raise Http404("There is no such verdict of yours.")
    back = reviews.take_back(first, last, reviewer=request.user)
    page = reverse("detail", args=[asset_id]) if first == last else reverse("gallery")
    if not back:
        toast(request, "There is another verdict since: nothing was changed.", level=INFO)
        return answer(request, otherwise=page)
    toast(request, "The verdict is what it was before" if first == last else f"Taken back: {len(back):,}")
    if request.htmx and len(back) > 1:
        return HttpResponseClientRefresh()
    return answer(request, otherwise=page, reviewed=_as_event(back[0]))


def _refuse(request: HttpRequest, form: ReviewForm, page: str) -> HttpResponse:
    toast(request, " ".join(["Not reviewed.", *form.messages()]), level=ERROR)
    return answer(request, otherwise=page)


def _undo_url(written: list[Review]) -> str:
    return reverse("undo_review", args=[written[0].pk, written[-1].pk])


def _as_event(written: Review) -> dict[str, str]:
    verdict = "" if written.verdict == Verdict.WITHDRAWN else written.verdict
    return {"id": str(written.asset_id), "verdict": verdict, "text": written.summary}
