"""Leaving the workspace, staying longer, coming back: the only writer of the product's rows.

Each verb takes a set of ids and who acts, and says of each asset what became of it. `record` is called
with that inside the transaction that did it, so that a record is kept of what happened and nothing else.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.auth.models import User
from django.db import DatabaseError, OperationalError, transaction
from psycopg.types.json import Jsonb

from assets import grants
from assets.departures import EXPIRED, THESE, THESE_IF_EXPIRED, depart
from assets.models import Disposition, Operation, WorkspaceAsset
from assets.models.ledger import keep_files_in_place
from assets.models.upstream import ASSET_LIFETIME
from assets.outcomes import (
    DONE,
    GONE,
    Outcome,
    Outcomes,
    Record,
    State,
    failed,
    keep_no_record,
    note,
    rows,
    together_or_singly,
)
from assets.read_only import writes
from assets.returns import mark_returned, return_rows
from assets.reviews import objections
from assets.saving import Copy, Labels, copy_to_library, spoilt

BATCH = 1_000  # rows of one statement: the quickest, and locks are short

# --- Departures --------------------------------------------------------------


@writes
def delete(
    asset_ids: Iterable[UUID],
    *,
    actor: User,
    operation: Operation | None = None,
    record: Record = keep_no_record,
) -> Outcomes:
    def act(ids: list[UUID]) -> Outcomes:
        left = depart(THESE, Disposition.Action.DELETED, actor=actor, operation=operation, ids=ids)
        return _stayed([pk for pk in ids if pk not in left]) | dict.fromkeys(left, DONE)

    return together_or_singly(act, list(asset_ids), record)


def _stayed(asset_ids: list[UUID]) -> Outcomes:
    """Of assets that a statement did not remove: those that are there all the same were not let go."""
    there = set(
        WorkspaceAsset.objects.filter(id__in=asset_ids).values_list("id", flat=True) if asset_ids else ()
    )
    return {pk: failed(_NOT_LET_GO) if pk in there else GONE for pk in asset_ids}


# By a trigger or a policy that keeps the row without an error.
_NOT_LET_GO = "The database did not let the row go"


class Expired(NamedTuple):
    done: int
    failed: int


@writes
def expire(*, batch: int = BATCH, progress: Callable[[int], None] = lambda done: None) -> Expired:
    """Removes every asset whose time has passed now; any number of workers may at once."""
    grants.demand(grants.TO_REMOVE)
    done = refused = 0
    tried = _BEFORE_ALL
    while True:
        try:
            with transaction.atomic():
                which = f"{EXPIRED} FOR UPDATE SKIP LOCKED"
                left = depart(which, Disposition.Action.EXPIRED, limit=batch, **tried)
        except OperationalError:
            raise
        except DatabaseError:
            left = set()
        more, number = bool(left), len(left)
        if not left:
            # Refused, or kept without a word: each by itself. The next batch begins after them.
            more, number, now_refused, tried = _expire_singly(tried, batch)
            refused += now_refused
        done += number
        progress(done)
        if not more:
            return Expired(done, refused)


_BEFORE_ALL = {"after": "-infinity", "after_id": UUID(int=0)}


def _expire_singly(tried: dict[str, Any], limit: int) -> tuple[bool, int, int, dict[str, Any]]:
    """Whether there were any, how many left, how many were refused, and where the last one stands."""
    found = rows(
        f"SELECT id, expires_at::text FROM workspace_assets WHERE {EXPIRED}",  # noqa: S608
        tried | {"limit": limit},
    )

    def act(ids: list[UUID]) -> Outcomes:
        left = depart(THESE_IF_EXPIRED, Disposition.Action.EXPIRED, ids=ids)
        return {pk: DONE if pk in left else GONE for pk in ids}

    outcomes = together_or_singly(act, [pk for pk, _ in found], keep_no_record)
    states = [outcome.state for outcome in outcomes.values()]
    if found:
        tried = {"after": found[-1][1], "after_id": found[-1][0]}
    return bool(found), states.count(State.DONE), states.count(State.FAILED), tried


# --- Saving ------------------------------------------------------------------


@writes
def promote(
    asset_ids: Iterable[UUID],
    *,
    actor: User,
    operation: Operation | None = None,
    labels: Labels = Labels(),  # noqa: B008 (it never changes)
    despite_flags: int = 0,
    record: Record = keep_no_record,
) -> Outcomes:
    """Moves assets to the permanent library: files first, outside of any transaction, then rows.

    A crash between the two leaves the asset where it was; running again finishes it. A flagged asset is
    not saved, unless by whoever knows of the flag: of all up to the review with the id `despite_flags`.
    """
    ids = list(asset_ids)
    if reason := grants.why_not(grants.TO_SAVE):  # nor is anything copied in vain
        return note(dict.fromkeys(ids, failed(reason)), record)
    outcomes = _objected(ids, despite_flags)
    copies = copy_to_library([pk for pk in ids if pk not in outcomes])
    outcomes |= {pk: failed(fault) for pk, fault in copies.faults.items()}
    outcomes |= dict.fromkeys(copies.gone, GONE)
    if outcomes:
        note(outcomes, record)

    def act(ids: list[UUID]) -> Outcomes:
        made = [copies.made[pk] for pk in ids]
        return _move_rows(made, labels, actor, operation, despite_flags)

    return outcomes | together_or_singly(act, list(copies.made), record)


def _objected(asset_ids: list[UUID], despite_flags: int) -> Outcomes:
    """Before anything is copied in vain; what has left is told so instead."""
    reasons = objections(asset_ids, known=despite_flags)
    there = WorkspaceAsset.objects.filter(id__in=list(reasons)).values_list("id", flat=True)
    return {pk: failed(reasons[pk]) for pk in there} if reasons else {}


def _move_rows(
    made: list[Copy], labels: Labels, actor: User, operation: Operation | None, despite_flags: int
) -> Outcomes:
    keep_files_in_place()
    found = rows(
        f"SELECT id, user_id, temp_storage_path, thumbnail_path FROM workspace_assets WHERE {THESE}",  # noqa: S608
        {"ids": [copy.asset_id for copy in made]},
    )
    present = {row[0]: row[1:] for row in found}
    outcomes: Outcomes = {}
    unchanged = []
    for copy in made:
        if copy.asset_id not in present:
            outcomes[copy.asset_id] = GONE
        elif present[copy.asset_id] != copy.source:
            outcomes[copy.asset_id] = failed("The asset was changed while it was being copied")
        else:
            unchanged.append(copy)
    flagged = objections([copy.asset_id for copy in unchanged], known=despite_flags)
    for pk, reason in (spoilt(unchanged) | flagged).items():
        outcomes[pk] = failed(reason)
    ready = {copy.asset_id: copy for copy in unchanged if copy.asset_id not in outcomes}
    entered = _enter_library(list(ready.values()), labels)
    saved = {str(pk): ready[pk].as_json() for pk in entered}
    left = depart(
        THESE, Disposition.Action.PROMOTED, actor=actor, operation=operation, saved=saved, ids=list(entered)
    )
    if left != entered:
        raise DatabaseError(_NOT_LET_GO)  # nor is it saved then: an asset is in one place
    taken = failed("The library already has an asset with this id")
    return outcomes | {pk: DONE if pk in entered else taken for pk in ready}


_ENTER = """
    INSERT INTO user_library (
        id, user_id, asset_type, storage_path, file_size_bytes, mime_type, duration_seconds,
        original_prompt, model_used, generation_seed, collection_id, custom_title, tags,
        thumbnail_path, width, height
    )
    SELECT asset.id, asset.user_id, asset.asset_type, copy.path, copy.size,
           coalesce(copy.mime, asset.mime_type), asset.duration_seconds, asset.original_prompt,
           asset.model_used, asset.generation_seed, %(collection_id)s, %(title)s, %(tags)s,
           copy.thumbnail, asset.width, asset.height
    FROM jsonb_to_recordset(%(copies)s) AS copy (id uuid, path text, size bigint, mime text, thumbnail text)
    JOIN workspace_assets AS asset ON asset.id = copy.id
    ON CONFLICT (id) DO NOTHING
    RETURNING id
