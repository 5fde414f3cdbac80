"""Operations: made, confirmed, watched, stopped, repeated, undone, and what became of each asset."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.contrib.messages import ERROR
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from assets import bulk, tasks
from assets.access import RESTORE, VERBS, VIEW_OPERATIONS, check_may_run, may_run, only_with, operation_or_404
from assets.bulk import Refused
from assets.export import csv_lines, plain
from assets.forms import OperationForm, StartForm
from assets.humanize import instant_text, since_text, size_text, span_text
from assets.models import Disposition, Operation, Verb, WorkspaceAsset
from assets.models.operations import IS_TROUBLED
from assets.models.upstream import usernames
from assets.pagination import CursorError, Order, Page, keyset_page
from assets.replica import shows_writes
from assets.reviews import flags_among
from assets.views.cards import Card, cards, for_cards, page_url, short_id
from assets.views.export import download_lines
from assets.views.toasts import after_login, toast

PAGE_SIZE = 50
NEWEST = Order("id", descending=True)
SAMPLE = 12
SHOWN_USERS = 8
RESULTS_AT_ONCE = 2_000

ENDED = (Operation.State.FINISHED, Operation.State.CANCELLED, Operation.State.UNDONE)
PAST = {"promote": "saved", "delete": "deleted", "extend": "extended", "keep": "saved or deleted"}


def operations(request: HttpRequest) -> HttpResponse:
    """The list, and where a POST makes a new one."""
    return create(request) if request.method == "POST" else list_operations(request)


@require_safe
@only_with(VIEW_OPERATIONS)
def list_operations(request: HttpRequest) -> HttpResponse:
    page, error = Page([], "", ""), ""
    state = request.GET.get("state", "")
    try:
        after, before = request.GET.get("after", ""), request.GET.get("before", "")
        confirmed = Operation.objects.select_related("actor").exclude(state=Operation.State.READY)
        mine = Operation.objects.select_related("actor").filter(actor=request.user)
        rows = _in_state(confirmed | mine, state)
        page = keyset_page(rows, NEWEST, after=after, before=before, size=PAGE_SIZE)
    except (CursorError, Refused) as fault:
        error = str(fault)
    now = timezone.now()
    filtered = f"&state={state}" if state else ""
    context = {
        "rows": [(operation, since_text(operation.created_at, now)) for operation in page.rows],
        "is_filtered": bool(state),
        "next_url": f"?after={page.after}{filtered}" if page.after else "",
        "previous_url": f"?before={page.before}{filtered}" if page.before else "",
        "errors": [error] if error else [],
    }
    return render(request, "assets/operations.html", context)


def _in_state(found: QuerySet[Operation], state: str) -> QuerySet[Operation]:
    if state not in ("", "failed"):
        raise Refused("state is not understood: it takes failed, for operations with failures.")
    return found.filter(failed__gt=0) if state else found


@require_POST
def create(request: HttpRequest) -> HttpResponse:
    """Freezes a selection and leads to its confirmation; nothing is done yet."""
    form = OperationForm(request.POST)
    wanted = request.POST.get("action", "")
    check_may_run(request.user, wanted if wanted in Operation.Action.values else Operation.Action.KEEP)
    try:
        if not form.is_valid():
            raise Refused(" ".join(form.messages()))
        with transaction.atomic():
            operation = _freeze(request, form.cleaned_data)
            if operation.is_under_way:
                tasks.enqueue(operation)
    except Refused as refusal:
        context = {"heading": "Nothing is selected", "reason": str(refusal)}
        return render(request, "assets/refused.html", context, status=400)
    return redirect("operation", operation.pk)


def _freeze(request: HttpRequest, wanted: dict[str, Any]) -> Operation:
    action = Operation.Action(wanted["action"])
    if action == Operation.Action.KEEP:
        return bulk.freeze_job(wanted["job"], keep=wanted["ids"], actor=request.user)
    if wanted["select"] == "all":
        return bulk.freeze_filter(wanted["filter"].removeprefix("?"), action=action, actor=request.user)
    return bulk.freeze_ticked(wanted["ids"], action=action, actor=request.user)


# --- Looking -----------------------------------------------------------------


@require_safe
@never_cache
@only_with(VIEW_OPERATIONS)
@shows_writes
def operation(request: HttpRequest, pk: int) -> HttpResponse:
    found = operation_or_404(pk)
    template = "assets/_operation.html" if request.htmx else "assets/operation.html"
    return render(request, template, _context(request, found))


def _context(request: HttpRequest, found: Operation, form: StartForm | None = None) -> dict[str, Any]:
    is_stopping = found.state == Operation.State.CANCELLED and tasks.is_at_work(found)
    has_ended = found.state in ENDED and not is_stopping
    may = may_run(request.user, found.action)
    may_undo = has_ended and found.started_at and bulk.can_undo(found)
    return {
        "operation": found,
        "form": form or StartForm(),
        "progress": progress(found, timezone.now()),
        "summary": _summary(found),
        "past": PAST[found.action],
        "is_stopping": is_stopping,
        "is_moving": (found.is_under_way or is_stopping) and not settings.READ_ONLY,
        "state": _state(found),
        "undo_result": _undo_result(found),
        "results": list(_results(request, found)),
        "has_ended": has_ended,
        "may_run": may,
        "may_undo": may and may_undo and _may_undo(request, found),
        "may_retry": may and has_ended and found.started_at and not found.undone and _is_unfinished(found),
        "undo_until": _undo_until(found) if may_undo else "",
        "flags": flags_among(found) if found.state == Operation.State.READY else None,
        "confirm_above": bulk.CONFIRM_ABOVE,
        "grace_hours": settings.PURGE_GRACE_HOURS,
        "finished": instant_text(found.finished_at),
    }


def _state(found: Operation) -> str:
    if found.state != Operation.State.UNDONE or not found.done:
        return found.get_state_display()
    return "partly undone" if found.undone else "not undone"


def _undo_result(found: Operation) -> str:
    """What an undo came to, by its counts: some may be too late for it, or stand in each other's way."""
    if found.state != Operation.State.UNDONE:
        return ""
    back = "extensions taken back" if found.action == Operation.Action.EXTEND else "brought back"
    rest = f"; {found.done:,} could not be" if found.done else ""
    by = f" by {found.undone_by.get_username()}" if found.undone_by else ""
    return f"{found.undone:,} of {found.undone + found.done:,} {back}{by}{rest}."


