from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from assets import departure_trigger


class Command(BaseCommand):
    help = (
        "Says whether the database records assets that other programs remove. With --sql, prints what"
        " the owner of workspace_assets runs to have it do so; changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sql", action="store_true", help="print the statements")
        parser.add_argument("--remove", action="store_true", help="with --sql: those that take it away again")

    def handle(self, *args: Any, **options: Any) -> None:
        schema = departure_trigger.assets_schema()
        if options["sql"]:
            sql = departure_trigger.removal if options["remove"] else departure_trigger.creation
            self.stdout.write(sql(schema))
        elif departure_trigger.is_installed():
            self.stdout.write("The trigger is there: whatever leaves by other hands is recorded.")
        else:
            raise CommandError("The trigger is missing: departure_trigger --sql prints it.", returncode=1)