"""


def _enter_library(copies: list[Copy], labels: Labels) -> set[UUID]:
    if not copies:
        return set()
    described = [
        {
            "id": str(copy.asset_id),
            "path": copy.file.key,
            "size": copy.file.size,
            "mime": copy.mime,
            "thumbnail": copy.thumbnail and copy.thumbnail.key,
        }
        for copy in copies
    ]
    return {pk for (pk,) in rows(_ENTER, labels._asdict() | {"copies": Jsonb(described)})}


# --- Staying longer ----------------------------------------------------------

_EXTEND = """
    WITH found AS MATERIALIZED (
        SELECT id, expires_at FROM workspace_assets WHERE {these}
    ), moved AS (
        UPDATE workspace_assets AS asset SET expires_at = statement_timestamp() + %(lifetime)s
        FROM found WHERE asset.id = found.id AND found.expires_at < statement_timestamp() + %(lifetime)s
        RETURNING asset.id, found.expires_at AS expired_at, asset.expires_at
    ), noted AS (
        INSERT INTO assets_extension (asset_id, actor_id, operation_id, expired_at, expires_at)
        SELECT id, %(actor)s, %(operation)s, expired_at, expires_at FROM moved
    )
    SELECT found.id, moved.id IS NOT NULL, found.expires_at IS NULL
    FROM found LEFT JOIN moved ON moved.id = found.id
