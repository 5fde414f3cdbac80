"""Registers files that were generated elsewhere as jobs with assets, each once.

Every id is made of what it names, so that a second run, two at once, or one after a crash find what is
there: a file is known by its owner and its bytes, a job by its owner and all that its files have in common.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID, uuid5

from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction
from django.db.models import JSONField, Max, TextField, Value
from django.db.models.functions import Cast
from django.utils import timezone
from psycopg.errors import (
    InsufficientPrivilege,
    NotNullViolation,
    ProgramLimitExceeded,
    UndefinedColumn,
    UndefinedTable,
    UniqueViolation,
)

from assets import embedded, previews
from assets.embedded import Embedded, storable
from assets.file_names import named_keys
from assets.lossless import encode
from assets.models import Disposition, Job, LibraryAsset, Profile, WorkspaceAsset
from assets.models.ledger import keep_files_in_place, remove_files_alone
from assets.parameters import UNKNOWN_SEED
from assets.previews import FileFacts
from assets.read_only import writes
from assets.storage import WORKSPACE, FileFault

NAMESPACE = UUID("0f1d2c0e-7b1c-4f0e-9d0a-51c6a8d7a3b4")
UNKNOWN_MODEL = "unknown"
SEED_KEYS = {"seed", "noise_seed"}
MOST_TRIES = 3

REGISTERED, THERE, FAILED = "registered", "there", "failed"


class IngestRefused(Exception):  # noqa: N818
    """Why nothing can be registered at all; for people."""


@dataclass(frozen=True)
class Result:
    path: Path
    state: str  # registered, there or failed
    reason: str = ""  # of one that is registered: what is missing
    asset_id: UUID | None = None
    job_id: UUID | None = None


@dataclass(frozen=True)
class New:
    """A file that is to become an asset."""

    asset_id: UUID
    job_id: UUID
    owner: Profile
    sha256: str
    facts: FileFacts
    said: Embedded
    model: str
    settings: dict[str, Any]
    note: str

    @property
    def key(self) -> str:
        return f"{self.owner.pk}/{self.asset_id}.{self.facts.format.extension}"

    @property
    def seed(self) -> int:
        return self.said.seed if self.said.seed is not None and _fits(self.said.seed) else UNKNOWN_SEED


# --- Files -------------------------------------------------------------------


def find(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Every file in these files and folders, in their order, with why it cannot be read where that is so."""
    waiting: list[tuple[Path, tuple[tuple[int, int], ...]]] = [(path, ()) for path in reversed(paths)]
    while waiting:
        path, above = waiting.pop()
        try:
            facts = path.stat()
            place = (facts.st_dev, facts.st_ino)
            if not stat.S_ISDIR(facts.st_mode):
                # Opening a pipe would wait for its other end.
                yield path, "" if stat.S_ISREG(facts.st_mode) else "It is not a file"
            elif place in above:
                yield path, "The folder is a link to one that it lies in"
            else:
                children = sorted(path.iterdir(), reverse=True)
                waiting += [(child, (*above, place)) for child in children]
        except (OSError, ValueError) as error:
            yield path, _why(error)


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError | ValueError):
        return "There is no such file"
    if isinstance(error, PermissionError):
        return "It may not be read"
    return "The link leads back to itself" if error.errno == errno.ELOOP else os.strerror(error.errno or 0)


# --- One file ----------------------------------------------------------------


def ingest_file(path: Path, *, owner: Profile, model: str = "", dry_run: bool = False) -> Result:
    """What became of it. Raises IngestRefused, and OperationalError, for what is no file's fault."""
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            asset_id = uuid5(NAMESPACE, f"{owner.pk} {sha256}")
            if there := _where_it_is(asset_id):
                return Result(path, THERE, there, asset_id)
            new = _described(file, asset_id, sha256, owner, model)
            there = "" if dry_run else _register(new, file)
    except FileFault as fault:
        return Result(path, FAILED, str(fault))
    except OSError as error:
        return Result(path, FAILED, _why(error))
    except DatabaseError as error:
        return Result(path, FAILED, _refusal(error))
    if there:
        return Result(path, THERE, there, asset_id)
    return Result(path, REGISTERED, new.note, asset_id, new.job_id)


def _refusal(error: DatabaseError) -> str:
    reason = str(error).partition("\n")[0]
    if isinstance(error, OperationalError) and not isinstance(error.__cause__, ProgramLimitExceeded):
        raise error
    if isinstance(error.__cause__, InsufficientPrivilege):
        raise IngestRefused(f"The database does not let this role add assets: {reason}.") from error
    if isinstance(error.__cause__, NotNullViolation | UndefinedColumn | UndefinedTable):
        raise IngestRefused(f"The tables are not as they are known here: {reason}.") from error
    return f"The database refused: {reason}"


def _where_it_is(asset_id: UUID) -> str:
    """Where an asset is already; nothing where it may come, or come again."""
    if WorkspaceAsset.objects.filter(id=asset_id).exists():
        return "It is in the workspace"
    if LibraryAsset.objects.filter(id=asset_id).exists():
        return "It is in the library"
    held = Disposition.objects.held().of_assets([asset_id]).select_related("actor").order_by("-id").first()
    if held is None:
        return ""
    by = f" by {held.actor.get_username()}" if held.actor else ""
    return f"It was {held.get_action_display()}{by}: restore it from Removed"


