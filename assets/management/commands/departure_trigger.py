from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from assets import departure_trigger
from assets.models import Disposition, WorkspaceAsset

NOTHING_TO_GRANT = "-- Who owns workspace_assets owns the ledger as well: there is nothing to grant."


class Command(BaseCommand):
    help = (
        "Says whether the database records assets that other programs remove. With --sql, prints what"
        " the owner of workspace_assets runs to have it do so; with --grants, what the dashboard's role runs"
        " before, for an owner who is no superuser. Changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sql", action="store_true", help="print the statements")
        parser.add_argument(
            "--grants", action="store_true", help="print those that the dashboard's role runs"
        )
        parser.add_argument("--remove", action="store_true", help="with --sql: those that take it away again")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["grants"]:
            self.stdout.write(self.grants() or NOTHING_TO_GRANT)
        elif options["sql"]:
            self.stdout.write(self.statements(remove=options["remove"]))
        elif departure_trigger.is_installed():
            self.stdout.write("The trigger is there: whatever leaves by other hands is recorded.")
        else:
            message = (
                "The trigger is missing, or may not write: departure_trigger --sql prints what it takes."
            )
            raise CommandError(message, returncode=1)

    def grants(self) -> str:
        owner, ours = self.owners()
        return departure_trigger.grants(owner) if owner != ours else ""

    def owners(self) -> tuple[str, str]:
        """Of the assets and of the ledger."""
        owner, ours = (departure_trigger.owner_of(model) for model in (WorkspaceAsset, Disposition))
        if owner is None or ours is None:
            raise CommandError("The assets or the ledger are not there: run manage.py migrate first.")
        return owner, ours

    def statements(self, *, remove: bool) -> str:
        """What each role runs; only the last part are statements, so that they can be piped to psql."""
        owner, ours = self.owners()
        schema = departure_trigger.assets_schema()
        if remove:
            sql, first = departure_trigger.removal(schema), ""
        else:
            sql = departure_trigger.creation(schema)
            lines = "".join(f"--   {line}\n" for line in self.grants().splitlines())
            first = (
                f"-- First, as {ours}, who owns the ledger, what --grants prints:\n{lines}" if lines else ""
            )
        # In one transaction: half a trigger would break the product's deletes.
        return f"{first}-- As {owner}, who owns workspace_assets:\nBEGIN;\n\n{sql}\n\nCOMMIT;"