"""


@writes
def extend(
    asset_ids: Iterable[UUID],
    *,
    actor: User,
    operation: Operation | None = None,
    lifetime: timedelta = ASSET_LIFETIME,
    record: Record = keep_no_record,
) -> Outcomes:
    """Lets assets live for so long from now, unless they would longer."""

    def act(ids: list[UUID]) -> Outcomes:
        params = {
            "ids": ids,
            "lifetime": lifetime,
            "actor": actor.pk,
            "operation": operation and operation.pk,
        }
        never_does, later = (
            Outcome(State.DONE, "It never expires"),
            Outcome(State.DONE, "It expires later anyway"),
        )
        found = {
            pk: DONE if moved else never_does if never else later
            for pk, moved, never in rows(_EXTEND.format(these=THESE), params)
        }
        return {pk: found.get(pk, GONE) for pk in ids}

    return together_or_singly(act, list(asset_ids), record)


_SHORTEN = """
    WITH undone AS (
        SELECT id, asset_id, expired_at, expires_at FROM assets_extension
        WHERE id = ANY(%(ids)s) AND undone_at IS NULL ORDER BY asset_id FOR UPDATE
    ), moved AS (
        UPDATE workspace_assets AS asset SET expires_at = undone.expired_at
        FROM undone WHERE asset.id = undone.asset_id AND asset.expires_at = undone.expires_at
        RETURNING undone.id, undone.asset_id
    )
    UPDATE assets_extension AS extension SET undone_at = statement_timestamp()
    FROM moved WHERE extension.id = moved.id RETURNING extension.asset_id
"""


@writes
def undo_extensions(extensions: Mapping[int, UUID], *, record: Record = keep_no_record) -> Outcomes:
    """Gives assets the expiry they had, by the ids of the extensions and of their assets."""
    ids_of = {asset_id: pk for pk, asset_id in extensions.items()}

    def act(asset_ids: list[UUID]) -> Outcomes:
        moved = {pk for (pk,) in rows(_SHORTEN, {"ids": [ids_of[asset_id] for asset_id in asset_ids]})}
        changed = failed("The asset has left, or its expiry has changed since")
        return {pk: DONE if pk in moved else changed for pk in asset_ids}

    return together_or_singly(act, list(ids_of), record)


# --- Coming back -------------------------------------------------------------


@writes
def restore(disposition_ids: Iterable[int], *, actor: User, record: Record = keep_no_record) -> Outcomes:
    """Brings assets back as they were, files and all, while their files are still kept.

    One whose time has passed meanwhile lives for another seven days, or the clean-up would take it again.
    """
    entries = Disposition.objects.filter(id__in=list(disposition_ids)).values_list("asset_id", "id")
    latest = dict(entries.order_by("id"))

    def act(asset_ids: list[UUID]) -> Outcomes:
        return _bring_back({latest[pk]: pk for pk in asset_ids}, actor)

    return together_or_singly(act, list(latest), record)


def _bring_back(wanted: dict[int, UUID], actor: User) -> Outcomes:
    keep_files_in_place()
    entries = Disposition.objects.filter(id__in=wanted).order_by("asset_id").select_for_update()
    locked = {entry.id: entry for entry in entries.only("id", "purged_at", "restored_at")}
    # Asked again under the locks, of the database's own clock.
    open_ids = set(Disposition.objects.restorable().filter(id__in=wanted).values_list("id", flat=True))
    outcomes = {wanted[pk]: failed(_why_not(locked.get(pk))) for pk in wanted if pk not in open_ids}
    ids = [pk for pk in wanted if pk in open_ids]
    returned = return_rows(ids)
    back = [pk for pk in ids if wanted[pk] in returned]
    mark_returned(back, actor)
    taken = failed("An asset with its id, or at its place in the job, is in the workspace already")
    return outcomes | {wanted[pk]: DONE if pk in back else taken for pk in ids}


def _why_not(entry: Disposition | None) -> str:
    if entry is None:
        return "There is no such entry in the ledger"
    if entry.restored_at:
        return "It has been brought back already"
    return "Its files have been removed" if entry.purged_at else "The time for bringing it back has passed"
