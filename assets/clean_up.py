"""The clean-ups that run by the clock or by hand, each leaving a note of its last run."""

from collections.abc import Callable
from typing import TypeVar

from django.utils import timezone

from assets import dispositions
from assets import purge as purging
from assets.dispositions import Expired
from assets.models import CleanUp
from assets.purge import Purged
from assets.read_only import writes

Progress = Callable[[int], None]
Result = TypeVar("Result", Expired, Purged)


def expire(progress: Progress = lambda done: None) -> Expired:
    """Removes the assets whose time has passed."""
    return _noted(CleanUp.Kind.EXPIRE, lambda: dispositions.expire(progress=progress))


def purge(progress: Progress = lambda done: None) -> Purged:
    """Removes the files of assets that have left, when their time has come."""
    return _noted(CleanUp.Kind.PURGE, lambda: purging.purge(progress=progress))


@writes
def _noted(kind: CleanUp.Kind, run: Callable[[], Result]) -> Result:
    CleanUp.objects.update_or_create(kind=kind, defaults={"started_at": timezone.now()})
    result = run()
    now = timezone.now()
    values = {"finished_at": now, "done": result.done, "failed": result.failed}
    if any(result):
        values |= {"busy_at": now, "busy_done": result.done}
    CleanUp.objects.filter(kind=kind).update(**values)
    return result
