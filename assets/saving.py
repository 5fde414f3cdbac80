"""Copies of assets' files in the library's store, checked, before any row moves."""

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID

from assets.file_names import named_keys
from assets.formats import FORMATS
from assets.models import LibraryAsset, WorkspaceAsset
from assets.storage import (
    LIBRARY,
    WORKSPACE,
    Copied,
    FileFault,
    MissingFile,
    StoredFacts,
    key_of,
    thumbnail_beside,
)

logger = logging.getLogger(__name__)


class Labels(NamedTuple):
    """What a person may write on what they save."""

    title: str | None = None
    tags: list[str] = []
    collection_id: UUID | None = None


@dataclass(frozen=True)
class Copy:
    """One asset's files as they are in the library's store."""

    asset_id: UUID
    source: tuple[UUID, str, str | None]  # the owner and the paths that its row named
    source_facts: StoredFacts  # of the file that was copied
    mime: str | None  # by the bytes; None where they are of no known format
    file: Copied
    thumbnail: Copied | None

    def as_json(self) -> dict[str, Any]:
        return {"file": self.file.as_json(), "thumbnail": self.thumbnail and self.thumbnail.as_json()}


@dataclass
class Copies:
    made: dict[UUID, Copy] = field(default_factory=dict)
    faults: dict[UUID, str] = field(default_factory=dict)
    gone: list[UUID] = field(default_factory=list)


def copy_to_library(asset_ids: list[UUID]) -> Copies:
    """Copies the files of those assets that the library does not have; several at once."""
    names = ("id", "user_id", "temp_storage_path", "thumbnail_path", "mime_type")
    assets = {asset.id: asset for asset in WorkspaceAsset.objects.filter(id__in=asset_ids).only(*names)}
    copies = Copies(gone=[pk for pk in asset_ids if pk not in assets])
    for pk in LibraryAsset.objects.filter(id__in=list(assets)).values_list("id", flat=True):
        copies.faults[pk] = "The library already has an asset with this id"
    targets = _targets([asset for pk, asset in assets.items() if pk not in copies.faults], copies.faults)
    with ThreadPoolExecutor(LIBRARY.copies_at_once) as pool:
        for asset, result in zip(targets, pool.map(_copy, targets.values()), strict=True):
            if isinstance(result, FileFault):
                copies.faults[asset] = str(result)
            else:
                copies.made[asset] = result
    return copies


@dataclass(frozen=True)
class _Target:
    asset: WorkspaceAsset
    mime: str | None
    key: str

    @property
    def thumbnail_key(self) -> str:
        return thumbnail_beside(self.key)


def _targets(assets: Iterable[WorkspaceAsset], faults: dict[UUID, str]) -> dict[UUID, _Target]:
    """Where each asset's file goes, unless it cannot be read or the place is another's."""
    assets = list(assets)
    targets = {}
    with ThreadPoolExecutor(LIBRARY.copies_at_once) as pool:
        for asset, result in zip(assets, pool.map(_target, assets), strict=True):
            if isinstance(result, FileFault):
                faults[asset.id] = str(result)
            else:
                targets[asset.id] = result
    keys = [key for target in targets.values() for key in (target.key, target.thumbnail_key)]
    taken = named_keys(LIBRARY, keys)
    for pk, target in list(targets.items()):
        if taken & {target.key, target.thumbnail_key}:
            faults[pk] = "The library already has a file of this name, for another asset"
            del targets[pk]
    return targets


def _target(asset: WorkspaceAsset) -> _Target | FileFault:
    try:
        known = WORKSPACE.format_of(asset.temp_storage_path)
    except Exception as error:
        return _fault_of(error)
    extension = known.extension if known else _stated_extension(asset)
    return _Target(asset, known.mime if known else None, f"{asset.user_id}/{asset.id}.{extension}")


def _fault_of(error: Exception) -> FileFault:
    """Whatever a storage raises for one file must not hold up the others."""
    if isinstance(error, FileFault):
        return error
    logger.error("A file was not copied to the library", exc_info=error)
    return FileFault(
        "The store cannot read the file" if isinstance(error, OSError) else f"The store failed: {error}"
    )


def _stated_extension(asset: WorkspaceAsset) -> str:
    """By what the row says, of a file whose bytes say nothing."""
    extensions = {known.mime: known.extension for known in FORMATS}
    suffix = PurePosixPath(key_of(asset.temp_storage_path, WORKSPACE.bucket)).suffix[1:].lower()
    return suffix if suffix in extensions.values() else extensions.get(asset.mime_type, "bin")


def _copy(target: _Target) -> Copy | FileFault:
    asset = target.asset
    try:
        facts = WORKSPACE.facts(asset.temp_storage_path)
        file = LIBRARY.copy_from(WORKSPACE, asset.temp_storage_path, target.key)
        thumbnail = _copy_thumbnail(target)
    except Exception as error:
        return _fault_of(error)
    source = (asset.user_id, asset.temp_storage_path, asset.thumbnail_path)
    return Copy(asset.id, source, facts, target.mime, file, thumbnail)


def _copy_thumbnail(target: _Target) -> Copied | None:
    """The thumbnail that the row names, else the one beside the file; there need not be any."""
    beside = thumbnail_beside(key_of(target.asset.temp_storage_path, WORKSPACE.bucket))
    for path in (target.asset.thumbnail_path, beside):
        if path and _can_be_read(path):
            return LIBRARY.copy_from(WORKSPACE, path, target.thumbnail_key)
    return None


def _can_be_read(path: str) -> bool:
    """A thumbnail that is none must not keep its asset from being saved."""
    try:
        WORKSPACE.facts(path)
    except FileFault:
        return False
    return True


def spoilt(copies: list[Copy]) -> dict[UUID, str]:
    """Why some copies are not what is to be saved; nobody removes files meanwhile."""
    with ThreadPoolExecutor(LIBRARY.copies_at_once) as pool:
        checked = zip(copies, pool.map(_what_spoils, copies), strict=True)
        return {copy.asset_id: reason for copy, reason in checked if reason}


def _what_spoils(copy: Copy) -> str:
    try:
        for copied in filter(None, (copy.file, copy.thumbnail)):
            facts = LIBRARY.facts(copied.key)
            if facts.size != copied.size or (copied.etag and facts.etag != copied.etag):
                return "The copy was changed before the asset was saved"
    except MissingFile:
        return "The copy was removed before the asset was saved"
    except FileFault as fault:
        return str(fault)
    try:
        is_same = WORKSPACE.facts(copy.source[1]) == copy.source_facts
    except MissingFile:
        return ""  # it has gone: what was copied is all that there is
    except FileFault as fault:
        return str(fault)
    return "" if is_same else "The file was changed while it was being copied"
