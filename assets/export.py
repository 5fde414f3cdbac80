"""Lists as CSV, JSON lines or one JSON array, of the JSON that PostgreSQL itself writes of each column.

So numbers keep every digit and settings are what the table has. Of `generation_settings` a null of SQL is
left out of JSON and empty in CSV, as in the ledger: a null there is one of JSON.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import BigIntegerField, F, Func, OuterRef, QuerySet, Subquery, TextField

from assets.models import Disposition, LibraryAsset, WorkspaceAsset
from assets.pagination import Order, Sieve, walk

ROWS_AT_ONCE = 500
BYTES_AT_ONCE = 4_000_000  # of prompts and settings; a row of more comes alone
SETTINGS = "generation_settings"

Row = Sequence[str | None]  # the JSON of each column; None for a null of SQL

# --- Columns -----------------------------------------------------------------


class _Json(Func):
    template = "to_json(%(expressions)s)::text"
    output_field = TextField()


class _RowJson(Func):
    """A column of the row that a ledger entry keeps."""

    output_field = TextField()

    def __init__(self, column: str) -> None:
        super().__init__("row", template=f"(%(expressions)s -> '{column}')::text")


def _made(column: str) -> Subquery:
    """What the library has no column for: of the last time that the asset was saved."""
    entries = Disposition.objects.filter(
        asset_id=OuterRef("pk"), action=Disposition.Action.PROMOTED, restored_at=None
    )
    return Subquery(entries.order_by("-id").values(made=_RowJson(column))[:1])


_TIMES = ("disposed_at", "purge_after", "purged_at", "restored_at")
_NAMES = [field.attname for field in WorkspaceAsset._meta.concrete_fields]

ASSET_COLUMNS = {name: _Json(F(name)) for name in _NAMES}
LIBRARY_COLUMNS = {
    **{field.attname: _Json(F(field.attname)) for field in LibraryAsset._meta.concrete_fields},
    **{name: _made(name) for name in ("job_id", "asset_index", SETTINGS)},
}
REMOVED_COLUMNS = {
    "asset_id": _Json(F("asset_id")),
    "action": _Json(F("action")),
    "actor": _Json(F("actor__username")),  # null: a clean-up, or another program
    "operation": _Json(F("operation_id")),
    **{name: _Json(F(name)) for name in _TIMES},
    "last_error": _Json(F("last_error")),
    **{name: _RowJson(name) for name in _NAMES},
}


# --- Parts -------------------------------------------------------------------


class _Bytes(Func):
    """Of what may be long in a row."""

    template = "octet_length(concat(%(expressions)s))"
    output_field = BigIntegerField()


ASSET_BYTES = _Bytes("original_prompt", SETTINGS)
_BYTES = {
    WorkspaceAsset: ASSET_BYTES,
    LibraryAsset: _Bytes("original_prompt", _made(SETTINGS)),
    Disposition: _Bytes("row"),
}


def chunks(
    queryset: QuerySet, order: Order, columns: Mapping[str, Any], *, sieve: Sieve | None = None
) -> Iterator[list[Row]]:
    """The rows in order, in parts that are light, whatever the rows weigh."""
    model = queryset.model
    for weighed in walk(queryset, order, ["pk", _BYTES[model]], ROWS_AT_ONCE, sieve=sieve):
        for keys in light_parts(weighed):
            rows = model._default_manager.filter(pk__in=keys).values_list("pk", *columns.values())
            found = {pk: row for pk, *row in rows}
            yield [found[pk] for pk in keys if pk in found]


def light_parts(weighed: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
    """The keys of rows, of which each comes with its bytes: many light ones at once, few heavy ones."""
    part: list[Any] = []
    total = 0
    for key, size in weighed:
        if part and total + size > BYTES_AT_ONCE:
            yield part
            part, total = [], 0
        part.append(key)
        total += size
    if part:
        yield part


# --- JSON --------------------------------------------------------------------


def json_object(row: Mapping[str, str | None]) -> str:
    kept = {name: text or "null" for name, text in row.items() if text is not None or name != SETTINGS}
    return f"{{{', '.join(f'{json.dumps(name)}: {text}' for name, text in kept.items())}}}"


def _json_lines(names: Sequence[str], parts: Iterable[list[Row]]) -> Iterator[str]:
    for rows in parts:
        yield "".join(f"{json_object(dict(zip(names, row, strict=True)))}\n" for row in rows)


def _json_array(names: Sequence[str], parts: Iterable[list[Row]]) -> Iterator[str]:
    before = "[\n"
    for rows in parts:
        yield before + ",\n".join(json_object(dict(zip(names, row, strict=True))) for row in rows)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


# --- CSV ---------------------------------------------------------------------


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def csv_lines(rows: Iterable[Iterable[str]]) -> Iterator[str]:
    return map(csv.writer(_Echo()).writerow, rows)  # type: ignore[arg-type]


# As a formula begins, in the wide letters of East Asia too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def plain(text: str) -> str:
    """Words of others, of which a spreadsheet would run those that begin as a formula does."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _csv(names: Sequence[str], parts: Iterable[list[Row]]) -> Iterator[str]:
    yield from csv_lines([names])
    for rows in parts:
        yield "".join(csv_lines(map(_cell, names, row) for row in rows))


def _cell(name: str, text: str | None) -> str:
    if text is None or (text == "null" and name != SETTINGS):
        return ""
    return plain(json.loads(text)) if text.startswith('"') and name != SETTINGS else text


# --- Formats -----------------------------------------------------------------


@dataclass(frozen=True)
class Format:
    label: str
    content_type: str
    lines: Callable[[Sequence[str], Iterable[list[Row]]], Iterator[str]]


FORMATS = {
    "csv": Format("CSV", "text/csv; charset=utf-8", _csv),
    "jsonl": Format("JSON lines", "application/x-ndjson; charset=utf-8", _json_lines),
    "json": Format("JSON", "application/json", _json_array),
}
