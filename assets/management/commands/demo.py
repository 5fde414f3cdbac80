import sys
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from assets import rollups
from assets.demo.build import DemoRefused, build
from assets.demo.departures import add_departures
from assets.demo.logins import LOGINS, demo_password, make_logins
from assets.demo.reviews import add_reviews
from assets.read_only import refuse_if_read_only


class Command(BaseCommand):
    help = "Makes the demo workspace, or renews it: its times begin anew, and files that are there stay."
    has_begun = False

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_if_read_only()
        try:
            made = build(timezone.now(), self._report)
        except DemoRefused as refusal:
            raise CommandError(str(refusal)) from None
        make_logins()
        add_reviews(made)
        add_departures(made, User.objects.get(username="admin"))
        rollups.refresh(anew=True)
        self.stdout.write(
            f"{len(made.assets)} assets of {len(made.jobs)} jobs and {len(made.profiles)} users."
        )
        if options["verbosity"]:
            self.stdout.write(f"Log in as {', '.join(LOGINS)}; the password of each is {demo_password()}")
        self.stdout.flush()

    def _report(self, done: int, total: int) -> None:
        if not self.has_begun:
            self.has_begun = True
            self.stdout.write("Drawing the demo workspace …")
            self.stdout.flush()
        if not sys.stderr.isatty():
            return
        width = 32
        filled = "█" * (width * done // total)
        end = "\n" if done == total else ""
        sys.stderr.write(f"\r  {filled.ljust(width, '░')} {done} of {total} files{end}")
        sys.stderr.flush()
