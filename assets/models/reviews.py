"""What reviewers found of assets. A review belongs to an asset's id, and so stays when the asset leaves."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

IS_CURRENT = models.Q(superseded_at=None)


class Verdict(models.TextChoices):
    APPROVED = "approved", "approved"
    FLAGGED = "flagged", "flagged"
    WITHDRAWN = "withdrawn", "verdict withdrawn"


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

    class Meta:
        constraints = [
            # An asset's verdict, of which there is one at a time; which of some assets have one.
            models.UniqueConstraint(fields=["asset_id"], name="reviews_current", condition=IS_CURRENT),
        ]
        indexes = [
            # An asset's history.
            models.Index(fields=["asset_id", "-id"], name="reviews_asset"),
            # The assets of one verdict.
            models.Index(fields=["verdict", "asset_id"], name="reviews_verdict", condition=IS_CURRENT),
        ]

    def __str__(self) -> str:
        return f"{self.asset_id} {self.get_verdict_display()}"
