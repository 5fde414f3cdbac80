from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

from assets import grants


class Command(BaseCommand):
    help = (
        "Prints what the owner of a product's database runs, so that the role of DATABASE_URL may do what the"
        " dashboard does, and no more: pipe it to psql. Asks the database nothing and changes nothing."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--role", help="the dashboard's role (default: that of DATABASE_URL)")
        parser.add_argument("--read-only", action="store_true", help="for READ_ONLY=1: the right to look")

    def handle(self, *args: Any, **options: Any) -> None:
        quote = connection.ops.quote_name
        role = quote(options["role"] or connection.settings_dict["USER"])
        lines = [
            "BEGIN;  -- all of it, or nothing",
            "-- A role that sees the rows of every user, and a schema of its own for the dashboard's tables.",
            f"CREATE ROLE {role} LOGIN BYPASSRLS;",
            f"GRANT {role} TO CURRENT_USER; -- for the next line, where that is no superuser",
            f"CREATE SCHEMA {quote(settings.DASHBOARD_SCHEMA)} AUTHORIZATION {role};",
            f"REVOKE {role} FROM CURRENT_USER;",
            f"GRANT CONNECT, TEMPORARY ON DATABASE {quote(connection.settings_dict['NAME'])} TO {role};",
            f"GRANT USAGE ON SCHEMA public TO {role};",
            *grants.statements(role, read_only=options["read_only"] or settings.READ_ONLY),
            "COMMIT;",
        ]
        self.stdout.write("\n".join(lines))
