"""All that happened to an asset, also after it has left."""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Exists, Model, OuterRef, QuerySet
from django.db.models.fields.json import KT
from django.urls import reverse
from django.utils import timezone

from assets.humanize import instant_text
from assets.models import Disposition, Extension, Review

MOST_EVENTS = 200
KINDS: dict[str, type[Model]] = {"left": Disposition, "reviewed": Review, "extended": Extension}


class Event(NamedTuple):
    at: datetime
    text: str
    who: str = ""  # empty where nobody knows
    note: str = ""
    operation_id: int | None = None
    entry_url: str = ""  # of the ledger


class History(NamedTuple):
    events: list[Event]  # the latest, newest first
    verdict: Review | None  # that stands


def with_kinds(assets: QuerySet) -> QuerySet:
    """Assets with what kinds of events they have: most have none, which then need not be looked up."""
    kinds = {kind: model._default_manager.filter(asset_id=OuterRef("id")) for kind, model in KINDS.items()}
    return assets.annotate(**{f"was_{kind}": Exists(found) for kind, found in kinds.items()})


def kinds_of(asset: Any) -> set[str]:
    return {kind for kind in KINDS if getattr(asset, f"was_{kind}")}


def history(
    asset_id: UUID, *, created_at: datetime | None = None, kinds: Collection[str] = tuple(KINDS)
) -> History:
    """`created_at` is of the row in the workspace, where there is one; `kinds` are those to look up."""
    entries = list(_entries(asset_id)) if "left" in kinds else []
    reviews = _reviews(asset_id) if "reviewed" in kinds else []
    extensions = _extensions(asset_id) if "extended" in kinds else []
    events = [*_creation(entries, created_at)]
    events += (event for review in reviews for event in _reviewed(review))
    events += (event for extension in extensions for event in _extended(extension))
    events += (event for entry in reversed(entries) for event in _left(entry))
    # Of two at the same instant the one that is told later comes first.
    events.sort(key=lambda event: event.at)
    last = reviews[-1] if reviews else None
    return History(events[::-1][:MOST_EVENTS], last if last and last.is_standing else None)


# --- Rows ------------------------------------------------------------------------


def _entries(asset_id: UUID) -> Any:
    entries = Disposition.objects.of_assets([asset_id]).select_related("actor", "restored_by")
    told = entries.defer("row", "saved").annotate(created_at=KT("row__created_at"))
    return told.order_by("-id")[:MOST_EVENTS]


def _extensions(asset_id: UUID) -> Any:
    extensions = Extension.objects.filter(asset_id=asset_id).defer("expired_at")
    extensions = extensions.select_related("actor", "operation__undone_by")
    return list(extensions.order_by("-id")[:MOST_EVENTS])[::-1]


def _reviews(asset_id: UUID) -> Any:
    reviews = Review.objects.of_assets([asset_id]).select_related("reviewer")
    return list(reviews.order_by("-id")[:MOST_EVENTS])[::-1]


# --- Events ----------------------------------------------------------------------


def _creation(entries: list[Any], created_at: datetime | None) -> Iterator[Event]:
    """By the row that is there, else by one that left."""
    texts = (entry.created_at for entry in entries)
    created_at = created_at or next(filter(None, map(_instant, texts)), None)
    if created_at:
        yield Event(created_at, "created")


def _instant(text: str | None) -> datetime | None:
    """None where no calendar has it, such as infinity, or that of the reader has not."""
    try:
        instant = datetime.fromisoformat(text or "")
        return timezone.localtime(instant) if instant.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _reviewed(review: Review) -> Iterator[Event]:
    yield Event(review.reviewed_at, review.get_verdict_display(), _name(review.reviewer), review.note)


def _extended(extension: Extension) -> Iterator[Event]:
    until = f"extended to {instant_text(extension.expires_at)}"
    operation = extension.operation
    yield Event(extension.extended_at, until, _name(extension.actor), operation_id=extension.operation_id)
    if extension.undone_at:
        who = _name(operation.undone_by) if operation else ""
        yield Event(extension.undone_at, "extension undone", who, operation_id=extension.operation_id)


def _left(entry: Any) -> Iterator[Event]:
    about: dict[str, Any] = {
        "operation_id": entry.operation_id,
        "entry_url": reverse("removed_entry", args=[entry.pk]),
    }
    yield Event(entry.disposed_at, entry.get_action_display(), _name(entry.actor), **about)
    if entry.restored_at:
        text = "returned to the workspace" if entry.action == Disposition.Action.PROMOTED else "restored"
        yield Event(entry.restored_at, text, _name(entry.restored_by), **about)
    if entry.purged_at:
        where = "library" if entry.restored_at else "workspace"
        yield Event(entry.purged_at, f"files purged from the {where}: {_fates(entry)}", **about)


def _fates(entry: Any) -> str:
    states = [file["state"] for file in entry.files or ()]
    # Most have no thumbnail to remove.
    told = [state for state in states if state != "missing"] or states
    return ", ".join(f"{told.count(state)} {state}" for state in dict.fromkeys(told)) or "none"


def _name(person: User | None) -> str:
    return person.get_username() if person else ""
