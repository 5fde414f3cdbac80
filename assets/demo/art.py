"""Draws the pictures of one job: composition, palette and a seed in, image files out."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from random import Random

from pyvips import Image

from assets.demo.fields import Canvas, kept, smooth
from assets.demo.land import LAND
from assets.demo.scenes import SCENES, painted, shaded
from assets.demo.tonal import TONAL

SHEETS = TONAL | LAND
COMPOSITIONS = (*SHEETS, *SCENES)

# A picture is sketched at a half or a third of its size and enlarged; sharp edges want the finer sketch.
_FINE = {"contours", "glass", "weave", "mandala", "agate", "dunes", "peaks", "tide", "planet"}
_FINE_SIDE, _SOFT_SIDE = 256, 192
_SEAM = 2  # pixels at the edge of a frame that its neighbour may have touched


@dataclass(frozen=True)
class Motif:
    """What is drawn, and how large."""

    composition: str
    palette: str
    seed: int
    width: int
    height: int


def draw(motif: Motif, frames: int) -> Iterator[Image]:
    """So many pictures of one motif, each different."""
    side = _FINE_SIDE if motif.composition in _FINE else _SOFT_SIDE
    factor = max(1, round(max(motif.width, motif.height) / side))
    strip = Canvas(*_sketch_size(motif, factor), frames, Random(motif.seed))  # noqa: S311
    sketch = colours(motif, strip)
    for frame in range(frames):
        part = sketch.crop(
            frame * strip.width + _SEAM, _SEAM, strip.width - 2 * _SEAM, strip.height - 2 * _SEAM
        )
        yield enlarged(part, factor).crop(0, 0, motif.width, motif.height)


def _sketch_size(motif: Motif, factor: int) -> tuple[int, int]:
    return -(-motif.width // factor) + 2 * _SEAM, -(-motif.height // factor) + 2 * _SEAM


def colours(motif: Motif, canvas: Canvas) -> Image:
    shade = vignette(canvas.width, canvas.height, canvas.frames)
    if motif.composition in SCENES:
        return kept(shaded(SCENES[motif.composition](canvas, motif.palette), shade))
    sheet = SHEETS[motif.composition](canvas)
    return kept(shaded(painted(sheet.tone, motif.palette), shade * sheet.light))


@cache
def vignette(width: int, height: int, frames: int = 1) -> Image:
    """A frame of shade, so that the eye stays inside."""
    pixels = Image.xyz(width, height)
    across, down = pixels[0] * (2 / width) - 1, pixels[1] * (2 / height) - 1
    shade = 1.05 - smooth(0.7, 2.2, across * across + down * down) * 0.5
    return kept(shade.replicate(frames, 1))


def enlarged(image: Image, factor: int) -> Image:
    """Zoomed and smoothed: several times faster than resampling, and as good on soft fields."""
    if factor == 1:
        return image
    ramp = [min(step + 1, 2 * factor - 1 - step) for step in range(2 * factor - 1)]
    mask = Image.new_from_list([ramp], scale=factor * factor)
    return image.zoom(factor, factor).convsep(mask, precision="integer")


def encoded(image: Image, kind: str, texts: Iterable[tuple[str, str]] = ()) -> bytes:
    """A file of that format; a PNG with those texts in it."""
    if kind == "png":
        return _inscribed(image.pngsave_buffer(compression=1, filter="up"), texts)
    if kind == "webp":
        return image.webpsave_buffer(Q=82, effort=0)
    return image.jpegsave_buffer(Q=86)


def _inscribed(png: bytes, texts: Iterable[tuple[str, str]]) -> bytes:
    start = png.index(b"IDAT") - 4  # behind the length of the chunk
    chunks = [_chunk(b"iTXt", f"{name}\0\0\0\0\0{text}".encode()) for name, text in texts]
    return b"".join([png[:start], *chunks, png[start:]])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
