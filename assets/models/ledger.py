"""The ledger: one row for each asset that left the workspace; at once history, recycle bin and outbox."""

from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.indexes import HashIndex
from django.db import connection, models
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Cast, Coalesce, Now

from assets.lossless import LosslessDecoder
from assets.models.upstream import StoreKey
from assets.storage import WORKSPACE_BUCKET


class RowText(models.Func):
    """The text of one column of a ledger entry's row, as an index stores it."""

    output_field = models.TextField()

    def __init__(self, column: str) -> None:
        super().__init__("row", template=f"(%(expressions)s ->> '{column}')")


IS_PENDING = models.Q(purged_at=None) & (models.Q(restored_at=None) | models.Q(action="promoted"))
IS_HELD = models.Q(purged_at=None, restored_at=None)
NEXT_TRY = Coalesce("retry_at", "purge_after")


class DispositionQuerySet(models.QuerySet["Disposition"]):
    def pending(self) -> "DispositionQuerySet":
        """Entries whose files are still to be removed: those left behind, or a library's after a return."""
        return self.filter(IS_PENDING)

    def due(self) -> "DispositionQuerySet":
        return self.pending().annotate(next_try=NEXT_TRY).filter(next_try__lte=Now())

    def unscheduled(self) -> "DispositionQuerySet":
        """Departures by others, for which no time has been set yet."""
        return self.pending().annotate(next_try=NEXT_TRY).filter(next_try=None)

    def held(self) -> "DispositionQuerySet":
        """Entries whose files in the workspace's store are there for a restore, or for their removal."""
        return self.filter(IS_HELD)

    def restorable(self) -> "DispositionQuerySet":
        return self.held().filter(models.Q(purge_after=None) | models.Q(purge_after__gt=Now()))

    def failing(self) -> "DispositionQuerySet":
        """Entries with a file that could not be removed at the last try."""
        return self.pending().exclude(last_error="")

    def of_assets(self, asset_ids: Iterable[UUID]) -> "DispositionQuerySet":
        return self.filter(asset_id__in=list(asset_ids))

    def with_settings_text(self) -> "DispositionQuerySet":
        """With the asset's settings as the database writes them, which are cut short nowhere."""
        return self.annotate(
            settings_text=Cast(KeyTransform("generation_settings", "row"), models.TextField())
        )


