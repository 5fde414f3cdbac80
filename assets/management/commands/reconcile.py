import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from assets.humanize import instant_text, size_text
from assets.management.progress import Bar
from assets.reconcile import RefusedError, Report, reconcile
from assets.storage import FileFault

LISTED = 20  # of each kind, for people


class Command(BaseCommand):
    help = (
        "Compares the stores with rows and ledger, both ways. Ends with status 1 where they differ."
        " With --yes, removes files that nobody has named for a day."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--yes", action="store_true", help="remove orphans; otherwise only report")
        parser.add_argument("--limit", type=int, default=1_000, help="at most so many (default: 1000)")
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["limit"] < 0:
            raise CommandError("--limit is a number of files: 0 or more.")
        bar = Bar("")
        try:
            report = reconcile(
                remove=options["yes"],
                limit=options["limit"],
                progress=lambda step, done: bar.show(done, 0, step),
            )
        except RefusedError as refusal:
            raise CommandError(str(refusal), returncode=2) from None
        except FileFault as fault:
            raise CommandError(f"A store cannot be listed: {fault}.", returncode=2) from fault
        finally:
            bar.end()
        if options["json"]:
            self.stdout.write(json.dumps(asdict(report) | _as_objects(report), default=str))
        else:
            self._tell(report)
        if not report.is_clean:
            raise SystemExit(1)

    def _tell(self, report: Report) -> None:
        for store, number in report.files.items():
            self.stdout.write(f"The {store}: {number:,} files, {report.names[store]:,} named by rows.")
        for store in report.looks_unmounted:
            self.stdout.write(f"The {store} lists as empty though rows name files in it: is it mounted?")
        self.stdout.write(
            f"{report.orphans:,} files that nobody names ({size_text(report.orphan_bytes)}),"
            f" {report.removable:,} of them for a day or longer."
        )
        for orphan in report.some_orphans[:LISTED]:
            facts = f"{size_text(orphan.size)}, {instant_text(orphan.modified_at)}"
            self.stdout.write(f"  {orphan.store}: {orphan.key} ({facts})")
        self.stdout.write(
            f"{report.missing:,} files that rows name are missing; {report.unreadable:,} paths name no place."
        )
        for missing in report.some_missing[:LISTED]:
            self.stdout.write(
                f"  {missing.store}: asset {missing.asset_id}: {missing.path!r}: {missing.reason}"
            )
        if report.removed or report.failed:
            self.stdout.write(f"{report.removed:,} orphans removed, {report.failed:,} could not be.")


def _as_objects(report: Report) -> dict[str, Any]:
    return {
        "some_orphans": [orphan._asdict() for orphan in report.some_orphans],
        "some_missing": [missing._asdict() for missing in report.some_missing],
    }
