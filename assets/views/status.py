"""What everybody should know at a glance: what expires, what the clean-up did, what needs a person."""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from assets import replica
from assets.access import VIEW_ASSETS, VIEW_LEDGER, VIEW_OPERATIONS
from assets.counts import Capped, Count, capped_counts
from assets.humanize import since_text, span_text
from assets.models import CleanUp, Disposition, Operation, WorkspaceAsset

MAX_AGE = 20  # seconds
CAP = 10_000
LATE = timedelta(minutes=15)  # three times as long as between two clean-ups
LONG = timedelta(hours=1)  # a removal of many files may take that long
RECENT = timedelta(days=7)


class Note(NamedTuple):
    text: str
    url: str = ""
    is_trouble: bool = False
    permission: str = VIEW_ASSETS  # without which it is not told


class Status(NamedTuple):
    expiring: Count | None  # within 24 hours
    notes: list[Note]


def status(user: User) -> Status:
    """What somebody may know of what is looked up for everybody."""
    found = cache.get_or_set("status", _look, MAX_AGE)
    notes = [note for note in found.notes if user.has_perm(note.permission)]
    if replica.health.trouble:
        notes.append(Note(replica.health.trouble, is_trouble=True))
    return Status(found.expiring if user.has_perm(VIEW_ASSETS) else None, notes)


def _look() -> Status:
    now = timezone.now()
    counts = capped_counts(
        {
            "expiring": Capped(WorkspaceAsset.objects.expiring(now, timedelta(hours=24)), CAP),
            "under way": Capped(Operation.objects.filter(state__in=Operation.UNDER_WAY), CAP),
            "failing": Capped(Disposition.objects.failing(), CAP),
            "failed": Capped(_with_failures(now), CAP),
        }
    )
    runs = {run.kind: run for run in CleanUp.objects.all()}
    notes = [*_clean_ups(runs, now)]
    if (under_way := counts["under way"][""]).number:
        plural = "s" if under_way.number > 1 else ""
        text = f"{under_way} operation{plural} under way"
        notes.append(Note(text, reverse("operations"), permission=VIEW_OPERATIONS))
    if (failing := counts["failing"][""]).number:
        plural = "" if failing.number == 1 else "s"
        text = f"The files of {failing} removed asset{plural} could not be removed"
        notes.append(Note(text, f"{reverse('removed')}?state=failing", True, VIEW_LEDGER))
    if (failed := counts["failed"][""]).number:
        plural = "" if failed.number == 1 else "s"
        text = f"{failed} operation{plural} with failures"
        notes.append(Note(text, f"{reverse('operations')}?state=failed", True, VIEW_OPERATIONS))
    return Status(counts["expiring"][""], notes)


def _with_failures(now: datetime) -> QuerySet[Operation]:
    """Those of late; whoever has seen to older ones need not be told for ever."""
    ended = Operation.objects.filter(state__in=["finished", "cancelled"], finished_at__gte=now - RECENT)
    return ended.filter(failed__gt=0)


def _clean_ups(runs: dict[str, CleanUp], now: datetime) -> list[Note]:
    if settings.READ_ONLY:
        return [Note("Read only: nothing expires, and no file is removed, from here")]
    expired, purged = runs.get(CleanUp.Kind.EXPIRE), runs.get(CleanUp.Kind.PURGE)
    if not expired:
        return [Note("No clean-up has run yet")]
    late = [
        _late("The last clean-up", expired, now),
        purged and _late("The last removal of files", purged, now),
    ]
    if any(late):
        return [note for note in late if note]
    is_over = expired.finished_at is not None and expired.finished_at >= expired.started_at
    when = since_text(expired.finished_at, now)
    notes = [Note(f"Clean-up {when}: {expired.done:,} expired" if is_over else "A clean-up is under way")]
    if expired.failed:
        what = f"{expired.failed:,} expired asset{'' if expired.failed == 1 else 's'}"
        notes.append(Note(f"{what} could not be removed", is_trouble=True))
    if purged and _is_long(purged, now):
        notes.append(Note(f"files are being removed since {span_text(now - purged.started_at)}"))
    if purged and purged.busy_at and purged.busy_done:
        what = f"files of {purged.busy_done:,} asset{'' if purged.busy_done == 1 else 's'}"
        text = f"{what} removed {since_text(purged.busy_at, now)}"
        notes.append(Note(text, reverse("removed"), permission=VIEW_LEDGER))
    return notes


def _late(what: str, run: CleanUp, now: datetime) -> Note | None:
    """Trouble, where none has come to its end for long."""
    last = run.finished_at or run.started_at
    if last >= now - LATE or _is_long(run, now):
        return None
    when = since_text(last, now)
    happened = f"was {when}" if run.finished_at else f"began {when} and has not ended"
    return Note(f"{what} {happened}: is the worker running?", is_trouble=True)


def _is_long(run: CleanUp, now: datetime) -> bool:
    """Whether it is still at work, having begun in time; one that breaks off and begins anew has not."""
    if run.finished_at is None or run.finished_at >= now - LATE:
        return False
    return run.finished_at < run.started_at < run.finished_at + LATE and run.started_at > now - LONG
