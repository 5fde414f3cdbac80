"""Two to six assets side by side: their files in step, and what differs between their rows."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from assets import settings_view
from assets.access import viewers_only
from assets.comparison import (
    ASSET,
    FEWEST,
    MOST,
    PROMPTS,
    Effort,
    Missing,
    Piece,
    Row,
    compare,
    cut,
    difference,
    readable,
    summary,
    word_diff,
)
from assets.humanize import instant_text, length_text, size_text
from assets.lossless import encode_start, same
from assets.models import WorkspaceAsset
from assets.models.upstream import usernames
from assets.storage import WORKSPACE
from assets.views.cards import page_url, short_id
from assets.views.files import FileReport, report_on
from assets.views.whereabouts import whereabouts

MOST_SETTINGS = 2_000_000  # bytes of one asset
MOST_IDS = 100  # that are looked at, the same ones included
MOST_ROWS = 500
MOST_TEXT = 2_000  # characters of one value
MOST_PROMPT = 20_000
MOST_WORK = 3_000_000  # for the words of all prompts


class Refused(Exception):  # noqa: N818 (nothing went wrong)
    """Why there is nothing to compare; for people."""


@require_http_methods(["GET", "HEAD", "POST"])
@viewers_only
def comparison(request: HttpRequest) -> HttpResponse:
    """The page, and where the ticked assets of a gallery are sent."""
    try:
        if request.method == "POST":
            if request.POST.get("select"):
                raise Refused("A comparison takes two to six ticked assets, not all that match.")
            return redirect(compare_url(_asked_for(request.POST.getlist("ids"))))
        asset_ids = _asked_for(request.GET.getlist("id"))
    except Refused as refusal:
        return _refuse(request, str(refusal), status=400)
    found = {
        row.id: row
        for row in readable(WorkspaceAsset.objects.filter(id__in=asset_ids), most_settings=MOST_SETTINGS)
    }
    assets = [found[asset_id] for asset_id in asset_ids if asset_id in found]
    gone = _gone([asset_id for asset_id in asset_ids if asset_id not in found])
    if len(assets) < FEWEST:
        reason = "Of these assets fewer than two are still in the workspace."
        return _refuse(request, reason, status=404, gone=gone, assets=_links(assets))
    context = _context(assets, is_all="all" in request.GET)
    return render(request, "assets/compare.html", context | {"gone": gone})


def _refuse(request: HttpRequest, reason: str, *, status: int, **context: Any) -> HttpResponse:
    context |= {"heading": "Nothing to compare", "reason": reason}
    return render(request, "assets/compare_refused.html", context, status=status)


def _asked_for(texts: Sequence[str]) -> list[UUID]:
    """Each once, in the order that was asked for."""
    try:
        asset_ids = list(dict.fromkeys(UUID(text.strip()) for text in texts[:MOST_IDS]))
    except ValueError:
        raise Refused("Something of what is to be compared is not the UUID of an asset.") from None
    number = len(asset_ids) if len(texts) <= MOST_IDS else len(texts)
    if not FEWEST <= number <= MOST:
        raise Refused(f"A comparison takes two to six different assets. Chosen: {number:,}.")
    return asset_ids


def compare_url(asset_ids: Iterable[Any], *, is_all: bool = False) -> str:
    pairs = [("id", str(asset_id)) for asset_id in asset_ids] + [("all", "1")] * is_all
    return f"{reverse('compare')}?{urlencode(pairs)}"


def compare_first_url(asset_ids: Iterable[Any]) -> str:
    """Of the first six of some assets; nothing where there are not even two."""
    first = list(islice(dict.fromkeys(map(str, asset_ids)), MOST))
    return compare_url(first) if len(first) >= FEWEST else ""


class Link(NamedTuple):
    label: str
    url: str  # empty where there is no page of it


def _gone(asset_ids: Sequence[UUID]) -> list[Link]:
    pages = whereabouts(asset_ids) if asset_ids else {}
    return [Link(short_id(asset_id), pages.get(asset_id, "")) for asset_id in asset_ids]


def _links(assets: Iterable[WorkspaceAsset]) -> list[Link]:
    return [Link(short_id(asset.id), page_url("detail", asset.id)) for asset in assets]


# --- The page ----------------------------------------------------------------


class Pane(NamedTuple):
    """One asset: its file, and the head of its column."""

    id: str
    url: str
    file_url: str
    preview_url: str
    label: str
    file: FileReport
    is_nsfw: bool
    summary: str  # against the first; of that, nothing
    base_url: str  # the same comparison with this asset first; empty for the first
    without_url: str  # and without it; empty where too few would be left


def _context(assets: list[WorkspaceAsset], *, is_all: bool) -> dict[str, Any]:
    ids = [asset.id for asset in assets]
    panes = [_pane(asset, assets[0], ids, is_all) for asset in assets]
    names = usernames(asset.user_id for asset in assets)
    rows = list(islice((row for row in compare(assets) if is_all or row.differs), MOST_ROWS + 1))
    effort = Effort(MOST_WORK)
    return {
        "panes": panes,
        "is_all": is_all,
        "other_url": compare_url(ids, is_all=not is_all),
        "is_pair_of_images": len(panes) == FEWEST and all(pane.file.is_image for pane in panes),
        "has_videos": any(pane.file.is_video for pane in panes),
        "rows": [_line(row, names, effort) for row in rows[:MOST_ROWS]],
        "most_rows": MOST_ROWS if len(rows) > MOST_ROWS else 0,
    }


def _pane(asset: WorkspaceAsset, base: WorkspaceAsset, ids: list[UUID], is_all: bool) -> Pane:
    others = [pk for pk in ids if pk != asset.id]
    settings = asset.generation_settings
    return Pane(
        id=str(asset.id),
        url=page_url("detail", asset.id),
        file_url=page_url("asset_file", asset.id),
        preview_url=page_url("asset_preview", asset.id),
        label=f"{short_id(asset.id)} · #{asset.asset_index} · seed {asset.generation_seed}",
        file=report_on(asset, WORKSPACE, asset.temp_storage_path),
        is_nsfw=settings is Missing.UNREAD or settings_view.is_nsfw(settings),
        summary="" if asset is base else difference(base, asset, say=summary),
        base_url="" if asset is base else compare_url([asset.id, *others], is_all=is_all),
        without_url=compare_url(others, is_all=is_all) if len(others) >= FEWEST else "",
    )


class Cell(NamedTuple):
    text: str
    kind: str  # text, number, missing
    url: str = ""
    differs: bool = False  # from the first
    pieces: Sequence[Piece] = ()
    note: str = ""


class Line(NamedTuple):
    label: str
    name: str
    group: str
    differs: bool
    cells: list[Cell]


def _line(row: Row, names: dict[UUID, str], effort: Effort) -> Line:
    cells = list(_cells(row, names, effort))
    return Line(cut(row.label, 200), cut(row.name, 200), row.group, row.differs, cells)


def _cells(row: Row, names: dict[UUID, str], effort: Effort) -> Iterator[Cell]:
    base = row.values[0]
    for value in row.values:
        differs = Missing.UNREAD not in (base, value) and not same(base, value)
        if differs and row.name in PROMPTS and isinstance(base, str) and isinstance(value, str):
            pieces, note = word_diff(base, value, effort)
            is_white = all(piece.kind == "kept" for piece in pieces)
            note = note or ("Only white space differs." if is_white else "")
            yield Cell("", "text", differs=True, pieces=pieces, note=note)
        else:
            yield _cell(row, value, names)._replace(differs=differs)


def _cell(row: Row, value: Any, names: dict[UUID, str]) -> Cell:
    if value is None or value == "":
        return Cell("null" if value is None else "empty", "missing")
    if isinstance(value, Missing):
        return Cell(value.value, "missing")
    if isinstance(value, UUID):
        return Cell(names.get(value, short_id(value)), "text", page_url(row.name, value))
    if isinstance(value, datetime):
        return Cell(instant_text(value), "text")
    if row.group == ASSET and row.name == "bytes":
        return Cell(f"{value:,} ({size_text(value)})", "number")
    if row.group == ASSET and row.name == "duration":
        return Cell(f"{value} s ({length_text(value)})", "number")
    if isinstance(value, str):
        return Cell(cut(value, MOST_PROMPT if row.name in PROMPTS else MOST_TEXT), "text")
    return Cell(cut(encode_start(value, MOST_TEXT), MOST_TEXT), "number")
