"""The product's four tables.

Columns, types and database defaults are the product's. Foreign keys are read without joins:
the profile or the job of an asset may be gone, and the asset must not vanish with it.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import RandomUUID, TransactionNow
from django.contrib.postgres.indexes import GinIndex, HashIndex, OpClass
from django.db import connections, models
from django.db.models.functions import Cast, Upper
from django.db.models.lookups import GreaterThan

from assets.lossless import LosslessDecoder
from assets.models.prompts import PROMPT_WORDS, PromptQuerySet
from assets.parameters import NOT_ASKED
from assets.storage import LIBRARY_BUCKET, WORKSPACE_BUCKET
from assets.time_limits import TimeLimitError, rows_within

ASSET_LIFETIME = timedelta(days=7)
LOOSE_SCAN_IN = 1.0  # seconds


class StoreKey(models.Func):
    """Where a path says its file is, as an index stores it, for finding the rows that name a key.

    What `storage.key_of` makes of a path that is a key, with or without the bucket, or an address. An
    address that SQL cannot read as Python does is "//", which is no key: key_of must judge it. It must
    never raise an error, which would stop the product from writing its rows.
    """

    output_field = models.TextField()
    JUDGED_BY_PYTHON = "//"
    # Of an address, all from the first slash after the host on: a host may be named like the bucket.
    _PLACE = (
        "regexp_replace(split_part(split_part(%(expressions)s, '?', 1), '#', 1),"
        " '^[A-Za-z][A-Za-z0-9+.-]*://[^/]*', '')"
    )
    # JSON reads ASCII written as %XX, in a text without what is special to JSON and without tabs and line
    # ends, which Python leaves out. A null stays one.
    template = (
        "(CASE WHEN %(expressions)s !~ '^[A-Za-z][A-Za-z0-9+.-]*://'"
        " THEN regexp_replace(%(expressions)s, '^%(bucket)s/', '')"
        rf" WHEN {_PLACE} !~ '^([^\x25\x22\\\x01-\x1f]|\x25(0[1-9A-Fa-f]|[1-7][0-9A-Fa-f]))*$' THEN '//'"
        rf" ELSE substring(((chr(34) || replace({_PLACE}, chr(37), '\u00') || chr(34))::jsonb #>> '{{}}')"
        ", '/%(bucket)s/(.*)') END)"
    )

    def __init__(self, path: str | models.expressions.Combinable, *, bucket: str) -> None:
        super().__init__(path, bucket=bucket)


class AsksForNothing(models.Func):
    """Whether settings are no object, or one that has nothing but some keys."""

    output_field = models.BooleanField()
    template = (
        "(CASE WHEN jsonb_typeof(%(expressions)s) = 'object'"
        " THEN %(expressions)s - '{%(keys)s}'::text[] = '{}'::jsonb ELSE true END)"
    )

    def __init__(self, settings: str | models.expressions.Combinable, *, keys: str) -> None:
        super().__init__(settings, keys=keys)


# As the index has it, which is not used for another expression.
ASKS_FOR_NOTHING = AsksForNothing("generation_settings", keys=",".join(NOT_ASKED))


class Profile(models.Model):
    id = models.UUIDField(primary_key=True, db_default=RandomUUID())
    username = models.TextField(null=True, unique=True)
    subscription_status = models.TextField(null=True)
    token_balance = models.IntegerField(null=True)
    created_at = models.DateTimeField(null=True, db_default=TransactionNow())
    updated_at = models.DateTimeField(null=True, db_default=TransactionNow())
    age_verified = models.BooleanField(null=True)

    class Meta:
        db_table = "profiles"
        indexes = [
            # Users whose name starts with what was typed, in any case.
            models.Index(OpClass(Upper("username"), "text_pattern_ops"), name="profiles_username_prefix"),
        ]

    def __str__(self) -> str:
        return self.username or str(self.id)


class Job(models.Model):
    class Status(models.TextChoices):
        QUEUED = "queued"
        PROCESSING = "processing"
        COMPLETED = "completed"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, db_default=RandomUUID())
    user = models.ForeignKey(Profile, models.DO_NOTHING, related_name="jobs", db_index=False, null=True)
    job_type = models.TextField(null=True)
    status = models.TextField(null=True, choices=Status, db_default=Status.QUEUED)
    error_message = models.TextField(null=True)
    attempts = models.IntegerField(null=True)
    metadata = models.JSONField(null=True)
    created_at = models.DateTimeField(null=True, db_default=TransactionNow())
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    format = models.TextField(null=True)
    quality = models.TextField(null=True)
    model_type = models.TextField(null=True)
    original_prompt = models.TextField(null=True)
    enhanced_prompt = models.TextField(null=True)
    moderation_status = models.TextField(null=True)
    reviewed_at = models.DateTimeField(null=True)
    reviewed_by = models.UUIDField(null=True)
    review_notes = models.TextField(null=True)
    destination = models.TextField(null=True)
    template_name = models.TextField(null=True)

    class Meta:
        db_table = "jobs"
        indexes = [
            # A user's jobs, newest first.
            models.Index(fields=["user", "-created_at"], name="jobs_user_created"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class _BytesStored(models.Func):
    function, output_field = "pg_column_size", models.BigIntegerField()


class _BytesOfText(models.Func):
    template, output_field = "octet_length((%(expressions)s)::text)", models.BigIntegerField()


class _IsAmong(models.Func):
    """`column = ANY (array)`, for which the database looks up one after the other and joins nothing."""

    template, arg_joiner, output_field = "(%(expressions)s))", " = ANY (", models.BooleanField()


def is_among(column: str, values: models.QuerySet) -> models.Q:
    """Those that one column of a query names, each looked up by its key."""
    return models.Q(_IsAmong(column, ArraySubquery(values)))


class WorkspaceAssetQuerySet(PromptQuerySet):
    def for_user(self, user_id: UUID) -> "WorkspaceAssetQuerySet":
        return self.filter(user_id=user_id)

    def for_job(self, job_id: UUID) -> "WorkspaceAssetQuerySet":
        return self.filter(job_id=job_id)

    def among(self, asset_ids: models.QuerySet) -> "WorkspaceAssetQuerySet":
        return self.filter(is_among("id", asset_ids))

    def with_settings_text(self) -> "WorkspaceAssetQuerySet":
        """With the settings as the database writes them, which are cut short nowhere."""
        return self.annotate(settings_text=Cast("generation_settings", models.TextField()))

    def expired(self, at: datetime) -> "WorkspaceAssetQuerySet":
        return self.filter(expires_at__lte=at)

    def expiring(self, start: datetime, within: timedelta) -> "WorkspaceAssetQuerySet":
        return self.filter(expires_at__gt=start, expires_at__lte=start + within)

    def with_settings_up_to(self, size: int) -> "WorkspaceAssetQuerySet":
        """`settings_size` in bytes, and as `small_settings` the settings, null where they are larger.

        What is large as it is stored is not unpacked to be measured.
        """
        stored, unpacked = _BytesStored("generation_settings"), _BytesOfText("generation_settings")
        measured = models.Case(models.When(models.Q(GreaterThan(stored, size)), stored), default=unpacked)
        rows = self.defer("generation_settings").annotate(settings_size=measured)
        small = models.When(settings_size__lte=size, then="generation_settings")
        return rows.annotate(small_settings=models.Case(small))

    def totals_by_type(self) -> "models.QuerySet[WorkspaceAsset, dict[str, Any]]":
        """Dictionaries of `asset_type`, `count` and `total_bytes`, from an index alone for one user."""
        totals = self.order_by("asset_type").values("asset_type")
        return totals.annotate(count=models.Count("id"), total_bytes=models.Sum("file_size_bytes"))

    def totals_of_first(self, number: int) -> list[tuple[str, int, int]]:
        """Type, count and bytes of as many rows at most, from an index alone for one user."""
        rows = self.order_by().values("asset_type", "file_size_bytes")[:number]
        sql, params = rows.query.sql_with_params()
        totals = (
            f"SELECT asset_type, count(*), sum(file_size_bytes) FROM ({sql}) AS rows GROUP BY 1 ORDER BY 1"  # noqa: S608 (from Django, its parameters apart)
        )
        with connections[self.db].cursor() as cursor:
            cursor.execute(totals, params)
            return cursor.fetchall()

    def distinct_values(self, columns: Iterable[str], at_most: int) -> dict[str, list[str]]:
        """The values that occur in each of some text columns of the table, by a loose index scan.

        None where that takes too long: without an index, each value would be a scan of the whole table.
        """
        scans, params = [], []
        for column in columns:
            scans.append(f"(SELECT %s, value FROM ({_LOOSE_SCAN.format(column=column)}) AS scan LIMIT %s)")  # noqa: S608 (columns are ours)
            params += [column, at_most]
        found: dict[str, list[str]] = {column: [] for column in columns}
        with suppress(TimeLimitError):
            for column, value in rows_within(self.db, LOOSE_SCAN_IN, " UNION ALL ".join(scans), params):
                found[column].append(value)
        return found


# Each step looks up the next greater value: its cost is one index probe a value, whatever the rows.
_LOOSE_SCAN = """
    WITH RECURSIVE scan (value) AS (
        (SELECT {column} FROM workspace_assets ORDER BY {column} LIMIT 1)
        UNION ALL
        SELECT (SELECT {column} FROM workspace_assets WHERE {column} > value ORDER BY {column} LIMIT 1)
        FROM scan WHERE value IS NOT NULL
    )
    SELECT value FROM scan WHERE value IS NOT NULL
