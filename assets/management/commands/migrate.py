import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.commands import migrate
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.migrations.recorder import MigrationRecorder

from assets.own_schema import revoke, rights_of_others

PAUSE = 0.5  # seconds
_LOCK = 7_305_810_418_331_020_547  # any number that nobody else locks


class Command(migrate.Command):
    """Django's own, in a schema of ours.

    A product that runs on Django has a `django_migrations` of its own on the search path. Ours
    must be there before Django looks for one, or it would read and write the product's.
    """

    def handle(self, *args: Any, **options: Any) -> None:
        connection, schema = connections[options["database"]], settings.DASHBOARD_SCHEMA
        with one_at_a_time(connection):
            if schema == "public":
                super().handle(*args, **options)
            else:
                self.handle_by_ourselves(connection, schema, *args, **options)

    def handle_by_ourselves(
        self, connection: BaseDatabaseWrapper, schema: str, *args: Any, **options: Any
    ) -> None:
        # What was there before stays: the rights of the trigger's owner, or on tables that are none of ours.
        given = rights_of_others(connection, schema)
        prepare_schema(connection, schema)
        try:
            self.keep_to_ourselves(connection, schema, given)
            super().handle(*args, **options)
        finally:
            self.keep_to_ourselves(connection, schema, given)

    def keep_to_ourselves(
        self, connection: BaseDatabaseWrapper, schema: str, given: set[tuple[str, str]]
    ) -> None:
        """Takes back what default privileges give others in a new schema or to new tables."""
        rights = rights_of_others(connection, schema) - given
        revoke(connection, rights)
        if rights:
            roles = ", ".join(sorted({role for role, _ in rights}))
            self.stdout.write(f"Revoked what default privileges gave {roles} in the schema {schema}.")


@contextmanager
def one_at_a_time(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Whoever migrates at the same time, as from another host, comes after, and finds it done.

    It asks again and again: a statement that waited for the lock would hold up an index that is being made
    concurrently, for which that very lock is held.
    """
    with connection.cursor() as cursor:
        while not _ask(cursor, "pg_try_advisory_lock"):
            time.sleep(PAUSE)
        try:
            yield
        finally:
            _ask(cursor, "pg_advisory_unlock")


def _ask(cursor: CursorWrapper, function: str) -> bool:
    cursor.execute(f"SELECT {function}(%s)", [_LOCK])
    return cursor.fetchone()[0]


def is_prepared(connection: BaseDatabaseWrapper, schema: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{schema}.django_migrations"])
        return cursor.fetchone()[0]


def prepare_schema(connection: BaseDatabaseWrapper, schema: str) -> None:
    with connection.cursor() as cursor:
        # Asked first: CREATE SCHEMA IF NOT EXISTS wants the privilege even when it has nothing to do.
        cursor.execute("SELECT to_regnamespace(%s) IS NULL", [schema])
        if cursor.fetchone()[0]:
            cursor.execute(f"CREATE SCHEMA {connection.ops.quote_name(schema)}")
    if not is_prepared(connection, schema):
        with connection.schema_editor() as editor:
            editor.create_model(MigrationRecorder.Migration)
