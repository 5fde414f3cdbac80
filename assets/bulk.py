"""Operations over many assets: freeze a selection, run it in chunks, cancel it, take it up again, undo it."""

import math
import time
from collections.abc import Collection, Iterator
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Now
from django.http import QueryDict

from assets import dispositions, tally
from assets.counts import Capped, capped_counts
from assets.filters import AssetFilterSet
from assets.lanes import WHOLE, Lane, bounds_of, lanes_of
from assets.models import Disposition, Extension, Operation, OperationItem, Verb, WorkspaceAsset
from assets.models.ledger import DispositionQuerySet
from assets.outcomes import State
from assets.read_only import writes
from assets.reviews import flags_among
from assets.saving import Labels
from assets.time_limits import TimeLimitError

CONFIRM_ABOVE = 1_000  # assets, for which the number has to be typed
FREEZE_AT_ONCE = 10_000  # assets; more are frozen in the background
LOOKED_UP_IN = 2.0  # seconds; so is what takes longer to find
CHUNK = {Verb.PROMOTE: 100, Verb.DELETE: 1_000, Verb.EXTEND: 1_000}
UNDO_CHUNK = 500
ORDER = (Verb.PROMOTE, Verb.EXTEND, Verb.DELETE)  # what is to be kept comes first


class Refused(Exception):  # noqa: N818 (nothing went wrong)
    """Why an operation is not made, started, cancelled, retried or undone; for people."""


# --- Freezing ----------------------------------------------------------------


def freeze_ticked(asset_ids: Collection[UUID], *, action: Operation.Action, actor: User) -> Operation:
    """An operation over those of the ticked assets that are still there."""
    if not asset_ids:
        raise Refused("No asset is selected.")
    with transaction.atomic():
        operation = _begin(action, actor)
        _freeze(operation, {Verb(action): WorkspaceAsset.objects.filter(id__in=asset_ids)})
        operation.summary["left"] = len(set(asset_ids)) - operation.total
        operation.save(update_fields=["summary"])
    return operation


def freeze_queryset(assets: QuerySet[WorkspaceAsset], *, action: Operation.Action, actor: User) -> Operation:
    with transaction.atomic():
        operation = _begin(action, actor)
        _freeze(operation, {Verb(action): assets})
    return operation


def freeze_filter(query: str, *, action: Operation.Action, actor: User) -> Operation:
    """An operation over all that a query string selects; what is large or slow is being prepared at first."""
    selected = _selected_by(query)
    is_soon_frozen = _is_soon_frozen(selected)
    with transaction.atomic():
        operation = _begin(action, actor, query)
        if is_soon_frozen:
            _freeze(operation, {Verb(action): selected})
    return operation


def _is_soon_frozen(selected: QuerySet[WorkspaceAsset]) -> bool:
    looked_up = {"": Capped(selected, FREEZE_AT_ONCE)}
    try:
        return not capped_counts(looked_up, time_limit=LOOKED_UP_IN)[""][""].capped
    except TimeLimitError:
        return False


def freeze_job(job_id: UUID, *, keep: Collection[UUID], actor: User) -> Operation:
    """An operation that saves some assets of a job and deletes the rest of them."""
    assets = WorkspaceAsset.objects.for_job(job_id)
    if not keep:
        raise Refused("No asset is selected to be kept.")
    with transaction.atomic():
        operation = _begin(Operation.Action.KEEP, actor, f"job={job_id}")
        kept = assets.filter(id__in=keep)
        if kept.count() != len(set(keep)):
            raise Refused("Some of the selected assets are not of this job, or have left.")
        _freeze(operation, {Verb.PROMOTE: kept, Verb.DELETE: assets.exclude(id__in=keep)})
    return operation


@writes
def _begin(action: Operation.Action, actor: User, query: str | None = None) -> Operation:
    return Operation.objects.create(action=action, actor=actor, filter=query)


def _selected_by(query: str) -> QuerySet[WorkspaceAsset]:
    filterset = AssetFilterSet(QueryDict(query))
    if not filterset.is_valid():
        messages = [message for errors in filterset.errors.values() for message in errors]
        raise Refused(" ".join(["The filter is not understood, so nothing is selected.", *messages]))
    return filterset.exact


_FREEZE = """
    INSERT INTO assets_operationitem (operation_id, asset_id, verb)
    SELECT %s, chosen.id, %s FROM ({chosen}) AS chosen
"""
# Once for all of them, then by type and by user, the most first.
_SUMMARIZE = """
    SELECT asset_type, user_id, grouping(asset_type, user_id), count(*), sum(file_size_bytes)::bigint,
           min(created_at)::text, max(created_at)::text, min(expires_at)::text
    FROM assets_operationitem AS item JOIN workspace_assets AS asset ON asset.id = item.asset_id
    WHERE item.operation_id = %s
    GROUP BY GROUPING SETS ((), (asset_type), (user_id))
    ORDER BY grouping(asset_type, user_id) = 2, count(*) DESC LIMIT 60
"""
_ALL, _BY_USER, _BY_TYPE = 3, 2, 1


