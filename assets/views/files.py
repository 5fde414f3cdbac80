"""What the bytes of an asset's file say, and where its row says otherwise."""

from dataclasses import dataclass, field
from typing import NamedTuple

from django.core.cache import cache

from assets.formats import SNIFF_BYTES, Format, sniff
from assets.humanize import length_text, size_text
from assets.models import LibraryAsset, WorkspaceAsset
from assets.previews import FileFacts, inspect
from assets.storage import FileFault, Store
from assets.views.cards import dimensions_text

REMEMBER_FOR = 3600  # seconds for which a file of the same size and time is not opened again


@dataclass(frozen=True)
class FileReport:
    fault: str = ""  # why there is no file to show
    text: str = ""
    format: Format | None = None
    width: int = 0
    height: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def is_image(self) -> bool:
        return self.format is not None and self.format.asset_type == "image"

    @property
    def is_video(self) -> bool:
        return self.format is not None and self.format.asset_type == "video"


class _Read(NamedTuple):
    size: int  # bytes
    format: Format | None
    facts: FileFacts | None
    fault: str  # why there are no facts, of a file that is there


def report_on(asset: WorkspaceAsset | LibraryAsset, store: Store, path: str) -> FileReport:
    try:
        read = _read(asset, store, path)
    except FileFault as fault:
        return FileReport(fault=f"{fault}.")
    facts = read.facts
    parts = [
        read.format.mime if read.format else "not a known image or video",
        dimensions_text(facts.width, facts.height) if facts else "",
        length_text(facts.duration_seconds) if facts else "",
        size_text(read.size),
    ]
    return FileReport(
        text=" · ".join(filter(None, parts)),
        format=read.format,
        width=facts.width if facts else 0,
        height=facts.height if facts else 0,
        differences=_differences(asset, read),
    )


def _read(asset: WorkspaceAsset | LibraryAsset, store: Store, path: str) -> _Read:
    stored = store.facts(path)
    key = f"file-report:{store.alias}:{asset.pk}:{stored.version}"
    known: _Read | None = cache.get(key)
    if known is None:
        with store.open(path) as file:
            format_ = sniff(file.read(SNIFF_BYTES))
            try:
                known = _Read(stored.size, format_, inspect(file), "")
            except FileFault as fault:
                known = _Read(stored.size, format_, None, str(fault))
                if fault.transient:
                    return known
        cache.set(key, known, REMEMBER_FOR)
    return known


def _differences(asset: WorkspaceAsset | LibraryAsset, read: _Read) -> list[str]:
    """What of the row the bytes contradict; what the row leaves open they may fill in silently."""
    found = [read.fault] if read.fault else []
    if read.format and read.format.mime != asset.mime_type:
        found.append(f"the row says {asset.mime_type}")
    if read.size != asset.file_size_bytes:
        found.append(f"the row says {size_text(asset.file_size_bytes)}")
    said = (asset.width, asset.height)
    if read.facts and all(said) and said != (read.facts.width, read.facts.height):
        found.append(f"the row says {dimensions_text(*said)}")
    return found
