"""Migrations of indexes on large tables, made while the product writes.

Such a migration is no transaction: where it is broken off, what is done stays, and an index that was being
made is left behind, not in use. These operations are taken up again there.
"""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


class AddIndexOnce(AddIndexConcurrently):
    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        is_in_use = _is_in_use(schema_editor, self.index.name)
        if is_in_use:
            return
        if is_in_use is False:
            super().database_backwards(app_label, schema_editor, to_state, from_state)
        super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        if _is_in_use(schema_editor, self.index.name) is not None:
            super().database_backwards(app_label, schema_editor, from_state, to_state)


class RemoveIndexOnce(RemoveIndexConcurrently):
    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        if _is_in_use(schema_editor, self.name) is not None:
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        if _is_in_use(schema_editor, self.name) is None:
            super().database_backwards(app_label, schema_editor, from_state, to_state)


def _is_in_use(schema_editor: BaseDatabaseSchemaEditor, name: str) -> bool | None:
    """None where there is no such index."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT indisvalid AND indisready FROM pg_index WHERE indexrelid = to_regclass(quote_ident(%s))",
            [name],
        )
        found = cursor.fetchone()
    return found[0] if found else None
