"""Files as one zip, written as it is sent: stored as they are, each read in blocks when its turn comes."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, NamedTuple
from uuid import UUID

from zipstream import ZipStream

from assets.export import ASSET_BYTES, ASSET_COLUMNS, json_object, light_parts
from assets.formats import SNIFF_BYTES, sniff
from assets.models import WorkspaceAsset
from assets.storage import WORKSPACE, FileFault, MissingFile

ROWS_AT_ONCE = 100
BLOCK_BYTES = 256 * 1024
SPOOL_BYTES = 2**20  # of what is only sent at the end; more is kept on the disk

Row = Mapping[str, str | None]  # the JSON of each column


class Asset(NamedTuple):
    id: UUID
    path: str = ""
    row: Row = {}  # empty of one that has left


class _Opened(NamedTuple):
    file: BinaryIO
    size: int  # bytes
    extension: str


def read_assets(asset_ids: Sequence[UUID]) -> Iterator[list[Asset]]:
    """The assets in the order of their ids, in parts; nothing is held from part to part."""
    for start in range(0, len(asset_ids), ROWS_AT_ONCE):
        wanted = asset_ids[start : start + ROWS_AT_ONCE]
        sizes = dict(WorkspaceAsset.objects.filter(id__in=wanted).values_list("id", ASSET_BYTES))
        for part in light_parts((asset_id, sizes.get(asset_id, 0)) for asset_id in wanted):
            found = _rows_of(part)
            yield [found.get(asset_id, Asset(asset_id)) for asset_id in part]


def _rows_of(asset_ids: Sequence[UUID]) -> dict[UUID, Asset]:
    rows = WorkspaceAsset.objects.filter(id__in=asset_ids).values_list(
        "id", "temp_storage_path", *ASSET_COLUMNS.values()
    )
    return {
        asset_id: Asset(asset_id, path, dict(zip(ASSET_COLUMNS, values, strict=True)))
        for asset_id, path, *values in rows
    }


def archive(parts: Iterator[list[Asset]]) -> Iterator[bytes]:
    """The files, a manifest of the rows, and which files are not among them and why.

    A file that fails while it is read raises, so that nobody takes what was sent by then for the whole.
    """
    stream, names = ZipStream(), set[str]()
    with _spool() as manifest, _spool() as missing:
        for asset in (asset for part in parts for asset in part):
            try:
                opened = _open(asset)
            except FileFault as fault:
                missing.write(f"{asset.id}: {fault}.\n".encode())
                manifest.write(_line(asset, None))
                continue
            with opened.file:
                name = _name(asset, opened.extension, names)
                manifest.write(_line(asset, name))
                stream.add(_blocks(opened), name, size=opened.size)
                yield from stream.all_files()
        for file, name in ((manifest, "manifest.jsonl"), (missing, "missing.txt")):
            if size := file.tell():
                file.seek(0)
                stream.add(_blocks(_Opened(file, size, "")), name, size=size)
        yield from stream.finalize()


def _spool() -> BinaryIO:
    return SpooledTemporaryFile(max_size=SPOOL_BYTES)  # type: ignore[return-value]


def _open(asset: Asset) -> _Opened:
    if not asset.row:
        raise MissingFile("It has left the workspace")
    file = WORKSPACE.open(asset.path)
    try:
        known = sniff(file.read(SNIFF_BYTES))
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
    except OSError:
        file.close()
        raise FileFault("The store cannot read the file") from None
    return _Opened(file, size, known.extension if known else "bin")


def _blocks(opened: _Opened) -> Iterator[bytes]:
    left = opened.size
    while block := opened.file.read(min(BLOCK_BYTES, left)):
        left -= len(block)
        yield block
    if left:
        raise FileFault("The file was cut short while it was sent")


def _name(asset: Asset, extension: str, taken: set[str]) -> str:
    """Readable, of nothing that others wrote, and no other file's."""
    job, index = asset.row["job_id"], asset.row["asset_index"]
    day = re.match(r'"(\d{4}-\d\d-\d\d)T', asset.row["created_at"] or "")
    start = f"{day[1] if day else 'undated'}/{str(job).strip(chr(34))[:8]}-{index}"
    name = f"{start}-{str(asset.id)[:8]}.{extension}"
    if name in taken:
        name = f"{start}-{asset.id}.{extension}"
    taken.add(name)
    return name


def _line(asset: Asset, name: str | None) -> bytes:
    return f"{json_object({'file': name and json.dumps(name)} | asset.row)}\n".encode() if asset.row else b""
