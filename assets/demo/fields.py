"""Fields of numbers that pictures are made of: coordinates, noise, and the shaping of both.

libvips draws perlin and worley noise that repeats without a seam. One tile of each kind and size is kept,
and every field is a turned window on a tile, which costs a tenth of new noise. Shaping goes through
look-up tables for the same reason: hundreds of pictures have to be ready in seconds.
"""

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

import pyvips
from pyvips import Image

Number = float | Image

_OCTAVES = {"soft": 2, "clouds": 5, "ridges": 4, "hills": 3}
_CELLS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_TURNS = ("d0", "d90", "d180", "d270")


@dataclass(frozen=True)
class Canvas:
    """A strip of frames side by side, drawn together since each step costs the same for one as for six.

    In every frame the short side runs from -1 to 1 and y grows downwards. Noise runs on from frame to frame,
    so that it differs in each.
    """

    width: int  # of one frame
    height: int
    frames: int
    rng: Random

    @property
    def unit(self) -> float:
        """The side of a pixel."""
        return 2 / min(self.width, self.height)

    @property
    def right(self) -> float:
        return self.width * self.unit / 2

    @property
    def bottom(self) -> float:
        return self.height * self.unit / 2

    @property
    def length(self) -> int:
        return self.width * self.frames

    @property
    def pixels(self) -> Image:
        return _plane(self.width, self.height, self.frames)[0]

    @property
    def x(self) -> Image:
        return _plane(self.width, self.height, self.frames)[1]

    @property
    def y(self) -> Image:
        return _plane(self.width, self.height, self.frames)[2]

    def vary(self, low: float, high: float) -> Number:
        """A number of its own for every frame."""
        numbers = array("f", (self.rng.uniform(low, high) for _ in range(self.frames)))
        if self.frames == 1:
            return numbers[0]
        return Image.new_from_memory(numbers.tobytes(), self.frames, 1, 1, "float").zoom(
            self.width, self.height
        )

    def along(self, angle: float) -> Image:
        """The distance from the middle in one direction."""
        return kept(self.x * math.cos(angle) + self.y * math.sin(angle))

    def distance(self, x: Number = 0, y: Number = 0) -> Image:
        across, down = self.x - x, self.y - y
        return kept((across * across + down * down) ** 0.5)

    def noise(self, kind: str, size: float) -> Image:
        """Noise from 0 to 1, whose features measure about `size`."""
        return kept(self._window(kind, size, self.length, self.height))

    def bent(self, kind: str, size: float, warp: Image) -> Image:
        """The same, displaced by a warp of two bands."""
        tile = _tile(kind, self._cell(size))
        reach = 2 * tile.width
        offset = [reach + self.rng.uniform(0, tile.width), reach + self.rng.uniform(0, tile.width)]
        window = self.pixels + warp.linear([1 / self.unit] * 2, offset)
        return kept(_spread(kind, self._cell(size)).mapim(window.cast("float"), interpolate=_bilinear()))

    def streaks(self, kind: str, size: float, stretch: float, angle: float = 0) -> Image:
        """The same, drawn out in one direction."""
        cos, sin = math.cos(angle), math.sin(angle)
        along, across = self.x * cos + self.y * sin, self.y * cos - self.x * sin
        return self.bent(kind, size, (along / stretch - self.x).bandjoin(across - self.y))

    def warp(self, size: float, strength: float) -> Image:
        """A displacement of two bands."""
        return kept(
            self._window("pair", size, self.length, self.height).linear([2 * strength] * 2, [-strength] * 2)
        )

    def profile(self, kind: str, size: float) -> Image:
        """A line of noise from left to right, repeated over the whole height."""
        return kept(self._window(kind, size, self.length, 1)).replicate(1, self.height)

    def _window(self, kind: str, size: float, width: int, height: int) -> Image:
        tile = _tile(kind, self._cell(size))
        left, top = self.rng.randrange(tile.width), self.rng.randrange(tile.height)
        turn = self.rng.choice(_TURNS)
        if turn in ("d90", "d270"):
            width, height = height, width
        window = _spread(kind, self._cell(size)).crop(left, top, width, height)
        return window if turn == "d0" else window.rot(turn)

    def _cell(self, size: float) -> int:
        return min(_CELLS, key=lambda cell: abs(math.log(cell * self.unit / size)))


