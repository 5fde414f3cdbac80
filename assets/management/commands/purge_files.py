import json
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db.models import QuerySet
from django.db.models.functions import Now

from assets import clean_up
from assets.management.progress import Bar
from assets.models import Disposition


class Command(BaseCommand):
    help = "Removes the files of assets that have left, as the worker does every minute."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--yes", action="store_true", help="do it; otherwise only say what would be done")
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        due = Disposition.objects.due().count() + _departures_by_others().count()
        if not options["yes"]:
            waiting = Disposition.objects.pending().count() - due
            text = f"The files of {due:,} assets are due, of {waiting:,} later; --yes removes those due."
            self._answer(options, text, due=due, waiting=waiting)
            return
        bar = Bar("assets")
        purged = clean_up.purge(lambda done: bar.show(done, max(due, done)))
        bar.end()
        text = f"The files of {purged.done:,} assets removed."
        if purged.failed:
            text += f" Those of {purged.failed:,} could not be, and are tried again later."
        self._answer(options, text, **purged._asdict())
        if purged.failed:
            raise SystemExit(1)

    def _answer(self, options: dict[str, Any], text: str, **numbers: int) -> None:
        self.stdout.write(json.dumps(numbers) if options["json"] else text)


def _departures_by_others() -> QuerySet[Disposition]:
    """Those that are due, too: their time is set by the purge, and only saying so must not write."""
    grace = timedelta(hours=settings.PURGE_GRACE_HOURS)
    return Disposition.objects.unscheduled().filter(disposed_at__lte=Now() - grace)
