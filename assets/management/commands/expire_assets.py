import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from assets import clean_up
from assets.management.progress import Bar
from assets.models import WorkspaceAsset


class Command(BaseCommand):
    help = "Removes the assets whose time has passed, as the worker does every five minutes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--yes", action="store_true", help="do it; otherwise only say what would be done")
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        due = WorkspaceAsset.objects.expired(timezone.now()).count()
        if not options["yes"]:
            self._answer(options, f"{due:,} assets have expired; --yes removes them.", due=due)
            return
        bar = Bar("assets")
        expired = clean_up.expire(lambda done: bar.show(done, max(due, done)))
        bar.end()
        text = f"{expired.done:,} assets removed; they can be brought back until their files are."
        if expired.failed:
            text += f" {expired.failed:,} could not be removed."
        self._answer(options, text, **expired._asdict())
        if expired.failed:
            raise SystemExit(1)

    def _answer(self, options: dict[str, Any], text: str, **numbers: int) -> None:
        self.stdout.write(json.dumps(numbers) if options["json"] else text)