def _freeze(operation: Operation, chosen: dict[Verb, QuerySet[WorkspaceAsset]]) -> None:
    """Writes down which assets, and what they are; all that follows is about these."""
    with connection.cursor() as cursor:
        for verb, assets in chosen.items():
            try:
                sql, params = assets.order_by().values("id").query.sql_with_params()
            except EmptyResultSet:
                continue
            cursor.execute(_FREEZE.format(chosen=sql), [operation.pk, verb, *params])
        cursor.execute(_SUMMARIZE, [operation.pk])
        rows = cursor.fetchall()
    counts = (
        operation.items.order_by("verb")
        .values("verb")
        .annotate(number=Count("asset_id"))
        .values_list("verb", "number")
    )
    verbs = dict(counts)
    operation.summary = _summary(rows) | {"verbs": verbs, "bounds": bounds_of(operation, verbs)}
    operation.total = sum(verbs.values())
    # Its row is not locked before: somebody may put it away while it is prepared.
    _move(
        operation,
        "It was put away while it was being prepared.",
        Q(state=Operation.State.PREPARING),
        summary=operation.summary,
        total=operation.total,
        state=Operation.State.READY,
    )


def _summary(rows: list[tuple]) -> dict[str, Any]:
    total = next(row for row in rows if row[2] == _ALL)
    oldest, newest, first_expiry = total[5:]
    return {
        "bytes": total[4] or 0,
        "oldest": oldest,
        "newest": newest,
        "first_expiry": first_expiry,
        "types": [[row[0], row[3], row[4]] for row in rows if row[2] == _BY_TYPE],
        "users": [[str(row[1]), row[3], row[4]] for row in rows if row[2] == _BY_USER],
    }


# --- Steering ----------------------------------------------------------------


def start(operation: Operation, *, actor: User, confirmed: int | None, options: dict[str, Any]) -> None:
    """Sets a confirmed operation going; a large one only by its number."""
    if operation.total > CONFIRM_ABOVE and confirmed != operation.total:
        raise Refused(f"Type {operation.total} to confirm so many assets. Nothing has been done yet.")
    if operation.state == Operation.State.READY and not operation.total:
        raise Refused("There is nothing to do: no asset was selected.")
    flags = flags_among(operation, known=options.get("despite_flags", 0))
    if operation.state == Operation.State.READY and flags.number:
        raise Refused(f"{flags} Say that you want to save them all the same. Nothing has been done yet.")
    _move(
        operation,
        "It is not waiting to be confirmed.",
        Q(state=Operation.State.READY),
        state=Operation.State.RUNNING,
        started_at=Now(),
        actor=actor,
        options=options,
    )


def cancel(operation: Operation) -> None:
    """Stops it between two chunks. One that has not begun is put away."""
    stoppable = Q(state__in=[Operation.State.READY, *Operation.UNDER_WAY])
    _move(
        operation,
        "It is not under way any more.",
        stoppable,
        state=Operation.State.CANCELLED,
        finished_at=Now(),
    )


def retry(operation: Operation) -> None:
    """Runs what failed once more, and what a cancel left."""
    stopped = Q(state__in=[Operation.State.CANCELLED, Operation.State.FINISHED]) & Q(undone=0)
    with transaction.atomic():
        _move(
            operation,
            "Only an operation that has ended, and was not undone, is run again.",
            stopped & Q(started_at__isnull=False),
            state=Operation.State.RUNNING,
            started_at=Now(),
            finished_at=None,
            settled_before=F("done") + F("gone"),
            failed=0,
        )
        failed = operation.items.filter(state=State.FAILED)
        if not failed.update(state=State.PENDING, reason="") and not _pending(operation).exists():
            raise Refused("There is nothing left to do.")


def undo(operation: Operation, *, actor: User) -> None:
    """Brings back what it removed, or gives back the expiry that it moved, while that can be done."""
    ended = Q(state__in=[Operation.State.CANCELLED, Operation.State.FINISHED, Operation.State.UNDONE])
    if not can_undo(operation):
        raise Refused("Nothing of this operation can be undone any more.")
    _move(
        operation,
        "Only an operation that has ended can be undone.",
        ended,
        state=Operation.State.UNDOING,
        undone_by=actor,
        started_at=Now(),
        finished_at=None,
    )


def can_undo(operation: Operation) -> bool:
    return _to_restore(operation).restorable().exists() or _to_shorten(operation).exists()


@writes
def _move(operation: Operation, otherwise: str, allowed: Q, **values: Any) -> None:
    """From one state to another, unless somebody else has moved it meanwhile."""
    if not Operation.objects.filter(allowed, pk=operation.pk).update(**values):
        raise Refused(otherwise)
    operation.refresh_from_db()


# --- Running -----------------------------------------------------------------


