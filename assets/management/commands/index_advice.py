import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.template.defaultfilters import filesizeformat

from assets.indexes import MODELS, Need, bytes_per_row, indexes_of, is_partitioned, needs, rows_of


class Command(BaseCommand):
    help = (
        "Compares the indexes that are there with those that the pages need, and prints what the owner of the"
        " tables may run: pipe it to psql. Changes nothing. Exit status 1 when an index is missing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="as JSON, those that are there as well")

    def handle(self, *args: Any, **options: Any) -> None:
        found = list(needs())
        missing = [need for need in found if need.is_missing]
        if options["json"]:
            self.stdout.write(json.dumps([_as_json(need) for need in found], indent=2))
        else:
            self.stdout.write("\n".join(_as_sql(found)), ending="\n")
        if missing:
            raise CommandError(f"{len(missing)} of {len(found)} indexes are missing.", returncode=1)


def _as_sql(found: list[Need]) -> list[str]:
    missing = [need for need in found if need.is_missing]
    lines = [f"-- {len(found) - len(missing)} of {len(found)} indexes are there."]
    lines += [
        f"-- Nearly there: {need.nearly}, for {need.serves}: rows are read or sorted beside it."
        for need in found
        if need.nearly
    ]
    lines += [f"-- Not in use, broken off or being made: {name}." for name in _broken()]
    if missing:
        lines += [
            "",
            f"SET search_path = {_schema()};",
            "SET lock_timeout = 0;",
            "SET statement_timeout = 0;",
        ]
    for need in missing:
        lines += ["", f"-- For {need.serves}{_size(need)}", *_warnings(need)]
        lines += [f"{each};" for each in need.remedy]
    if missing:
        tables = ", ".join(dict.fromkeys(need.model._meta.db_table for need in missing))
        lines += ["", "-- So that the planner knows what is rare", f"ANALYZE {tables};"]
    return lines


def _warnings(need: Need) -> Iterator[str]:
    if need.in_the_way:
        yield "-- It was broken off, or is being made: if so wait for that, since it is dropped here."
    if is_partitioned(need.model):
        yield "-- The table is partitioned, so nothing can be written there while this is made."


def _as_json(need: Need) -> dict[str, Any]:
    return {
        "table": need.model._meta.db_table,
        "index": need.index.name,
        "serves": need.serves,
        "state": "missing" if need.is_missing else "nearly" if need.nearly else "there",
        "nearly": need.nearly or None,
        "bytes": _bytes(need),
        "statements": need.remedy if need.is_missing else [],
    }


def _bytes(need: Need) -> int | None:
    rows = rows_of(need.model)
    return None if rows is None or need.index.condition else rows * bytes_per_row(need.model, need.index)


def _size(need: Need) -> str:
    if need.index.condition:
        return ": of a few rows, small."
    size = _bytes(need)
    return (
        ": its size is not known before the table is analysed."
        if size is None
        else f": about {_shown(size)}."
    )


def _shown(size: int) -> str:
    return filesizeformat(size).replace("\xa0", " ")


def _broken() -> list[str]:
    return [each.name for model in MODELS for each in indexes_of(model) if not each.is_valid]


def _schema() -> str:
    """Where the product's tables are found, which may not be where their owner looks first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT quote_ident(nspname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
            " WHERE pg_class.oid = to_regclass('workspace_assets')"
        )
        found = cursor.fetchone()
    if found is None:
        raise CommandError("There are no assets here: look at manage.py check --database default.")
    return found[0]