"""


class WorkspaceAsset(models.Model):
    class Type(models.TextChoices):
        IMAGE = "image"
        VIDEO = "video"

    id = models.UUIDField(primary_key=True, db_default=RandomUUID())
    user = models.ForeignKey(Profile, models.DO_NOTHING, related_name="assets", db_index=False)
    asset_type = models.TextField(choices=Type)
    temp_storage_path = models.TextField()
    file_size_bytes = models.BigIntegerField()
    mime_type = models.TextField()
    duration_seconds = models.DecimalField(max_digits=10, decimal_places=3, null=True)
    job = models.ForeignKey(Job, models.DO_NOTHING, related_name="assets", db_index=False)
    asset_index = models.IntegerField(db_default=0)
    generation_seed = models.BigIntegerField()
    original_prompt = models.TextField()
    model_used = models.TextField()
    generation_settings = models.JSONField(null=True, db_default={}, decoder=LosslessDecoder)
    created_at = models.DateTimeField(null=True, db_default=TransactionNow())
    expires_at = models.DateTimeField(null=True, db_default=TransactionNow() + ASSET_LIFETIME)
    thumbnail_path = models.TextField(null=True)
    width = models.IntegerField(null=True)
    height = models.IntegerField(null=True)

    objects = WorkspaceAssetQuerySet.as_manager()

    class Meta:
        db_table = "workspace_assets"
        permissions = [
            ("promote_workspaceasset", "Can save workspace assets to the library"),
            ("extend_workspaceasset", "Can extend the expiry of workspace assets"),
            ("review_workspaceasset", "Can write review notes on workspace assets"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(asset_type__in=["image", "video"]),
                name="workspace_assets_asset_type_check",
            ),
            # Also serves a job's assets by index.
            models.UniqueConstraint(
                fields=["job", "asset_index"], name="workspace_assets_job_id_asset_index_key"
            ),
        ]
        indexes = [
            # The gallery as it opens: everything, newest first.
            models.Index(fields=["-created_at", "-id"], name="assets_newest"),
            # A user's assets, newest first.
            models.Index(fields=["user", "-created_at", "-id"], name="assets_user_newest"),
            # A user's assets of one type and model, newest first; a user's count and bytes by type from
            # the index alone.
            models.Index(
                fields=["user", "asset_type", "model_used", "-created_at", "-id"],
                include=["file_size_bytes"],
                name="assets_user_type_model_newest",
            ),
            # One type, newest first.
            models.Index(fields=["asset_type", "-created_at", "-id"], name="assets_type_newest"),
            # One type and model, newest first; the pairs that exist, by loose scan.
            models.Index(
                fields=["asset_type", "model_used", "-created_at", "-id"], name="assets_type_model_newest"
            ),
            # One model, newest first; the models that exist, by loose scan.
            models.Index(fields=["model_used", "-created_at", "-id"], name="assets_model_newest"),
            # What expires soon, soonest first or, from the index alone, in another order; what has expired;
            # the overview's count of what expires when.
            models.Index(
                fields=["expires_at", "id"],
                include=["created_at", "asset_type", "file_size_bytes"],
                name="assets_expiring",
            ),
            # One MIME type, where it is rare.
            models.Index(fields=["mime_type"], name="assets_mime"),
            # Largest first.
            models.Index(fields=["-file_size_bytes", "-id"], name="assets_largest"),
            # Which assets name a file.
            HashIndex(StoreKey("temp_storage_path", bucket=WORKSPACE_BUCKET), name="assets_file_key"),
            HashIndex(StoreKey("thumbnail_path", bucket=WORKSPACE_BUCKET), name="assets_thumbnail_key"),
            # Everything made from one seed.
            models.Index(fields=["generation_seed"], name="assets_seed"),
            # Everything made from one prompt.
            HashIndex(fields=["original_prompt"], name="assets_prompt"),
            # Words in the prompt.
            GinIndex(PROMPT_WORDS, name="assets_prompt_words"),
            # A setting equal to a value.
            GinIndex(fields=["generation_settings"], opclasses=["jsonb_path_ops"], name="assets_settings"),
            # The few that ask for nothing in settings, which have no value to be found by.
            models.Index(
                fields=["-created_at", "-id"],
                condition=models.Q(ASKS_FOR_NOTHING),
                name="assets_ask_for_nothing",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class LibraryAsset(models.Model):
    class Visibility(models.TextChoices):
        PRIVATE = "private"
        UNLISTED = "unlisted"
        PUBLIC = "public"

    id = models.UUIDField(primary_key=True, db_default=RandomUUID())
    user = models.ForeignKey(Profile, models.DO_NOTHING, related_name="library", db_index=False)
    asset_type = models.TextField(choices=WorkspaceAsset.Type)
    storage_path = models.TextField()
    file_size_bytes = models.BigIntegerField()
    mime_type = models.TextField()
    duration_seconds = models.DecimalField(max_digits=10, decimal_places=3, null=True)
    original_prompt = models.TextField()
    model_used = models.TextField()
    generation_seed = models.BigIntegerField(null=True)
    collection_id = models.UUIDField(null=True)
    custom_title = models.TextField(null=True)
    tags = ArrayField(models.TextField(), null=True, db_default=[])
    is_favorite = models.BooleanField(null=True, db_default=False)
    visibility = models.TextField(null=True, choices=Visibility, db_default=Visibility.PRIVATE)
    created_at = models.DateTimeField(null=True, db_default=TransactionNow())
    updated_at = models.DateTimeField(null=True, db_default=TransactionNow())
    thumbnail_path = models.TextField(null=True)
    width = models.IntegerField(null=True)
    height = models.IntegerField(null=True)

    objects = PromptQuerySet.as_manager()

    class Meta:
        db_table = "user_library"
        indexes = [
            # What was saved, newest first.
            models.Index(fields=["-created_at", "-id"], name="library_newest"),
            # What a user has saved, newest first.
            models.Index(fields=["user", "-created_at", "-id"], name="library_user_newest"),
            # What was saved of one type, or made by one model, newest first.
            models.Index(fields=["asset_type", "-created_at", "-id"], name="library_type_newest"),
            models.Index(fields=["model_used", "-created_at", "-id"], name="library_model_newest"),
            # What was saved of one MIME type, newest first; made from one seed.
            models.Index(fields=["mime_type", "-created_at", "-id"], name="library_mime_newest"),
            models.Index(fields=["generation_seed"], name="library_seed"),
            # What was saved with a tag.
            GinIndex(fields=["tags"], name="library_tags"),
            # The largest of what was saved.
            models.Index(fields=["-file_size_bytes", "-id"], name="library_largest"),
            # Words in the prompt.
            GinIndex(PROMPT_WORDS, name="library_prompt_words"),
            # Which saved assets name a file.
            HashIndex(StoreKey("storage_path", bucket=LIBRARY_BUCKET), name="library_file_key"),
            HashIndex(StoreKey("thumbnail_path", bucket=LIBRARY_BUCKET), name="library_thumbnail_key"),
        ]

    def __str__(self) -> str:
        return self.custom_title or str(self.id)


def owner_name() -> models.Subquery:
    """Of rows with a `user_id`: the name of a user that still has a profile and a name."""
    return models.Subquery(Profile.objects.filter(id=models.OuterRef("user_id")).values("username"))


def usernames(user_ids: Iterable[UUID]) -> dict[UUID, str]:
    """The names of those users that still have a profile and a name, by one query."""
    profiles = Profile.objects.filter(id__in=set(user_ids), username__isnull=False)
    return dict(profiles.values_list("id", "username"))