@writes
def advance(operation_id: int, lane: int | None = None, *, seconds: float = math.inf) -> bool:
    """Brings an operation, or one lane of it, to the end of what it is at; False if it only came so far.

    Whoever is interrupted may begin again.
    """
    operation = Operation.objects.filter(pk=operation_id).first()
    if operation is None or not operation.is_under_way:
        return True
    lanes = [WHOLE] if lane is None else lanes_of(operation)[lane : lane + 1]
    try:
        is_over = all(_step(operation, lane, time.monotonic() + seconds) for lane in lanes)
    except tally.Superseded:
        return True
    except Exception as error:
        # For whoever watches; the task is tried again.
        Operation.objects.filter(pk=operation.pk).update(error=str(error)[:1_000])
        raise
    if operation.error:
        Operation.objects.filter(pk=operation.pk).update(error="")
    return is_over


def _step(operation: Operation, lane: Lane, deadline: float) -> bool:
    if operation.state == Operation.State.RUNNING:
        return _run(operation, lane, deadline)
    _prepare(operation) if operation.state == Operation.State.PREPARING else _undo(operation)
    return True


def _prepare(operation: Operation) -> None:
    try:
        with transaction.atomic():
            _freeze(operation, {Verb(operation.action): _selected_by(operation.filter or "")})
    except Refused as refusal:
        # What the filter names, such as a user, has gone meanwhile.
        preparing = Operation.objects.filter(pk=operation.pk, state=Operation.State.PREPARING)
        preparing.update(state=Operation.State.CANCELLED, error=str(refusal), finished_at=Now())


def _run(operation: Operation, lane: Lane, deadline: float) -> bool:
    for verb in ORDER:
        for asset_ids in _chunks(operation, lane, verb):
            _act(verb, asset_ids, operation)
            if time.monotonic() > deadline:
                return False
    # Whoever of several is last.
    if not _pending(operation).exists():
        _finish(operation, Operation.State.RUNNING, Operation.State.FINISHED)
    return True


def _chunks(operation: Operation, lane: Lane, verb: Verb) -> Iterator[list[UUID]]:
    """What is still to be done with that verb, while nobody cancels."""
    pending = lane.of(_pending(operation)).filter(verb=verb).order_by("asset_id")
    further = pending
    while _is_still(operation, Operation.State.RUNNING):
        asset_ids = list(further.values_list("asset_id", flat=True)[: CHUNK[verb]])
        if not asset_ids:
            return
        yield asset_ids
        further = pending.filter(asset_id__gt=asset_ids[-1])


def _act(verb: Verb, asset_ids: list[UUID], operation: Operation) -> None:
    common = {"actor": operation.actor, "operation": operation, "record": partial(tally.record, operation)}
    if verb == Verb.PROMOTE:
        labels = dict(operation.options)
        despite_flags = labels.pop("despite_flags", 0)
        dispositions.promote(asset_ids, labels=Labels(**labels), despite_flags=despite_flags, **common)
    elif verb == Verb.DELETE:
        dispositions.delete(asset_ids, **common)
    else:
        dispositions.extend(asset_ids, **common)


def _undo(operation: Operation) -> None:
    record = partial(tally.record_undone, operation)
    for found in _undo_chunks(operation, _to_restore(operation)):
        dispositions.restore(found, actor=operation.undone_by, record=record)
    for found in _undo_chunks(operation, _to_shorten(operation)):
        dispositions.undo_extensions(found, record=record)
    _finish(operation, Operation.State.UNDOING, Operation.State.UNDONE)


def _undo_chunks(operation: Operation, what: QuerySet) -> Iterator[dict[int, UUID]]:
    """Entries by id, with their assets; each once, even where it cannot be undone."""
    rows = what.order_by("asset_id").values_list("id", "asset_id")
    further = rows
    while _is_still(operation, Operation.State.UNDOING):
        found = dict(further[:UNDO_CHUNK])
        if not found:
            return
        yield found
        further = rows.filter(asset_id__gt=max(found.values()))


def _to_restore(operation: Operation) -> DispositionQuerySet:
    """Also those that cannot come back any more: each is told why."""
    return Disposition.objects.filter(operation=operation, restored_at=None)


def _to_shorten(operation: Operation) -> QuerySet[Extension]:
    return Extension.objects.filter(operation=operation, undone_at=None)


def open_lanes(operation: Operation) -> list[Lane]:
    """Those of an operation under way in which there is something to do, or to bring to its end."""
    lanes = lanes_of(operation)
    return [lane for lane in lanes if lane.of(_pending(operation)).exists()] or lanes[:1]


def _pending(operation: Operation) -> QuerySet[OperationItem]:
    return OperationItem.objects.filter(operation=operation, state=State.PENDING)


def _is_still(operation: Operation, state: Operation.State) -> bool:
    return Operation.objects.filter(pk=operation.pk, state=state).exists()


def _finish(operation: Operation, state: Operation.State, ended: Operation.State) -> None:
    # Unless it was cancelled meanwhile.
    Operation.objects.filter(pk=operation.pk, state=state).update(state=ended, finished_at=Now())
