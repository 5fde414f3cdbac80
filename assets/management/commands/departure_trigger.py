from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from assets import departure_trigger
from assets.models import Disposition, WorkspaceAsset


class Command(BaseCommand):
    help = (
        "Says whether the database records assets that other programs remove. With --sql, prints what"
        " the owner of workspace_assets runs to have it do so; changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sql", action="store_true", help="print the statements")
        parser.add_argument("--remove", action="store_true", help="with --sql: those that take it away again")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["sql"]:
            self.stdout.write(self.statements(remove=options["remove"]))
        elif departure_trigger.is_installed():
            self.stdout.write("The trigger is there: whatever leaves by other hands is recorded.")
        else:
            message = (
                "The trigger is missing, or may not write: departure_trigger --sql prints what it takes."
            )
            raise CommandError(message, returncode=1)

    def statements(self, *, remove: bool) -> str:
        """What each role runs; only the last part are statements, so that they can be piped to psql."""
        owner, ours = (departure_trigger.owner_of(model) for model in (WorkspaceAsset, Disposition))
        if owner is None or ours is None:
            raise CommandError("The assets or the ledger are not there: run manage.py migrate first.")
        schema = departure_trigger.assets_schema()
        if remove:
            sql, first = departure_trigger.removal(schema), ""
        else:
            sql = departure_trigger.creation(schema)
            grants = "".join(f"--   {line}\n" for line in departure_trigger.grants(owner).splitlines())
            first = f"-- First, as {ours}, who owns the ledger:\n{grants}" if owner != ours else ""
        # In one transaction: half a trigger would break the product's deletes.
        return f"{first}-- As {owner}, who owns workspace_assets:\nBEGIN;\n\n{sql}\n\nCOMMIT;"
