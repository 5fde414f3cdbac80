import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from assets.ingest import FAILED, REGISTERED, THERE, IngestRefused, Result, find, ingest_file
from assets.management.progress import Bar
from assets.models import Profile
from assets.read_only import refuse_if_read_only

LISTED = 20  # of those that are there already, and of those without all metadata


class Command(BaseCommand):
    help = (
        "Registers generated files, and all files in folders, as jobs with assets in the workspace. How each"
        " was made is read out of the file; a seed that it does not tell is -1, an unknown model is --model,"
        " else “unknown”. A file that is there already is not added twice. Ends with status 1 where a file"
        " could not be read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a file or a folder")
        parser.add_argument("--user", required=True, help="whose they are: a username, or a user's id")
        parser.add_argument("--model", default="", help="the model of files that do not name one")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["dry_run"]:
            refuse_if_read_only()
        bar = Bar("files")
        try:
            results = list(self._results(options, bar))
        except IngestRefused as refusal:
            raise CommandError(str(refusal), returncode=2) from None
        except DatabaseError as error:
            reason = str(error).partition("\n")[0]
            raise CommandError(f"The database cannot be used: {reason}", returncode=2) from error
        finally:
            bar.end()
        self._tell(results, options)
        if any(result.state == FAILED for result in results):
            raise SystemExit(1)

    def _results(self, options: dict[str, Any], bar: Bar) -> Iterator[Result]:
        owner = owner_of(options["user"])
        found = list(find(options["paths"]))
        registered = set()
        for done, (path, fault) in enumerate(found):
            bar.show(done, len(found))
            if fault:
                yield Result(path, FAILED, fault)
            else:
                result = ingest_file(path, owner=owner, model=options["model"], dry_run=options["dry_run"])
                if result.state == REGISTERED and result.asset_id in registered:  # where none is added
                    result = Result(path, THERE, "It has the bytes of a file before it", result.asset_id)
                registered.add(result.asset_id)
                yield result
        bar.show(len(found), len(found))

    def _tell(self, results: list[Result], options: dict[str, Any]) -> None:
        counts = Counter(result.state for result in results)
        jobs = {result.job_id for result in results if result.job_id}
        if options["json"]:
            numbers = {state: counts[state] for state in (REGISTERED, THERE, FAILED)}
            files = [described(result) for result in results]
            self.stdout.write(json.dumps({**numbers, "jobs": len(jobs), "files": files}))
            return
        self._list(results, FAILED, "Not readable:", len(results))
        self._list(results, THERE, "There already:", LISTED)
        self._list(results, REGISTERED, "Registered without all that could be known:", LISTED)
        would = "would be " if options["dry_run"] else ""
        unit = "job" if len(jobs) == 1 else "jobs"
        self.stdout.write(
            f"{counts[REGISTERED]:,} {would}registered in {len(jobs):,} {unit},"
            f" {counts[THERE]:,} there already, {counts[FAILED]:,} not readable."
        )

    def _list(self, results: list[Result], state: str, title: str, most: int) -> None:
        listed = [result for result in results if result.state == state and result.reason]
        if listed:
            self.stdout.write(title)
        for result in listed[:most]:
            self.stdout.write(f"  {name_of(result.path)}: {result.reason}.")
        if len(listed) > most:
            self.stdout.write(f"  … and {len(listed) - most:,} more")


def owner_of(name: str) -> Profile:
    owner = Profile.objects.filter(username=name).first()
    if owner is None:
        with contextlib.suppress(ValueError):
            owner = Profile.objects.filter(id=UUID(name)).first()
    if owner is None:
        raise CommandError(f"There is no user {name}.", returncode=2)
    return owner


def described(result: Result) -> dict[str, Any]:
    return {
        "path": name_of(result.path),
        "state": result.state,
        "reason": result.reason,
        "asset": result.asset_id and str(result.asset_id),
        "job": result.job_id and str(result.job_id),
    }


def name_of(path: Path) -> str:
    """A name that is not text has its bytes spelt out."""
    return os.fsencode(path).decode(errors="backslashreplace")