@cache
def _plane(width: int, height: int, frames: int) -> tuple[Image, Image, Image]:
    """The coordinates in pixels of the strip, then x and y in units of a frame."""
    unit = 2 / min(width, height)
    pixels = kept(Image.xyz(width * frames, height).cast("float"))
    frame = pixels.crop(0, 0, width, height)
    x, y = (frame[band].linear(unit, (0.5 - size / 2) * unit) for band, size in enumerate((width, height)))
    return pixels, kept(x.replicate(frames, 1)), kept(y.replicate(frames, 1))


def kept(image: Image) -> Image:
    """Computed now: what is used twice would otherwise be computed twice."""
    return image.copy_memory()


@cache
def _bilinear() -> pyvips.Interpolate:
    return pyvips.Interpolate.new("bilinear")


@cache
def _spread(kind: str, cell: int) -> Image:
    return _tile(kind, cell).replicate(6, 6)


@cache
def _tile(kind: str, cell: int) -> Image:
    """A square of noise without a seam: from 0 to 1, or for cells the distance to their middle."""
    side = max(4 * cell, 512 if 512 % cell == 0 else 576)
    if kind == "cells":
        field = kept(Image.worley(side, side, cell_size=cell, seed=cell))
        return kept((field / (2 * field.avg())).cast("float"))
    if kind == "pair":
        return kept(_clouds(side, cell, "soft", 1).bandjoin(_clouds(side, cell, "soft", 2)))
    return kept(_clouds(side, cell, kind, 3))


def _clouds(side: int, cell: int, kind: str, seed: int) -> Image:
    octaves = [cell >> octave for octave in range(_OCTAVES[kind]) if cell >> octave >= 4]
    total = Image.black(side, side)
    for octave, size in enumerate(octaves):
        layer = Image.perlin(side, side, cell_size=size, seed=100 * seed + octave)
        total += ((1 - layer.abs()) ** 2 if kind == "ridges" else layer) * 0.5**octave
    total = kept(total)
    middle, spread = total.avg(), 4.8 * total.deviate()
    return total.linear(1 / spread, 0.5 - middle / spread).clamp(min=0, max=1).cast("float")


_STEPS = 1024
_HALF = 32768


@cache
def _table(curve: Callable[[float], float], length: int) -> Image:
    values = array("f", (curve(step / (_STEPS - 1)) for step in range(length)))
    return Image.new_from_memory(values.tobytes(), length, 1, 1, "float")


def _smooth_step(share: float) -> float:
    return share * share * (3 - 2 * share)


def _bell(share: float) -> float:
    return math.exp(-9 * share * share) if share < 1 else 0


@cache
def _sine() -> Image:
    turn = [0.5 + 0.5 * math.sin(math.tau * step / _STEPS) for step in range(_STEPS)]
    return Image.new_from_memory(array("f", turn * (2 * _HALF // _STEPS)).tobytes(), 2 * _HALF, 1, 1, "float")


def smooth(low: float, high: float, field: Image) -> Image:
    """0 below one edge, 1 above the other, and a soft step between them."""
    scale = (_STEPS - 1) / (high - low)
    return field.linear(scale, -low * scale).cast("ushort").maplut(_table(_smooth_step, _STEPS))


def wave(field: Image, turns: float = 1, phase: float = 0) -> Image:
    """A sine from 0 to 1: so many turns for each unit of the field."""
    return field.linear(turns * _STEPS, phase * _STEPS + _HALF).cast("ushort").maplut(_sine())


def glow(distance: Image, size: float) -> Image:
    """Light that fades with the distance."""
    return (distance * ((_STEPS - 1) / (3 * size))).abs().cast("ushort").maplut(_table(_bell, _STEPS))


def slope(field: Image, angle: float) -> Image:
    """How steeply a field rises towards a direction, in units of the field for each pixel."""
    across, down = math.cos(angle), math.sin(angle)
    mask = [
        [-across - down, -2 * down, across - down],
        [-2 * across, 0, 2 * across],
        [down - across, 2 * down, across + down],
    ]
    return field.conv(Image.new_from_array(mask, scale=8), precision="float")


def steepness(field: Image) -> Image:
    across, down = kept(slope(field, 0)), kept(slope(field, math.pi / 2))
    return kept((across * across + down * down) ** 0.5)
