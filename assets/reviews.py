"""Verdicts of reviewers on assets: one at a time for each, and all that came before it.

They belong to an asset's id, wherever the asset is: in the workspace, in the library, or gone.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Count, Exists, Max, OuterRef
from django.db.models.functions import Now

from assets.models import LibraryAsset, Operation, OperationItem, Review, Verb, Verdict, WorkspaceAsset
from assets.models.reviews import STANDING

# --- Writing -----------------------------------------------------------------


class Reviewed(NamedTuple):
    """What became of some assets that were to be reviewed."""

    written: list[Review]  # in the order of their ids, which follow each other
    unchanged: list[UUID]  # that had this verdict and note already
    gone: list[UUID]  # that are neither in the workspace nor in the library


def review(asset_ids: Collection[UUID], *, verdict: Verdict, note: str = "", reviewer: User) -> Reviewed:
    """Gives each asset a verdict in the place of the one that it has; withdrawing leaves it none."""
    wanted = (verdict, note) if verdict in STANDING else None
    with transaction.atomic():
        _one_at_a_time()
        there = _there(asset_ids)
        found = {pk: (old.verdict, old.note) for pk, old in verdicts(there).items()}
        changed = [pk for pk in there if found.get(pk) != wanted]
        new = [Review(asset_id=pk, verdict=verdict, note=note, reviewer=reviewer) for pk in changed]
        written = _supersede(new)
    gone = set(asset_ids) - set(there)
    return Reviewed(written, [pk for pk in there if found.get(pk) == wanted], list(gone))


def take_back(first: int, last: int, *, reviewer: User) -> list[Review]:
    """Gives the assets of one's own reviews, from one id to another, the verdicts that they had before.

    Not where somebody has reviewed since.
    """
    with transaction.atomic():
        _one_at_a_time()
        own = Review.objects.current().filter(id__gte=first, id__lte=last, reviewer=reviewer)
        asset_ids = list(own.order_by("id").values_list("asset_id", flat=True))
        before = Review.objects.of_assets(asset_ids).filter(id__lt=first)
        former = {old.asset_id: old for old in before.order_by("asset_id", "-id").distinct("asset_id")}
        none = Review(verdict=Verdict.WITHDRAWN, note="")
        return _supersede(
            [
                Review(asset_id=pk, verdict=old.verdict, note=old.note, reviewer=reviewer)
                for pk in asset_ids
                for old in [former.get(pk, none)]
            ]
        )


_LOCK = 7_305_810_418_331_020_546  # any number that nobody else locks


def _one_at_a_time() -> None:
    """Until the transaction ends: of two verdicts on one asset at one instant the later is current.

    So the ids of reviews also follow the order in which they came to be seen.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _there(asset_ids: Collection[UUID]) -> list[UUID]:
    wanted = list(asset_ids)
    live = WorkspaceAsset.objects.order_by().filter(id__in=wanted).values_list("id", flat=True)
    saved = LibraryAsset.objects.order_by().filter(id__in=wanted).values_list("id", flat=True)
    there = set(live.union(saved))
    return [pk for pk in dict.fromkeys(wanted) if pk in there]


def _supersede(new: list[Review]) -> list[Review]:
    current = Review.objects.current().of_assets(each.asset_id for each in new)
    current.update(superseded_at=Now())
    return Review.objects.bulk_create(new)


# --- Reading -----------------------------------------------------------------


def verdicts(asset_ids: Iterable[UUID]) -> dict[UUID, Review]:
    """The verdict of each asset that has one, by one query; of the reviewers, only their names."""
    asset_ids = list(asset_ids)
    found = Review.objects.verdicts(asset_ids) if asset_ids else []
    for each in found:
        each.reviewer = User.from_db(
            each._state.db, ["id", "username"], [each.reviewer_id, each.reviewer_name]
        )
    return {each.asset_id: each for each in found}


def flagged(asset_ids: Iterable[UUID]) -> dict[UUID, Review]:
    found = Review.objects.of_assets(asset_ids).flagging().select_related("reviewer")
    return {each.asset_id: each for each in found}


def objections(asset_ids: Iterable[UUID], *, known: int) -> dict[UUID, str]:
    """Why some assets are not to be saved by whoever knows of the flags up to that review."""
    found = flagged(asset_ids).items()
    return {pk: f"It was {flag.summary}" for pk, flag in found if flag.id > known}


class Flags(NamedTuple):
    """How many assets of an operation that are to be saved are flagged, and the last of these reviews."""

    number: int
    last: int

    def __str__(self) -> str:
        one = self.number == 1
        return f"{self.number:,} asset{'' if one else 's'} to be saved {'is' if one else 'are'} flagged."


def flags_among(operation: Operation, *, known: int = 0) -> Flags:
    saved = OperationItem.objects.filter(
        operation=operation, verb=Verb.PROMOTE, asset_id=OuterRef("asset_id")
    )
    found = Review.objects.flagging().filter(Exists(saved), id__gt=known)
    return Flags(**found.aggregate(number=Count("id"), last=Max("id", default=0)))
