"""Migrations of a database that has assets."""

import pytest
from django.core.management import call_command
from django.db import connection

from assets.indexes import needs

BEFORE_INDEXES = "0009"


@pytest.mark.django_db(transaction=True)
def test_indexes_that_were_broken_off_are_taken_up_again():
    try:
        call_command("migrate", "assets", BEFORE_INDEXES, verbosity=0)
        assert "assets_mime" in missing()
        with connection.cursor() as cursor:
            cursor.execute("CREATE INDEX library_seed ON user_library (generation_seed)")
            cursor.execute("CREATE INDEX assets_mime ON workspace_assets (mime_type)")
            cursor.execute(
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'assets_mime'::regclass"
            )
            cursor.execute("DROP INDEX assets_expiring")
    finally:
        call_command("migrate", "assets", verbosity=0)
    assert missing() == set()


def missing():
    return {need.index.name for need in needs() if not need.is_there}
