"""What the overview shows: numbers of the whole table and of the ledger, counted in the background."""

from datetime import datetime

from django.db import models

REST = 30  # times as long as the last refresh took, none is begun


class Rollup(models.Model):
    """A count and its bytes. What is null is not what was counted by, or stands for all others."""

    class Kind(models.TextChoices):
        ARRIVED = "arrived"  # by hour and type, of some days
        EXPIRES = "expires"  # by hour and type, of some days
        EXPIRED_BEFORE = "expired_before"  # before those days, by type
        EXPIRES_AFTER = "expires_after"
        EXPIRES_NEVER = "expires_never"
        MODEL = "model"  # by type and model
        USER = "user"  # by user and type: of those with the most assets
        TOP_USER = "top_user"  # the same of the first few; without a user, of all others
        USERS = "users"  # how many have assets
        MODELS = "models"  # how many made them
        LEFT = "left"  # by hour and action, of some days
        CAME_BACK = "came_back"  # by the hour in which they had left

    id = models.BigAutoField(primary_key=True)
    kind = models.TextField(choices=Kind)
    hour = models.DateTimeField(null=True)  # its start
    asset_type = models.TextField(null=True)
    model_used = models.TextField(null=True)
    user_id = models.UUIDField(null=True)
    action = models.TextField(null=True)
    count = models.BigIntegerField()
    bytes = models.DecimalField(max_digits=40, decimal_places=0, default=0)

    class Meta:
        indexes = [
            # A user's totals by type.
            models.Index(fields=["user_id"], name="rollups_user", condition=models.Q(user_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.count}"


class Refresh(models.Model):
    """The one row about the rollups: when they were begun, and when those that are there."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    started_at = models.DateTimeField()
    as_of = models.DateTimeField(null=True)  # that of the last that came to its end
    took = models.DurationField(null=True)

    def __str__(self) -> str:
        return f"as of {self.as_of}"

    @property
    def due_at(self) -> datetime:
        """When the next may begin, so that a large table does not load a small machine."""
        return self.as_of + (REST + 1) * self.took