class Disposition(models.Model):
    class Action(models.TextChoices):
        PROMOTED = "promoted", "saved"
        DELETED = "deleted", "deleted"
        EXPIRED = "expired", "expired"
        EXTERNAL = "external", "removed by another program"

    id = models.BigAutoField(primary_key=True)
    asset_id = models.UUIDField()
    user_id = models.UUIDField(null=True)
    action = models.TextField(choices=Action)
    # The row as it was, every column of it. A null of SQL is left out: a null here is one of JSON.
    row = models.JSONField(decoder=LosslessDecoder)
    # Without constraints, which would cost more than the entry and hold up the product's own deletes.
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="dispositions",
        null=True,
        db_constraint=False,
        db_index=False,
    )
    operation = models.ForeignKey(
        "Operation",
        models.PROTECT,
        related_name="dispositions",
        null=True,
        db_constraint=False,
        db_index=False,
    )
    disposed_at = models.DateTimeField(db_default=Now())
    purge_after = models.DateTimeField(null=True)  # null until the clean-up has seen a departure by others
    purged_at = models.DateTimeField(null=True)
    restored_at = models.DateTimeField(null=True)
    restored_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="+",
        null=True,
        db_constraint=False,
        db_index=False,
    )
    retry_at = models.DateTimeField(null=True)
    attempts = models.IntegerField(db_default=0)
    last_error = models.TextField(db_default="")
    # Of a saved asset: {"file": {"key", "size", "sha256"}, "thumbnail": the same or null}, and after its
    # return {"row": that of the library}.
    saved = models.JSONField(null=True)
    files = models.JSONField(null=True)  # what became of each file: [{"store", "path", "state", "reason"}]

    objects = DispositionQuerySet.as_manager()

    class Meta:
        permissions = [("restore_disposition", "Can bring assets back that left the workspace")]
        indexes = [
            # What left, newest first; of one action, by one person and both, of one user.
            models.Index(fields=["-disposed_at", "-id"], name="ledger_newest"),
            models.Index(fields=["action", "-disposed_at", "-id"], name="ledger_action_newest"),
            models.Index(fields=["actor", "-disposed_at", "-id"], name="ledger_actor_newest"),
            models.Index(
                fields=["actor", "action", "-disposed_at", "-id"], name="ledger_actor_action_newest"
            ),
            models.Index(fields=["user_id", "-disposed_at", "-id"], name="ledger_user_newest"),
            # An asset's history.
            models.Index(fields=["asset_id", "-id"], name="ledger_asset"),
            # What an operation did, for its undo.
            models.Index(
                fields=["operation", "asset_id"],
                name="ledger_operation",
                condition=models.Q(operation__isnull=False),
            ),
            # Until when an operation can be undone.
            models.Index(
                fields=["operation", "purge_after"],
                name="ledger_operation_held",
                condition=IS_HELD & models.Q(operation__isnull=False),
            ),
            # What can come back, what has come back and what is gone for good, newest first.
            models.Index(fields=["-disposed_at", "-id"], name="ledger_held_newest", condition=IS_HELD),
            models.Index(
                fields=["-disposed_at", "-id"],
                name="ledger_restored_newest",
                condition=models.Q(restored_at__isnull=False),
            ),
            models.Index(
                fields=["-disposed_at", "-id"],
                name="ledger_purged_newest",
                condition=models.Q(purged_at__isnull=False, restored_at=None),
            ),
            # What is to be purged next.
            models.Index(NEXT_TRY, "id", name="ledger_due", condition=IS_PENDING),
            # What could not be removed.
            models.Index(
                fields=["-disposed_at", "-id"],
                name="ledger_failing",
                condition=IS_PENDING & ~models.Q(last_error=""),
            ),
            # Which entries may still bring a file back.
            HashIndex(
                StoreKey(RowText("temp_storage_path"), bucket=WORKSPACE_BUCKET),
                name="ledger_file_key",
                condition=IS_HELD,
            ),
            HashIndex(
                StoreKey(RowText("thumbnail_path"), bucket=WORKSPACE_BUCKET),
                name="ledger_thumbnail_key",
                condition=IS_HELD,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.asset_id} {self.get_action_display()}"


class Extension(models.Model):
    """One asset whose expiry was moved."""

    id = models.BigAutoField(primary_key=True)
    asset_id = models.UUIDField()
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    operation = models.ForeignKey(
        "Operation",
        models.PROTECT,
        related_name="extensions",
        null=True,
        db_constraint=False,
        db_index=False,
    )
    expired_at = models.DateTimeField()  # when it would have
    expires_at = models.DateTimeField()
    extended_at = models.DateTimeField(db_default=Now())
    undone_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            # An asset's history.
            models.Index(fields=["asset_id", "-id"], name="extensions_asset"),
            # What an operation did, for its undo.
            models.Index(
                fields=["operation", "asset_id"],
                name="extensions_operation",
                condition=models.Q(operation__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.asset_id} until {self.expires_at}"


class CleanUp(models.Model):
    """The last run of each kind of clean-up."""

    class Kind(models.TextChoices):
        EXPIRE = "expire"
        PURGE = "purge"

    kind = models.TextField(primary_key=True, choices=Kind)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)  # of the last that came to its end, perhaps before this
    done = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    # The last run that had anything to do, since most have not.
    busy_at = models.DateTimeField(null=True)
    busy_done = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.kind} at {self.started_at}"


# --- Files and rows ------------------------------------------------------------

_FILES_LOCK = 7_305_810_418_331_020_545  # any number that nobody else locks


def keep_files_in_place() -> None:
    """Until the transaction ends nobody removes a file, so that a row may come to name it. Many may."""
    _lock("pg_advisory_xact_lock_shared")


def remove_files_alone() -> None:
    """Until the transaction ends nobody brings a row back, so that a file that none names may go."""
    _lock("pg_advisory_xact_lock")


def _lock(function: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s)", [_FILES_LOCK])
