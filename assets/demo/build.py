"""Makes the files of the demo, then its rows, so that a row never waits for its file."""

from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import connection, models, transaction

from assets.demo.oddities import add_oddities
from assets.demo.rows import Plan, plan
from assets.demo.studio import Report, Sizes, produce
from assets.models import Job, LibraryAsset, Profile, WorkspaceAsset
from assets.storage import WORKSPACE, MissingFile


class DemoRefused(Exception):  # noqa: N818 (nothing went wrong)
    """The demo would touch what it did not make; the message is for people."""


def build(now: datetime, report: Report, scale: float = 1) -> Plan:
    """Makes or renews the demo, whose times lie around `now`. Raises DemoRefused."""
    if settings.UPSTREAM_TABLES == "existing":
        raise DemoRefused("The demo never writes to a product's own tables: unset UPSTREAM_TABLES.")
    made = plan(now, scale)
    add_oddities(made)
    _refuse_foreign_assets(made)
    memory = Path(settings.DATA_DIR) / "demo_files.jsonl"
    _fill_in_sizes(made, produce(made.orders, _Workspace(), memory, report))
    _write(made)
    return made


class _Workspace:
    def size(self, key: str) -> int | None:
        try:
            return WORKSPACE.facts(key).size
        except MissingFile:
            return None

    def put(self, key: str, place: Path) -> None:
        with place.open("rb") as file:
            WORKSPACE.put(file, key)


def _refuse_foreign_assets(made: Plan) -> None:
    ours = [asset.id for asset in plan(made.now).assets]  # of the whole demo, whatever the scale
    foreign = WorkspaceAsset.objects.exclude(id__in=ours)
    if foreign.exists():
        raise DemoRefused(
            "This workspace holds assets that the demo did not make: give the demo an empty one."
        )


def _fill_in_sizes(made: Plan, sizes: Sizes) -> None:
    for asset in made.assets:
        if asset.file_size_bytes is None:
            asset.file_size_bytes = sizes[made.keys[asset.id]]


@transaction.atomic
def _write(made: Plan) -> None:
    _save(Profile, made.profiles)
    _save(Job, made.jobs)
    _drop_foreign_keys()
    saved = set(LibraryAsset.objects.values_list("id", flat=True))
    _save(WorkspaceAsset, [asset for asset in made.assets if asset.id not in saved])


def _save(model: type[models.Model], rows: list[models.Model]) -> None:
    """Inserts or renews: other tables may refer to these rows by now."""
    names = [field.name for field in model._meta.concrete_fields if not field.primary_key]
    model._default_manager.bulk_create(
        rows, batch_size=500, update_conflicts=True, unique_fields=["id"], update_fields=names
    )


def _drop_foreign_keys() -> None:
    """Product databases do not enforce them everywhere: some assets name a user or a job that is gone.

    For good, so that such an asset can leave and come back.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what is pending would forbid altering the table
        cursor.execute(
            "SELECT conname FROM pg_constraint"
            " WHERE contype = 'f' AND conrelid = to_regclass('workspace_assets')"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE workspace_assets DROP CONSTRAINT {connection.ops.quote_name(name)}")