def _may_undo(request: HttpRequest, found: Operation) -> bool:
    permission = VERBS[Verb.EXTEND] if found.action == Operation.Action.EXTEND else RESTORE
    return request.user.has_perm(permission)


def _is_unfinished(found: Operation) -> bool:
    return found.settled < found.total or found.failed > 0


def _undo_until(found: Operation) -> str:
    left = Disposition.objects.restorable().filter(operation=found)
    first = left.order_by("purge_after").values_list("purge_after", flat=True).first()
    return span_text(first - timezone.now()) if first else ""


class Progress(NamedTuple):
    settled: int
    total: int
    percent: int
    rate: str  # assets a second
    left: str  # time


def progress(found: Operation, now: datetime) -> Progress:
    undoing = found.state in (Operation.State.UNDOING, Operation.State.UNDONE)
    settled, total = (found.undone, found.done + found.undone) if undoing else (found.settled, found.total)
    started_at = found.started_at if found.is_under_way else None
    elapsed = (now - started_at).total_seconds() if started_at else 0
    in_this_run = settled - (0 if undoing else found.settled_before)
    rate = in_this_run / elapsed if elapsed > 0 else 0
    remaining = timedelta(seconds=(total - settled) / rate) if rate > 0 else None
    return Progress(
        settled,
        total,
        percent=100 * settled // total if total else 0,
        rate=f"{rate:,.0f} a second" if rate >= 1 else f"{rate * 60:,.0f} a minute" if rate else "",
        left=_left(remaining) if remaining else "",
    )


def _left(remaining: timedelta) -> str:
    seconds = round(remaining.total_seconds())
    return f"{seconds} s left" if seconds < 60 else f"{span_text(remaining)} left"


def _summary(found: Operation) -> dict[str, Any]:
    summary = found.summary
    users = [(UUID(user), number, size) for user, number, size in summary.get("users", [])[:SHOWN_USERS]]
    others = found.total - sum(number for _, number, _ in users)
    others_size = summary.get("bytes", 0) - sum(size or 0 for _, _, size in users)
    names = usernames(user for user, _, _ in users)
    return summary | {
        "size": size_text(summary.get("bytes")),
        "types": [(name, number, size_text(size)) for name, number, size in summary.get("types", [])],
        "users": [
            (page_url("user", user), names.get(user, short_id(user)), number, size_text(size))
            for user, number, size in users
        ],
        "others": (others, size_text(others_size)) if users and others > 0 else None,
        "sample": _sample(found) if found.state == Operation.State.READY else [],
        "verbs": [(Verb(verb).label, number) for verb, number in summary.get("verbs", {}).items()],
    }


def _sample(found: Operation) -> list[Card]:
    some = found.items.order_by("asset_id").values_list("asset_id", flat=True)[:SAMPLE]
    return cards(for_cards(WorkspaceAsset.objects.filter(id__in=list(some))).order_by("id"), timezone.now())


