"""Bytes in, small WebP out, decoded in child processes and kept in the "previews" folder; knows no model."""

import atexit
import contextlib
import json
import logging
import os
import queue
import signal
import socket
import subprocess  # nosec B404
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from django.core.cache import cache
from django.core.files.storage import storages

from assets.descriptors import descriptor_of
from assets.formats import SNIFF_BYTES, WEBP, Format, sniff
from assets.storage import FileFault

logger = logging.getLogger(__name__)

DECODER = Path(__file__).with_name("decoder.py")
MAX_PREVIEW_BYTES = 4 * 1024 * 1024
REMEMBER_FAULTS_FOR = 300  # seconds

Source = Callable[[], BinaryIO]  # opens a file; may raise FileFault


class PreviewFault(FileFault):
    """Why a file has no preview."""

    def __init__(self, reason: str, *, transient: bool = False) -> None:
        super().__init__(reason)
        self.transient = transient


@dataclass(frozen=True)
class FileFacts:
    """What the bytes say. A video's width and height are those of its frames before any turning."""

    format: Format
    width: int
    height: int
    duration_seconds: Decimal | None = None
    frames: int | None = None
    frame_rate: Decimal | None = None  # frames per second


@dataclass(frozen=True)
class Preview:
    content: bytes  # WebP
    facts: FileFacts


# --- Decoding ----------------------------------------------------------------


def make_preview(source: BinaryIO) -> Preview:
    """The picture, or a frame of the video, fitted into 512 by 512 pixels; else PreviewFault."""
    with tempfile.TemporaryFile() as output:
        facts = _decode(source, output)
        output.seek(0)
        content = output.read(MAX_PREVIEW_BYTES)
    if sniff(content) != WEBP:
        raise nonsense()
    return Preview(content, facts)


def inspect(source: BinaryIO) -> FileFacts:
    """What the headers of the file say; else PreviewFault."""
    return _decode(source)


def _decode(source: BinaryIO, output: BinaryIO | None = None) -> FileFacts:
    known, answer = ask(source, output)
    try:
        return _facts(known, answer)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        raise nonsense() from None


def ask(source: BinaryIO, output: BinaryIO | None, **wishes: bool) -> tuple[Format, dict[str, Any]]:
    """The format by the first bytes, and what a decoder answers; else PreviewFault."""
    source.seek(0)
    head = source.read(SNIFF_BYTES)
    if not head:
        raise PreviewFault("The file is empty")
    known = sniff(head)
    if known is None:
        raise PreviewFault("The file is not a known image or video")
    with descriptor_of(source) as descriptor:
        descriptors = [descriptor, output.fileno()] if output else [descriptor]
        return known, pool.run({"mime": known.mime} | wishes, descriptors)


def nonsense() -> PreviewFault:
    # The decoder has read what a stranger wrote: its answers are not trusted either.
    return PreviewFault("The decoder's answer makes no sense")


def _facts(known: Format, answer: dict[str, Any]) -> FileFacts:
    duration, frames, rate = answer.get("duration"), answer.get("frames"), answer.get("rate")
    return FileFacts(
        format=known,
        width=int(answer["width"]),
        height=int(answer["height"]),
        duration_seconds=None if duration is None else Decimal(duration),
        frames=None if frames is None else int(frames),
        frame_rate=None if rate is None else Decimal(rate),
    )


# --- The child processes -----------------------------------------------------


@dataclass(frozen=True)
class Limits:
    seconds: float = 10  # for one file
    memory: int = 2 * 1024**3  # bytes of address space; a 100-megapixel AVIF takes 1.7 GB
    items: int = 200  # before the process is replaced
    start: float = 30  # seconds until the process must be ready
    wait: float = 20  # seconds to wait for a free process


class _Died(Exception):  # noqa: N818
    def __init__(self, returncode: int) -> None:
        super().__init__(returncode)
        self.returncode = returncode


class _Child:
    """One decoder process and the socket to it; the process ends when the socket closes."""

    def __init__(self, program: Path, limits: Limits) -> None:
        self.limits = limits
        self.items = 0
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603  # nosec B603
                [sys.executable, "-I", program, str(theirs.fileno()), str(limits.memory)],
                # Nothing of ours, least of all the secrets.
                env={
                    "MALLOC_ARENA_MAX": "2",
                    "VIPS_BLOCK_UNTRUSTED": "1",
                    "VIPS_CONCURRENCY": "1",
                    "VIPS_DISC_THRESHOLD": "1t",
                },
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        try:
            self._receive(limits.start)
        except (_Died, TimeoutError) as error:
            self.stop()
            logger.error("The decoder does not start: %r", error)
            raise PreviewFault("The decoder does not start", transient=True) from None

    @property
    def usable(self) -> bool:
        return self.items < self.limits.items and self.process.poll() is None

    def ask(self, request: dict[str, Any], descriptors: Sequence[int]) -> dict[str, Any]:
        """The answer; TimeoutError or _Died when there is none."""
        self.items += 1
        message = json.dumps(request | {"seconds": self.limits.seconds}).encode()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # receiving tells why
            socket.send_fds(self._socket, [message], descriptors)
        # The child's own alarm comes first; this is for one that cannot even die.
        answer = json.loads(self._receive(self.limits.seconds + 2))
        if not isinstance(answer, dict):
            raise ValueError(answer)
        return answer

    def _receive(self, seconds: float) -> bytes:
        self._socket.settimeout(seconds)
        try:
            message = self._socket.recv(65536)
        except ConnectionResetError:
            message = b""
        if not message:
            raise _Died(self._end())
        return message

    def _end(self) -> int:
        try:
            return self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:  # it only closed the socket
            self.process.kill()
            return self.process.wait()

    def stop(self) -> None:
        self._socket.close()
        self.process.kill()
        self.process.wait()

    def abandon(self) -> None:
        """Lets go of a process that a fork did not make ours."""
        self._socket.close()
        self.process.returncode = 0  # nobody here can wait for it


