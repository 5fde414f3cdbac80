"""What reviewers found of assets. A review belongs to an asset's id, and so stays when the asset leaves."""

from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from assets.prepared import instances

IS_CURRENT = models.Q(superseded_at=None)


class Verdict(models.TextChoices):
    APPROVED = "approved", "approved"
    FLAGGED = "flagged", "flagged"
    WITHDRAWN = "withdrawn", "verdict withdrawn"


STANDING = (Verdict.APPROVED, Verdict.FLAGGED)


NOTE_START = 200  # characters

_VERDICTS = """
    SELECT review.id, asset_id, verdict, note, reviewer_id, reviewed_at, superseded_at,
        username AS reviewer_name
    FROM assets_review AS review JOIN auth_user ON auth_user.id = reviewer_id
    WHERE asset_id = ANY(%s) AND superseded_at IS NULL AND verdict = ANY(%s)
"""


class ReviewQuerySet(models.QuerySet["Review"]):
    def of_assets(self, asset_ids: Iterable[UUID]) -> "ReviewQuerySet":
        return self.filter(asset_id__in=list(asset_ids))

    def current(self) -> "ReviewQuerySet":
        return self.filter(IS_CURRENT)

    def standing(self) -> "ReviewQuerySet":
        """The verdicts that assets have: those that were withdrawn are none."""
        return self.current().filter(verdict__in=STANDING)

    def verdicts(self, asset_ids: list[UUID]) -> list["Review"]:
        """The standing ones of some assets, with the names of their reviewers."""
        return instances(self, _VERDICTS, [asset_ids, list(STANDING)])

    def newest(self, verdict: str, at_most: int) -> "ReviewQuerySet":
        """Those that have one verdict, the last given first."""
        return self.current().filter(verdict=verdict).order_by("-id")[:at_most]

    def flagging(self) -> "ReviewQuerySet":
        return self.current().filter(verdict=Verdict.FLAGGED)


class Review(models.Model):
    id = models.BigAutoField(primary_key=True)
    asset_id = models.UUIDField()
    verdict = models.TextField(choices=Verdict)
    note = models.TextField(db_default="")
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="reviews", db_constraint=False, db_index=False
    )
    reviewed_at = models.DateTimeField(db_default=Now())
    superseded_at = models.DateTimeField(null=True)  # when a later review of the asset took its place

    objects = ReviewQuerySet.as_manager()

    class Meta:
        constraints = [
            # An asset's verdict, of which there is one at a time; which of some assets have one.
            models.UniqueConstraint(fields=["asset_id"], name="reviews_current", condition=IS_CURRENT),
        ]
        indexes = [
            # An asset's history.
            models.Index(fields=["asset_id", "-id"], name="reviews_asset"),
            # The assets of one verdict, newest first.
            models.Index(
                fields=["verdict", "-id"], name="reviews_verdict", include=["asset_id"], condition=IS_CURRENT
            ),
        ]

    def __str__(self) -> str:
        return f"{self.asset_id} {self.get_verdict_display()}"

    @property
    def is_standing(self) -> bool:
        return self.superseded_at is None and self.verdict in STANDING

    @property
    def summary(self) -> str:
        """Who found what, and the beginning of the note."""
        start = f"{self.note[:NOTE_START]}…" if len(self.note) > NOTE_START else self.note
        said = f": “{start}”" if start else ""
        return f"{self.get_verdict_display()} by {self.reviewer.get_username()}{said}"