class Result(NamedTuple):
    asset_id: UUID
    url: str
    verb: str
    state: str
    reason: str


def _results(request: HttpRequest, found: Operation) -> Iterator[Result]:
    """What did not go as it was meant to."""
    for item in found.items.filter(IS_TROUBLED).order_by("asset_id")[:PAGE_SIZE]:
        yield Result(
            item.asset_id,
            page_url("detail", item.asset_id),
            item.get_verb_display(),
            item.get_state_display(),
            item.reason,
        )


@require_safe
@never_cache
@only_with(VIEW_OPERATIONS)
@shows_writes
def operation_json(request: HttpRequest, pk: int) -> JsonResponse:
    found = operation_or_404(pk)
    names = ("action", "state", "total", "done", "failed", "gone", "undone")
    values = {name: getattr(found, name) for name in names}
    now = progress(found, timezone.now())
    return JsonResponse({"id": found.pk, **values, "rate": now.rate, "left": now.left})


@require_safe
@never_cache
@only_with(VIEW_OPERATIONS)
def operation_csv(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """The result of each asset, however many."""
    found = operation_or_404(pk)
    return download_lines(
        request,
        _item_parts(found),
        _csv,
        content_type="text/csv; charset=utf-8",
        name=f"operation-{found.pk}.csv",
    )


def _item_parts(found: Operation) -> Iterator[list[tuple]]:
    """Each a query of its own, since a slow client must not hold a connection."""
    items = found.items.order_by("asset_id").values_list("asset_id", "verb", "state", "reason")
    part = list(items[:RESULTS_AT_ONCE])
    while part:
        yield part
        is_last = len(part) < RESULTS_AT_ONCE
        part = [] if is_last else list(items.filter(asset_id__gt=part[-1][0])[:RESULTS_AT_ONCE])


def _csv(parts: Iterator[list[tuple]]) -> Iterator[str]:
    yield from csv_lines([("asset_id", "verb", "state", "reason")])
    for part in parts:
        yield "".join(csv_lines([plain(str(value)) for value in row] for row in part))


# --- Steering ----------------------------------------------------------------


@after_login("operations")
@require_POST
def start(request: HttpRequest, pk: int) -> HttpResponse:
    found = _to_steer(request, pk)
    form = StartForm(request.POST)
    if not form.is_valid():
        return render(request, "assets/operation.html", _context(request, found, form), status=400)
    try:
        with transaction.atomic():
            bulk.start(
                found,
                actor=request.user,
                confirmed=form.cleaned_data["confirm"],
                options=form.options() if found.action != Operation.Action.EXTEND else {},
            )
            tasks.enqueue(found)
        if "and_back" in request.POST:
            page = reverse("operation", args=[pk])
            toast(request, f"{found.get_action_display()}: under way", link=page, label=f"Operation {pk}")
            return _to_gallery(found)
    except Refused as refusal:
        found.refresh_from_db()
        if found.state == Operation.State.READY:
            form.add_error("confirm", str(refusal))
        else:
            toast(request, str(refusal), level=ERROR)  # its page has no form any more
        return render(request, "assets/operation.html", _context(request, found, form), status=400)
    return redirect("operation", pk)


@after_login("operations")
@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    found = _to_steer(request, pk)
    return _steer(request, found, lambda: bulk.cancel(found), runs=False)


@after_login("operations")
@require_POST
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    found = _to_steer(request, pk)
    return _steer(request, found, lambda: bulk.retry(found), runs=True)


@after_login("operations")
@require_POST
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    found = _to_steer(request, pk)
    if not _may_undo(request, found):
        raise PermissionDenied
    return _steer(request, found, lambda: bulk.undo(found, actor=request.user), runs=True)


def _to_steer(request: HttpRequest, pk: int) -> Operation:
    found = operation_or_404(pk)
    check_may_run(request.user, found.action)
    return found


def _steer(request: HttpRequest, found: Operation, move: Any, *, runs: bool) -> HttpResponse:
    try:
        with transaction.atomic():
            move()
            if runs:
                tasks.enqueue(found)
    except Refused as refusal:
        toast(request, str(refusal), level=ERROR)
    else:
        # As it was moved, since somebody may have started it after it was looked up.
        if found.started_at is None:
            toast(request, "Put away: nothing was done.")
            return _to_gallery(found)
    return redirect("operation", found.pk)


def _to_gallery(found: Operation) -> HttpResponse:
    """Where what it is about was selected."""
    return redirect(f"{reverse('gallery')}?{found.filter}" if found.filter else "gallery")
