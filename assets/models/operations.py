"""Operations: a frozen selection of assets, what is to be done to them, and what became of each."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Verb(models.TextChoices):
    """What is done to one asset."""

    PROMOTE = "promote", "Save to the library"
    DELETE = "delete", "Delete"
    EXTEND = "extend", "Extend to 7 days from now"


class Operation(models.Model):
    class Action(models.TextChoices):
        PROMOTE = "promote", "Save to the library"
        DELETE = "delete", "Delete"
        EXTEND = "extend", "Extend to 7 days from now"
        KEEP = "keep", "Save some, delete the rest"  # of a job: two verbs, one operation

    class State(models.TextChoices):
        PREPARING = "preparing", "being prepared"
        READY = "ready", "to be confirmed"
        RUNNING = "running", "running"
        CANCELLED = "cancelled", "cancelled"
        FINISHED = "finished", "finished"
        UNDOING = "undoing", "being undone"
        UNDONE = "undone", "undone"

    UNDER_WAY = (State.PREPARING, State.RUNNING, State.UNDOING)

    id = models.BigAutoField(primary_key=True)
    action = models.TextField(choices=Action)
    state = models.TextField(choices=State, default=State.PREPARING)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="operations")
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True)
    filter = models.TextField(null=True)  # the gallery's query string; null where assets were ticked
    options = models.JSONField(default=dict)  # of saving: "title", "tags", "collection_id", "despite_flags"
    summary = models.JSONField(default=dict)  # of the assets as they were frozen; see bulk.Summary
    total = models.BigIntegerField(default=0)
    done = models.BigIntegerField(default=0)
    gone = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    undone = models.BigIntegerField(default=0)
    error = models.TextField(default="")  # what stopped the last try, for whoever watches
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)  # of the present run
    settled_before = models.BigIntegerField(default=0)  # assets that earlier runs saw to
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            # Those under way, for whoever has to take them up again.
            models.Index(
                fields=["id"],
                name="operations_under_way",
                condition=models.Q(state__in=["preparing", "running", "undoing"]),
            ),
            # Those with failures.
            models.Index(fields=["-id"], name="operations_failed", condition=models.Q(failed__gt=0)),
        ]

    def __str__(self) -> str:
        return f"Operation {self.pk}"

    @property
    def is_under_way(self) -> bool:
        return self.state in self.UNDER_WAY

    @property
    def settled(self) -> int:
        return self.done + self.gone + self.failed


IS_TROUBLED = models.Q(state="gone") | ~models.Q(reason="")


class OperationItem(models.Model):
    class State(models.TextChoices):
        PENDING = "pending", "waiting"
        DONE = "done", "done"
        GONE = "gone", "gone before"
        FAILED = "failed", "failed"
        UNDONE = "undone", "undone"

    pk = models.CompositePrimaryKey("operation_id", "asset_id")
    # Without a constraint: a million of them are frozen in one statement.
    operation = models.ForeignKey(
        Operation, models.CASCADE, related_name="items", db_constraint=False, db_index=False
    )
    asset_id = models.UUIDField()
    verb = models.TextField(choices=Verb)
    state = models.TextField(choices=State, db_default=State.PENDING)
    reason = models.TextField(db_default="")

    class Meta:
        indexes = [
            # What is still to be done.
            models.Index(
                fields=["operation", "verb", "asset_id"],
                name="items_pending",
                condition=models.Q(state="pending"),
            ),
            # Whether an expired asset is about to be saved or extended.
            models.Index(
                fields=["asset_id"],
                name="items_spoken_for",
                condition=models.Q(state="pending", verb__in=["promote", "extend"]),
            ),
            # What did not go as it was meant to.
            models.Index(fields=["operation", "asset_id"], name="items_troubled", condition=IS_TROUBLED),
        ]

    def __str__(self) -> str:
        return f"{self.get_verb_display()} {self.asset_id}: {self.get_state_display()}"
