import json
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from assets.attachment import page
from assets.attachment.examination import examine
from assets.attachment.server import place
from assets.attachment.verdicts import Finding, Level

WIDEST = 100  # characters
NOTHING_TO_RUN = "-- There is nothing to run; manage.py attach tells all that was found."


class Command(BaseCommand):
    help = (
        "Looks at the database and the stores that the dashboard is pointed at, and says what is wrong there"
        " and what to do. Changes nothing in the database; in the stores it writes one small file, copies"
        " it and removes it. Exit status 1 when something is a problem."
    )
    requires_system_checks: list[str] = []  # it says itself what is wrong, and more of it

    def add_arguments(self, parser: CommandParser) -> None:
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="as JSON")
        form.add_argument(
            "--sql", action="store_true", help="only the statements, for owners to pipe to psql"
        )
        parser.add_argument("--no-probe", action="store_true", help="write nothing to the stores either")

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was written is removed
        try:
            with closing(examine(probe=not options["no_probe"])) as found:  # which removes what it wrote
                told = self._told(found, options)
        except KeyboardInterrupt:
            raise CommandError("Stopped; nothing is left behind.", returncode=130) from None
        if any(finding.verdict.level == Level.PROBLEM for finding in told):
            sys.exit(1)

    def _told(self, findings: Iterator[Finding], options: dict[str, Any]) -> list[Finding]:
        if options["json"]:
            found = list(findings)
            self.stdout.write(json.dumps(page.as_json(found), indent=2))
        elif options["sql"]:
            found = list(findings)
            self.stdout.write("\n".join(page.as_sql(found)) or NOTHING_TO_RUN)
        else:
            found = list(self._shown(findings))
            self._end(found)
        return found

    def _shown(self, findings: Iterator[Finding]) -> Iterator[Finding]:
        """Each as soon as it is known, since a store or a large database may take its time."""
        width = min(shutil.get_terminal_size().columns, WIDEST)
        self.stdout.write(page.plain(place()))
        section = ""
        for finding in findings:
            if finding.section != section:
                section = finding.section
                self.stdout.write(f"\n{self.style.MIGRATE_HEADING(section)}")
            self.stdout.write(page.entry(finding.verdict, width, self._paint))
            self.stdout.flush()
            yield finding

    def _end(self, found: list[Finding]) -> None:
        self.stdout.write(f"\n{page.summary(found)}. Nothing in the database was changed.")
        if any(finding.verdict.sql for finding in found):
            self.stdout.write("manage.py attach --sql prints the statements alone, to be piped to psql.")

    def _paint(self, level: Level, text: str) -> str:
        styles = {
            Level.OK: self.style.SUCCESS,
            Level.NOTE: self.style.MIGRATE_LABEL,
            Level.WARNING: self.style.WARNING,
            Level.UNKNOWN: self.style.WARNING,
            Level.PROBLEM: self.style.ERROR,
        }
        return styles[level](text)