def _described(file: BinaryIO, asset_id: UUID, sha256: str, owner: Profile, model: str) -> New:
    facts = previews.inspect(file)
    said, note = _said(file)
    settings = said.settings | ({"negative_prompt": said.negative_prompt} if said.negative_prompt else {})
    if said.seed is not None and not _fits(said.seed):
        settings["seed"] = said.seed
        note = "Its seed is larger than the column holds, and stands in the settings alone"
    model = said.model or storable(model) or UNKNOWN_MODEL
    common = {
        "prompt": said.prompt,
        "model": model,
        "settings": settings,
        "mime": facts.format.mime,
        "size": [facts.width, facts.height],
        "file": "" if said.generator else sha256,  # of files that say nothing, none belong together
    }
    job_id = uuid5(NAMESPACE, f"{owner.pk} {encode(_without_seeds(common), indent=None)}")
    return New(asset_id, job_id, owner, sha256, facts, said, model, settings, note)


def _said(file: BinaryIO) -> tuple[Embedded, str]:
    try:
        said = embedded.read(file)
    except FileFault as fault:
        if fault.transient:  # it would be registered for good without what it says
            raise
        return Embedded(), str(fault)
    return said, said.note


def _fits(seed: int) -> bool:
    return -(2**63) <= seed < 2**63


def _without_seeds(value: Any) -> Any:
    """The JSON that files of one job have in common: keys have no order, and 7 is 7.0."""
    if isinstance(value, dict):
        return {key: _without_seeds(value[key]) for key in sorted(value) if key not in SEED_KEYS}
    if isinstance(value, list):
        return [_without_seeds(item) for item in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else value.normalize()
    return value


# --- Its rows ------------------------------------------------------------------


class _AlreadyThere(Exception):  # noqa: N818 (ends the transaction)
    pass


@writes
def _register(new: New, file: BinaryIO) -> str:
    """The bytes, then the rows; where it already is if another was quicker."""
    try:
        return _put_and_insert(new, file)
    except _AlreadyThere as there:
        _drop_if_unnamed(new.key)
        return str(there)
    except DatabaseError:
        if connection.is_usable():
            _drop_if_unnamed(new.key)
        raise


def _put_and_insert(new: New, file: BinaryIO) -> str:
    for tries_left in reversed(range(MOST_TRIES)):
        copied = WORKSPACE.put(file, new.key, sha256=new.sha256)
        try:
            with transaction.atomic():
                keep_files_in_place()
                if _is_in_place(new.key, copied.size):
                    _insert(new, copied.size)
                    return ""
        except IntegrityError as error:
            # Another has added it meanwhile, or taken its place in the job; else a second try ends alike.
            if not (tries_left and isinstance(error.__cause__, UniqueViolation)):
                raise
    raise FileFault("The store lost the file while it was being registered")


def _drop_if_unnamed(key: str) -> None:
    """What is not registered leaves nothing behind."""
    with transaction.atomic():
        remove_files_alone()
        if not named_keys(WORKSPACE, {key}):
            WORKSPACE.remove([key])


def _is_in_place(key: str, size: int) -> bool:
    """Until the lock was taken, a clean-up may have removed what nobody named yet.

    From here on it survives a power cut, as the row does.
    """
    try:
        WORKSPACE.settle(key)
        return WORKSPACE.facts(key).size == size
    except FileFault:
        return False


def _insert(new: New, size: int) -> None:
    job = _locked_job(new)
    if there := _where_it_is(new.asset_id):
        raise _AlreadyThere(there)
    WorkspaceAsset.objects.create(
        id=new.asset_id,
        user=new.owner,
        job=job,
        asset_index=_take_index(job),
        asset_type=new.facts.format.asset_type,
        temp_storage_path=new.key,
        file_size_bytes=size,
        mime_type=new.facts.format.mime,
        duration_seconds=new.facts.duration_seconds,
        generation_seed=new.seed,
        original_prompt=new.said.prompt,
        model_used=new.model,
        # As text, since the standard library's JSON does not keep every digit.
        generation_settings=Cast(Value(encode(new.settings, indent=None), TextField()), JSONField()),
        width=new.facts.width,
        height=new.facts.height,
    )


def _locked_job(new: New) -> Job:
    job = Job(
        id=new.job_id,
        user=new.owner,
        job_type=new.facts.format.asset_type,
        status=Job.Status.COMPLETED,
        metadata={"source": "ingest"},
        completed_at=timezone.now(),
        format=new.facts.format.extension,
        model_type=new.model,
        original_prompt=new.said.prompt,
        destination="workspace",
    )
    Job.objects.bulk_create([job], ignore_conflicts=True)
    return Job.objects.select_for_update().get(id=new.job_id)


def _take_index(job: Job) -> int:
    """The next that none of its assets has had: one that has left may come back to its place."""
    metadata = job.metadata if isinstance(job.metadata, dict) else {}
    noted = metadata.get("next_index")
    highest = WorkspaceAsset.objects.for_job(job.id).aggregate(Max("asset_index"))["asset_index__max"]
    index = max(noted if isinstance(noted, int) else 0, 0 if highest is None else highest + 1)
    job.metadata = metadata | {"next_index": index + 1}
    job.save(update_fields=["metadata"])
    return index
