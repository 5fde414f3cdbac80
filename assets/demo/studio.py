"""Turns orders into files, in as many processes as there are processors, and remembers what it has made.

Nothing here loads Django: the processes only draw.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from assets.demo.art import Motif
    from assets.demo.video import Take


@dataclass(frozen=True)
class Still:
    key: str
    format: str
    share: float = 1  # of its bytes that are written: less than 1 makes a broken file
    texts: tuple[tuple[str, str], ...] = ()  # in the file, if it is a PNG


@dataclass(frozen=True)
class Series:
    """The pictures of one job."""

    motif: "Motif"
    stills: tuple[Still, ...]

    @property
    def keys(self) -> list[str]:
        return [still.key for still in self.stills]


@dataclass(frozen=True)
class Reel:
    """A clip, and its first frame beside it if that has a key."""

    motif: "Motif"
    take: "Take"
    key: str
    poster_key: str = ""
    poster_format: str = "webp"

    @property
    def keys(self) -> list[str]:
        return [key for key in (self.key, self.poster_key) if key]


@dataclass(frozen=True)
class Note:
    """A file that is no picture."""

    key: str
    text: str

    @property
    def keys(self) -> list[str]:
        return [self.key]


Order = Series | Reel | Note
Sizes = dict[str, int]
Places = dict[str, Path]
Report = Callable[[int, int], None]  # how many of how many files are there


def recipe(order: Order) -> str:
    return hashlib.sha256(repr(order).encode()).hexdigest()[:16]


# --- Making ------------------------------------------------------------------


class Shelf(Protocol):
    """Where the files are to be."""

    def size(self, key: str) -> int | None: ...

    def put(self, key: str, place: Path) -> None:
        """The file appears under its key at once and whole."""


def produce(orders: list[Order], shelf: Shelf, memory: Path, report: Report) -> Sizes:
    """Makes what is not there yet; answers the size of every file."""
    ledger = Memory(memory)
    sizes, wanted = ledger.sort(orders, shelf)
    total = sum(len(order.keys) for order in orders)
    report(len(sizes), total)
    workshop = memory.with_name(".demo-unfinished")
    shutil.rmtree(workshop, ignore_errors=True)  # left by a run that was killed
    workshop.mkdir(parents=True)
    try:
        for order, made in _made(wanted, workshop):
            for key, place in made.items():
                shelf.put(key, place)
            ledger.add(order, found := {key: place.stat().st_size for key, place in made.items()})
            sizes |= found
            for place in made.values():
                place.unlink()
            report(len(sizes), total)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return sizes


def _made(orders: list[Order], workshop: Path) -> Iterator[tuple[Order, Places]]:
    if not orders:
        return
    processes = min(len(os.sched_getaffinity(0)), len(orders))
    # Spawned, since a fork would inherit the database connection and libvips' locks.
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _prepare)
    try:
        # The longest first, so that no process is left with one at the end.
        queue = sorted(orders, key=_effort, reverse=True)
        waiting: dict[Future[Places], Order] = {pool.submit(make, order, workshop): order for order in queue}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _effort(order: Order) -> int:
    return order.take.length if isinstance(order, Reel) else 0


def _prepare() -> None:
    """Runs first in every process."""
    import pyvips

    pyvips.concurrency_set(1)
    pyvips.cache_set_max(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted as well, and ends the pool
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool does not notice that its parent was killed, and would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def make(order: Order, workshop: Path) -> Places:
    places: Places = {}
    scratch = workshop / recipe(order)
    for key in _written(order, scratch):
        places[key] = scratch.rename(f"{scratch}-{len(places)}")
    return places


def _written(order: Order, scratch: Path) -> Iterator[str]:
    """Writes one file after the other to the same place, and names the key of each."""
    if isinstance(order, Note):
        scratch.write_text(order.text)
        yield order.key
    elif isinstance(order, Series):
        yield from _drawn(order, scratch)
    else:
        yield from _filmed(order, scratch)


def _drawn(series: Series, scratch: Path) -> Iterator[str]:
    from assets.demo.art import draw, encoded

    for still, image in zip(series.stills, draw(series.motif, len(series.stills)), strict=True):
        data = encoded(image, still.format, still.texts)
        scratch.write_bytes(data[: int(len(data) * still.share)])
        yield still.key


def _filmed(reel: Reel, scratch: Path) -> Iterator[str]:
    from assets.demo.art import encoded
    from assets.demo.video import film

    poster = film(reel.motif, reel.take, scratch)
    yield reel.key
    if reel.poster_key:
        scratch.write_bytes(encoded(poster, reel.poster_format))
        yield reel.poster_key


# --- Remembering -------------------------------------------------------------


class Memory:
    """A line for every file: its recipe and its size. A file that matches both need not be made again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known = dict(_lines(path))

    def sort(self, orders: Iterable[Order], shelf: Shelf) -> tuple[Sizes, list[Order]]:
        """The sizes of what is there, and the orders that have to be made."""
        sizes: Sizes = {}
        wanted: list[Order] = []
        for order in orders:
            there = self._there(order, shelf)
            sizes |= there
            if not there:
                wanted.append(order)
        return sizes, wanted

    def _there(self, order: Order, shelf: Shelf) -> Sizes:
        """Nothing, unless all files of an order are there."""
        wanted, sizes = recipe(order), {}
        for key in order.keys:
            made, size = self.known.get(key, ("", 0))
            if made != wanted or shelf.size(key) != size:
                return {}
            sizes[key] = size
        return sizes

    def add(self, order: Order, sizes: Sizes) -> None:
        with self.path.open("a") as file:
            file.writelines(json.dumps([key, recipe(order), size]) + "\n" for key, size in sizes.items())


def _lines(path: Path) -> Iterator[tuple[str, tuple[str, int]]]:
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            key, made, size = json.loads(line)
        except ValueError:
            continue  # the last line of a run that was killed
        yield key, (made, size)
