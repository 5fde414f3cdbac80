"""What is still to be done: migrations, indexes, and the trigger, without which files stay behind."""

from collections.abc import Iterator

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from assets import departure_trigger
from assets.attachment.verdicts import Check, Verdict, counted, listed, note, ok, quoted, value, warning
from assets.indexes import is_small, needs
from assets.models import WorkspaceAsset

MANAGE = "manage.py"


def migrations() -> Iterator[Verdict]:
    # Asked first: a product that runs on Django has such a table as well, which the search path would find.
    if not _are_migrations_ours():
        yield note(
            "The dashboard's own tables are not made yet.",
            f"When nothing here is a problem, run {MANAGE} migrate: it makes them in the"
            f" schema {settings.DASHBOARD_SCHEMA}, and touches nothing else.",
        )
        return
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        yield warning(f"{counted(len(plan), 'migration')} wait to be run.", f"Run {MANAGE} migrate.")
    else:
        yield ok("The dashboard's own tables are there, and of this version.")


def _are_migrations_ours() -> bool:
    return bool(value("SELECT to_regclass(%s)", f"{quoted(settings.DASHBOARD_SCHEMA)}.django_migrations"))


def _are_assets_there() -> bool:
    return bool(value("SELECT to_regclass(%s)", WorkspaceAsset._meta.db_table))


def indexes() -> Iterator[Verdict]:
    if not _are_assets_there():
        return
    found = list(needs())
    missing = [need for need in found if need.is_missing]
    so = f"{counted(len(missing), 'index', 'indexes')} of {len(found)} that pages use are missing"
    if not missing:
        yield ok(f"The {len(found)} indexes that pages use are there.")
    elif is_small():
        yield note(f"{so}: at this size all is read as quickly.", "Look again when the tables have grown.")
    else:
        do = (
            f"{MANAGE} index_advice prints those, to be piped to psql by the tables' owner;"
            " each is made while the product writes."
        )
        yield warning(f"{so}: {listed((need.serves for need in missing), 3)}.", do)


def trigger() -> Iterator[Verdict]:
    if not _are_assets_there():
        return
    if departure_trigger.is_installed():
        yield ok("The trigger records what leaves by other hands.")
        return
    first = "" if _are_migrations_ours() else f"After {MANAGE} migrate: "
    yield warning(
        "Assets that the product itself removes leave their files behind: no trigger records them.",
        f"{first}{MANAGE} departure_trigger --sql prints it for {departure_trigger.owner_of(WorkspaceAsset)},"
        " who owns the table, to be piped to psql; where that is no superuser, this role first runs what"
        " --grants prints.",
    )


CHECKS: tuple[Check, ...] = (migrations, indexes, trigger)