class DecoderPool:
    """A few decoder processes, started when needed, for any number of threads."""

    def __init__(self, size: int, limits: Limits | None = None, program: Path = DECODER) -> None:
        self.size = size
        self.limits = limits or Limits()
        self.program = program
        self._reset()

    def _reset(self) -> None:
        # Last in, first out: a quiet server keeps one process warm and starts no other.
        self._free: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(self.size):
            self._free.put(None)
        self._children: set[_Child] = set()

    def run(self, request: dict[str, Any], descriptors: Sequence[int]) -> dict[str, Any]:
        """The decoder's answer about the file; PreviewFault when it has none."""
        try:
            answer = self._attempt(request, descriptors)
        except _Died as died:
            raise _fault_of(died, self.limits) from None
        except TimeoutError:
            raise _too_slow(self.limits) from None
        except ValueError:
            raise nonsense() from None
        if "fault" in answer:
            raise PreviewFault(str(answer["fault"]))
        return answer

    def _attempt(self, request: dict[str, Any], descriptors: Sequence[int]) -> dict[str, Any]:
        with self._child() as child:
            try:
                return child.ask(request, descriptors)
            except _Died as died:
                # Killed by another hand, perhaps before it had the file: once more, with a new one.
                if died.returncode != -signal.SIGKILL:
                    raise
        with self._child() as child:
            return child.ask(request, descriptors)

    @contextlib.contextmanager
    def _child(self) -> Iterator[_Child]:
        try:
            child = self._free.get(timeout=self.limits.wait)
        except queue.Empty:
            raise PreviewFault("Too many previews are being made just now", transient=True) from None
        try:
            child = self._usable(child)
            yield child
        except BaseException:
            self._stop(child)
            child = None
            raise
        finally:
            self._free.put(child)

    def _usable(self, child: _Child | None) -> _Child:
        if child and child.usable:
            return child
        self._stop(child)
        child = _Child(self.program, self.limits)
        self._children.add(child)
        return child

    def _stop(self, child: _Child | None) -> None:
        if child:
            self._children.discard(child)
            child.stop()

    def close(self) -> None:
        for child in list(self._children):
            self._stop(child)
        self._reset()

    def abandon(self) -> None:
        """Starts anew in a forked process, to which the children and the locks do not belong."""
        for child in self._children:
            child.abandon()
        self._reset()


def _fault_of(died: _Died, limits: Limits) -> PreviewFault:
    if died.returncode == -signal.SIGALRM:
        return _too_slow(limits)
    if died.returncode == -signal.SIGKILL:
        return PreviewFault("The decoder was stopped", transient=True)
    return PreviewFault("The decoder crashed on this file")


def _too_slow(limits: Limits) -> PreviewFault:
    return PreviewFault(f"Decoding took longer than {limits.seconds:g} s")


pool = DecoderPool(size=min(os.cpu_count() or 1, 4))
atexit.register(lambda: pool.close())
os.register_at_fork(after_in_child=lambda: pool.abandon())

# --- The kept previews -------------------------------------------------------


def preview_name(store: str, pk: UUID) -> str:
    """The name of an asset's preview, by the alias of the store that its file is in."""
    return f"{store}/{pk.hex[:2]}/{pk}.webp"


def drop_preview(name: str) -> None:
    """Forgets a preview, and why there is none."""
    cache.delete(f"preview-fault:{name}")
    _path(name).unlink(missing_ok=True)


def preview(name: str, sources: Iterable[Source]) -> bytes:
    """The preview kept under that name, else made of the first source that works and then kept.

    When none works: the FileFault of the last, remembered for a while.
    """
    with contextlib.suppress(OSError):
        return _path(name).read_bytes()
    fault_key = f"preview-fault:{name}"
    if reason := cache.get(fault_key):
        raise PreviewFault(reason)
    try:
        content = _first_that_works(sources)
    except FileFault as fault:
        if not fault.transient:
            cache.set(fault_key, str(fault), REMEMBER_FAULTS_FOR)
        raise
    _keep(name, content)
    return content


def _first_that_works(sources: Iterable[Source]) -> bytes:
    last: FileFault = PreviewFault("There is no file")
    for open_source in sources:
        try:
            with open_source() as source:
                return make_preview(source).content
        except FileFault as fault:
            # One that may work next time is what is told, so that nobody remembers the others for it.
            last = last if last.transient else fault
    raise last


def _keep(name: str, content: bytes) -> None:
    path = _path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as part:
            part.write(content)
        # A rename is atomic: a reader finds the whole preview or none.
        Path(part.name).replace(path)
    except OSError:
        # A full disk costs time, not the picture.
        logger.warning("The preview %s was not kept", name, exc_info=True)


def _path(name: str) -> Path:
    return Path(storages["previews"].path(name))


def trim(older_than: timedelta) -> int:
    """Removes the previews made longer ago than that; returns how many.

    One that is being read stays readable, and one that is wanted again is made again.
    """
    limit = time.time() - older_than.total_seconds()
    removed = 0
    for path in _path("").rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_mtime < limit:
                path.unlink()
                removed += 1
    return removed
