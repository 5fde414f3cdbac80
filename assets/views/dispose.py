"""One asset: saved, deleted or extended at once, with an undo; and brought back."""

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.contrib.messages import ERROR, INFO, add_message
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from assets import dispositions
from assets.access import RESTORE, VERBS, disposition_or_404, only_with
from assets.forms import SaveForm
from assets.humanize import instant_text, since_text
from assets.models import Disposition, Extension, Review, Verb
from assets.outcomes import Outcome, State
from assets.reviews import flagged
from assets.views.toasts import after_login, answer, toast


@after_login("gallery")
@require_POST
@only_with(VERBS[Verb.PROMOTE])
def promote(request: HttpRequest, asset_id: UUID) -> HttpResponse:
    form = SaveForm(request.POST)
    if not form.is_valid():
        text = " ".join(message for messages in form.errors.values() for message in messages)
        toast(request, f"Not saved. {text}", level=ERROR)
        return answer(request, otherwise=reverse("detail", args=[asset_id]), stays=True)
    known = form.cleaned_data["despite_flags"]
    outcome = dispositions.promote([asset_id], actor=request.user, labels=form.labels(), despite_flags=known)[
        asset_id
    ]
    flag = flagged([asset_id]).get(asset_id) if outcome.state == State.FAILED else None
    if flag and flag.id > known:
        return _ask_once_more(request, flag)
    return _tell_departure(request, asset_id, outcome, "Saved to the library", "Not saved")


@after_login("gallery")
@require_POST
@only_with(VERBS[Verb.DELETE])
def delete(request: HttpRequest, asset_id: UUID) -> HttpResponse:
    outcome = dispositions.delete([asset_id], actor=request.user)[asset_id]
    return _tell_departure(request, asset_id, outcome, "Deleted", "Not deleted")


@after_login("gallery")
@require_POST
@only_with(VERBS[Verb.EXTEND])
def extend(request: HttpRequest, asset_id: UUID) -> HttpResponse:
    outcome = dispositions.extend([asset_id], actor=request.user)[asset_id]
    page = reverse("detail", args=[asset_id])
    if outcome.state != State.DONE:
        return _tell_trouble(request, asset_id, outcome, "Not extended")
    if outcome.reason:
        toast(request, f"{outcome.reason}: nothing was changed.", level=INFO)
        return answer(request, otherwise=page)
    # One's own: the undo must not take back what somebody else did a moment later.
    extension = Extension.objects.filter(asset_id=asset_id, actor=request.user).latest("id")
    toast(request, "It expires in 7 days now", undo=reverse("undo_extension", args=[extension.pk]))
    return answer(request, otherwise=page, extended=_expiry_of(extension.asset_id, extension.expires_at))


@after_login("gallery")
@require_POST
@only_with(VERBS[Verb.EXTEND])
def undo_extension(request: HttpRequest, pk: int) -> HttpResponse:
    extension = Extension.objects.filter(pk=pk).first()
    if extension is None:
        raise Http404("There is no such extension.")
    outcome = dispositions.undo_extensions({extension.pk: extension.asset_id})[extension.asset_id]
    page = reverse("detail", args=[extension.asset_id])
    if outcome.state != State.DONE:
        return _tell_trouble(request, extension.asset_id, outcome, "Not undone")
    toast(request, "It expires when it would have before")
    return answer(request, otherwise=page, extended=_expiry_of(extension.asset_id, extension.expired_at))


@after_login("removed")
@require_POST
@only_with(RESTORE)
def restore(request: HttpRequest, pk: int) -> HttpResponse:
    entry = disposition_or_404(pk)
    outcome = dispositions.restore([pk], actor=request.user)[entry.asset_id]
    page = reverse("detail", args=[entry.asset_id])
    if outcome.state != State.DONE:
        toast(request, f"Not brought back. {outcome.reason}.", level=ERROR)
        return answer(request, otherwise=reverse("removed_entry", args=[pk]))
    toast(request, "Back in the workspace", link=page, label="Open it")
    return answer(request, otherwise=page, returned={"id": str(entry.asset_id)})


def _expiry_of(asset_id: UUID, expires_at: datetime) -> dict[str, str]:
    return {"id": str(asset_id), "expires_at": expires_at.isoformat(), "title": instant_text(expires_at)}


def _ask_once_more(request: HttpRequest, flag: Review) -> HttpResponse:
    """Whether a flagged asset is to be saved all the same, with what was written on it."""
    kept = {name: request.POST.get(name, "") for name in ("title", "tags", "collection", "next")}
    context = {"flag": flag, "fields": kept | {"despite_flags": flag.id}}
    if not request.htmx:
        return render(request, "assets/flagged.html", context)
    add_message(request, ERROR, render_to_string("assets/_flagged.html", context, request))
    return answer(request, otherwise="")


# --- What happened, in words -----------------------------------------------------


def _tell_departure(
    request: HttpRequest, asset_id: UUID, outcome: Outcome, success: str, failure: str
) -> HttpResponse:
    if outcome.state != State.DONE:
        return _tell_trouble(request, asset_id, outcome, failure, stays=True)
    # One's own: somebody may have brought it back already, and it may have left again.
    entry = Disposition.objects.of_assets([asset_id]).filter(actor=request.user).latest("id")
    can_undo = settings.PURGE_GRACE_HOURS and not entry.restored_at and request.user.has_perm(RESTORE)
    undo = reverse("restore", args=[entry.pk]) if can_undo else ""
    toast(request, success, undo=undo)
    left = {"id": str(asset_id), "how": entry.get_action_display()}
    return answer(request, otherwise=reverse("gallery"), left=left)


def _tell_trouble(
    request: HttpRequest, asset_id: UUID, outcome: Outcome, failure: str, *, stays: bool = False
) -> HttpResponse:
    """Of an asset that `stays`, the message belongs on its own page, and not on the one after it."""
    if outcome.state == State.FAILED:
        toast(request, f"{failure}. {outcome.reason}.", level=ERROR)
        return answer(request, otherwise=reverse("detail", args=[asset_id]), stays=stays)
    entry = Disposition.objects.of_assets([asset_id]).select_related("actor").order_by("-id").first()
    if entry is None:
        raise Http404("There is no such asset in the workspace.")
    who = f" by {entry.actor.get_username()}" if entry.actor else ""
    when = since_text(entry.disposed_at, timezone.now())
    how = entry.get_action_display()
    toast(request, f"{failure}. It had left already: {how}{who} {when}.", level=ERROR)
    return answer(request, otherwise=reverse("gallery"), left={"id": str(asset_id), "how": how})
