"""Every column of a row, to read, to copy, and to follow."""

from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.db.models import Model
from django.urls import reverse

from assets.humanize import instant_text, size_text
from assets.lossless import encode
from assets.settings_view import MOST_TEXT
from assets.views.cards import page_url

# The gallery's parameter that finds all rows with the same value of a column.
_PARAMETERS = {"asset_type": "type", "generation_seed": "seed", "model_used": "model", "mime_type": "mime"}


class Column(NamedTuple):
    name: str
    text: str  # to read
    raw: str  # to copy; empty for null
    url: str = ""


def row_columns(row: Model, *, owner: str | None = None) -> list[Column]:
    """In the order of the table; the owner's name is shown beside its UUID."""
    return [_column(row, field.attname, owner) for field in row._meta.concrete_fields]


def _column(row: Model, name: str, owner: str | None) -> Column:
    if name == "generation_settings":
        return settings_column(row.settings_text)
    value = getattr(row, name)
    if value is None:
        return Column(name, "null", "")
    if isinstance(value, dict | list):
        return Column(name, encode(value, indent=None), encode(value))
    if isinstance(value, datetime):
        return Column(name, instant_text(value), value.isoformat())
    if name == "file_size_bytes":
        return Column(name, f"{value:,} ({size_text(value)})", str(value))
    text = f"{owner} · {value}" if name == "user_id" and owner else str(value)
    return Column(name, text, str(value), _url(name, value))


def settings_column(text: str | None) -> Column:
    """Settings as the database writes them; what is too long to show here can be copied elsewhere."""
    if text is None:
        return Column("generation_settings", "null", "")
    is_long = len(text) > MOST_TEXT
    return Column("generation_settings", f"{text[:MOST_TEXT]}…" if is_long else text, "" if is_long else text)


def _url(name: str, value: Any) -> str:
    if name in {"user_id", "job_id"}:
        return page_url(name.removesuffix("_id"), value)
    parameter = _PARAMETERS.get(name)
    return f"{reverse('gallery')}?{urlencode({parameter: value})}" if parameter else ""
