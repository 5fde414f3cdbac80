"""What the page of an asset shows of its settings, in the workspace, in the library and in the ledger."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from assets import settings_view
from assets.copy_as import Made, diffusers_call, parameters_text
from assets.disagreements import Facts, disagreements
from assets.likeness import is_too_large
from assets.lossless import indented
from assets.models import WorkspaceAsset
from assets.parameters import Parameter, parameters
from assets.views.files import FileReport

MOST_COPIED = 100_000  # characters of each text that is offered for copying


class Copy(NamedTuple):
    id: str
    title: str
    text: str
    is_cut: bool
    url: str = ""  # of the whole


def settings_context(
    row: Mapping[str, Any], settings_text: str | None, *, file: FileReport | None = None, url: str = ""
) -> dict[str, Any]:
    """Of a row with all of an asset's columns, and of its settings as the database writes them."""
    settings = row.get("generation_settings")
    said = parameters(settings)
    flags = disagreements(said, _facts(row, file or FileReport()))
    return {
        "inspector": settings_view.inspect(settings, said, flags),
        "copies": [_json(settings_text or "null", url), *_written(_made(row), said)],
        "is_nsfw": settings_view.is_nsfw(settings),
        "finds_settings": not is_too_large(settings_text),
    }


def row_of(asset: WorkspaceAsset) -> dict[str, Any]:
    return {field.attname: getattr(asset, field.attname) for field in asset._meta.concrete_fields}


def _facts(row: Mapping[str, Any], file: FileReport) -> Facts:
    return Facts(
        seed=_whole(row, "generation_seed"),
        width=_whole(row, "width"),
        height=_whole(row, "height"),
        mime=_text(row, "mime_type"),
        file_width=file.width,
        file_height=file.height,
        file_mime=file.format.mime if file.format else "",
    )


def _json(settings_text: str, url: str) -> Copy:
    text = indented(settings_text, MOST_COPIED + 1)
    return Copy("json", "JSON", text[:MOST_COPIED], len(text) > MOST_COPIED, url)


def _written(made: Made, said: list[Parameter]) -> Iterator[Copy]:
    texts = [
        ("parameters", "parameters text", parameters_text(made, said)),
        ("diffusers", "diffusers call", diffusers_call(made, said)),
    ]
    for name, title, text in texts:
        yield Copy(name, title, text[:MOST_COPIED], len(text) > MOST_COPIED)


def _made(row: Mapping[str, Any]) -> Made:
    return Made(
        prompt=_text(row, "original_prompt"),
        model=_text(row, "model_used"),
        seed=_whole(row, "generation_seed"),
        width=_whole(row, "width"),
        height=_whole(row, "height"),
        is_video=row.get("asset_type") == WorkspaceAsset.Type.VIDEO,
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _whole(row: Mapping[str, Any], name: str) -> int | None:
    value = row.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
