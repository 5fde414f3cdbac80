import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from assets import rollups


class Command(BaseCommand):
    help = "Counts anew what the overview shows, as the worker does from time to time."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        refreshed = rollups.refresh(anew=True)
        if refreshed is None:
            text, numbers = "Another refresh is under way; nothing was done.", {"under_way": True}
        else:
            changed = f"{refreshed.written:,} of {refreshed.rows:,} numbers have changed"
            text = f"Counted in {refreshed.seconds:.1f} s; {changed}."
            numbers = refreshed._asdict()
        self.stdout.write(json.dumps(numbers) if options["json"] else text)
