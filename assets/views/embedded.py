"""What a file says of how it was made, beside what its row says."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from assets.access import VIEW_LIBRARY, no_such_asset, only_with, saved_or_404, viewers_only
from assets.embedded import Embedded, MetadataFault, read
from assets.lossless import encode, same
from assets.models import Disposition, LibraryAsset, WorkspaceAsset
from assets.parameters import UNKNOWN_SEED, Parameter, parameters
from assets.storage import LIBRARY, WORKSPACE, FileFault, Store
from assets.views.cards import dimensions_text, page_url
from assets.views.files import REMEMBER_FOR

MOST_CHARACTERS = 2_000  # of one value
MOST_OTHERS = 60  # parameters that the file alone names

SAMPLING = {
    "steps": "Steps",
    "guidance_scale": "CFG scale",
    "sampler": "Sampler",
    "scheduler": "Scheduler",
}
_TOLD = {*SAMPLING, "negative_prompt", "seed", "width", "height", "generator"}
DIFFERS, ONLY_FILE, ONLY_ROW = "differs", "only in the file", "only in the row"
_IN_SUMMARY = {DIFFERS: "not as in the row", ONLY_FILE: ONLY_FILE, ONLY_ROW: ONLY_ROW}


class Said(NamedTuple):
    label: str
    in_file: str
    in_row: str
    verdict: str  # in words; nothing where both say the same


@require_safe
@viewers_only
@vary_on_headers("HX-Request")
def embedded(request: HttpRequest, asset_id: UUID) -> HttpResponse:
    asset = WorkspaceAsset.objects.filter(id=asset_id).first()
    if asset is None and request.htmx:  # it left while its page was being loaded
        return _page(request, {"fault": "The asset has left the workspace."})
    if asset is None:
        raise no_such_asset()
    context = _context(asset, asset.generation_settings, WORKSPACE, asset.temp_storage_path)
    return _page(request, context | {"back_url": page_url("detail", asset_id)})


@require_safe
@only_with(VIEW_LIBRARY)
@vary_on_headers("HX-Request")
def library_embedded(request: HttpRequest, asset_id: UUID) -> HttpResponse:
    saved = saved_or_404(asset_id)
    entries = Disposition.objects.of_assets([asset_id]).filter(action=Disposition.Action.PROMOTED)
    entry = entries.filter(restored_at=None).order_by("-id").first()
    settings = entry.row.get("generation_settings") if entry and isinstance(entry.row, dict) else None
    context = _context(saved, settings, LIBRARY, saved.storage_path)
    return _page(request, context | {"back_url": page_url("library_detail", asset_id)})


def _page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    template = "assets/_embedded_said.html" if request.htmx else "assets/embedded.html"
    return render(request, template, context)


def _context(asset: WorkspaceAsset | LibraryAsset, settings: Any, store: Store, path: str) -> dict[str, Any]:
    try:
        said = _read(asset.pk, store, path)
    except FileFault as fault:
        return {"asset": asset, "fault": f"{fault}."}
    rows = list(compare(said, asset, settings)) if said.generator else []
    return {"asset": asset, "said": said, "rows": rows, "summary": _summary(rows)}


def _read(pk: UUID, store: Store, path: str) -> Embedded:
    stored = store.facts(path)
    key = f"embedded:{store.alias}:{pk}:{stored.version}"
    known: Embedded | str | None = cache.get(key)
    if known is None:
        try:
            with store.open(path) as file:
                known = read(file)
        except FileFault as fault:
            if fault.transient:
                raise
            known = str(fault)
        cache.set(key, known, REMEMBER_FOR)
    if isinstance(known, str):
        raise MetadataFault(known)
    return known


def _summary(rows: list[Said]) -> str:
    counts = Counter(row.verdict for row in rows)
    found = [f"{counts[verdict]} {text}" for verdict, text in _IN_SUMMARY.items() if counts[verdict]]
    return f"{', '.join(found) or 'The row says the same'}."


# --- Comparing -----------------------------------------------------------------


def compare(said: Embedded, asset: WorkspaceAsset | LibraryAsset, settings: Any) -> Iterator[Said]:
    """What both say, what one says, what neither says left out."""
    theirs, ours = _by_name(said.settings), _by_name(settings)
    seed = None if asset.generation_seed == UNKNOWN_SEED else asset.generation_seed
    pairs = [
        ("Prompt", said.prompt, asset.original_prompt),
        ("Negative prompt", said.negative_prompt, _value(ours, "negative_prompt")),
        ("Model", said.model, asset.model_used),
        ("Seed", said.seed, seed),
        *((label, _value(theirs, name), _value(ours, name)) for name, label in SAMPLING.items()),
        ("Size", _size(_value(theirs, "width"), _value(theirs, "height")), _size(asset.width, asset.height)),
        *_others(theirs, ours),
    ]
    for label, in_file, in_row in pairs:
        texts = _text(in_file), _text(in_row)
        if any(texts):
            yield Said(label, *(_cut(text) for text in texts), _verdict(label, in_file, in_row))


def _by_name(settings: Any) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in parameters(settings)}


def _others(theirs: dict[str, Parameter], ours: dict[str, Parameter]) -> Iterator[tuple[str, Any, Any]]:
    names = [name for name in theirs if name not in _TOLD]
    for name in names[:MOST_OTHERS]:
        yield theirs[name].label, theirs[name].value, _value(ours, name)


def _value(known: dict[str, Parameter], name: str) -> Any:
    return known[name].value if name in known else None


def _size(width: Any, height: Any) -> str:
    whole = isinstance(width, int) and isinstance(height, int)
    return dimensions_text(width, height) if whole else ""


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else encode(value, indent=None)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


_MODEL_FILE = re.compile(r"\.(safetensors|ckpt|pt|gguf)$")


def _verdict(label: str, in_file: Any, in_row: Any) -> str:
    texts = _text(in_file), _text(in_row)
    if not texts[1]:
        return ONLY_FILE
    if not texts[0]:
        return ONLY_ROW
    if same(in_file, in_row) or _plain(label, texts[0]) == _plain(label, texts[1]):
        return ""
    return DIFFERS


def _plain(label: str, text: str) -> str:
    """Without what does not count: how a text is wrapped, and how the name of a model or sampler is cased."""
    if label == "Model":
        return _MODEL_FILE.sub("", re.split(r"[\\/]", text)[-1].casefold())
    return text.casefold() if label in ("Sampler", "Scheduler") else " ".join(text.split())
