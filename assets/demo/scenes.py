"""Compositions that lay colours over each other: night skies, planets, lights."""

import math
from collections.abc import Callable
from functools import cache
from random import Random

from pyvips import Image

from assets.demo.fields import Canvas, glow, kept, smooth, wave
from assets.demo.palettes import Colour, blend, gradient

STARLIGHT = (255.0, 250.0, 240.0)


def painted(tone: Image, palette: str) -> Image:
    """A field from 0 to 1 in the colours of a palette."""
    return (tone * 1023).cast("ushort").maplut(gradient(palette))


def over(base: Image, mask: Image, top: Image | Colour) -> Image:
    """One picture over another, where the mask is 1."""
    return (
        (mask * 255).cast("uchar").ifthenelse(top if isinstance(top, Image) else list(top), base, blend=True)
    )


def lit(base: Image, light: Image, colour: Colour) -> Image:
    """Light of a colour added to a picture."""
    return (base + (light * 255).cast("uchar").maplut(_ramp(colour))).cast("uchar")


@cache
def _ramp(colour: Colour) -> Image:
    """From black to a colour."""
    channels = [channel / 255 for channel in colour]
    return kept(Image.identity().linear(channels, [0, 0, 0]).cast("uchar").copy(interpretation="srgb"))


def stars(canvas: Canvas, share: float = 1) -> Image:
    """Points of light, few of them bright."""
    sky = _stars()
    left, top = canvas.rng.randrange(sky.width), canvas.rng.randrange(sky.height)
    return sky.replicate(5, 2).crop(left, top, canvas.length, canvas.height) * share


@cache
def _stars() -> Image:
    side, rng = 512, Random(7)  # noqa: S311
    sky = bytearray(side * side)
    for _ in range(side * side // 250):
        sky[rng.randrange(len(sky))] = int(60 + 195 * rng.random() ** 3)
    points = Image.new_from_memory(bytes(sky), side, side, 1, "uchar")
    halo = points.conv(Image.new_from_array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], scale=7), precision="integer")
    return kept((points + halo) / 255)


def nebula(canvas: Canvas, palette: str) -> Image:
    warp = canvas.warp(0.9, 0.45)
    gas = canvas.bent("clouds", 1.3, warp)
    dust = canvas.bent("ridges", 0.9, warp)
    core = kept(glow(canvas.distance(canvas.vary(-0.5, 0.5), canvas.vary(-0.4, 0.4)), 0.85))
    tone = smooth(0.25, 1.05, gas * 0.75 + core * 0.5) * 0.75 + core * gas * 0.35 - (1 - dust) * 0.12
    return lit(painted(tone, palette), stars(canvas), STARLIGHT)


def aurora(canvas: Canvas, palette: str) -> Image:
    night = painted(canvas.y * (0.06 / canvas.bottom) + 0.08, palette)
    picture = lit(night, stars(canvas) * smooth(0.35, -0.3, canvas.y), STARLIGHT)
    low, high = canvas.x * 0, canvas.x * 0
    for _ in range(3):
        hem = canvas.profile("soft", 1.5) * 0.9 + (canvas.vary(-0.1, 0.35) * canvas.bottom - 0.45)
        above = kept((hem - canvas.y) / canvas.bottom)
        rays = canvas.profile("clouds", 0.25) * 0.8 + canvas.profile("soft", 0.6) * 0.45
        veil = kept(smooth(-0.04, 0.04, above) * glow(above, canvas.rng.uniform(0.45, 0.75)) * rays)
        low, high = low + veil * (1 - above), high + veil * above
    picture = lit(lit(picture, low * 0.75, blend(palette, 0.58)), high * 1.2, blend(palette, 0.4))
    hills = canvas.profile("ridges", 0.8) * 0.45 + (canvas.y - canvas.bottom * 0.95)
    return over(picture, smooth(-canvas.unit, canvas.unit, hills), blend(palette, 0.01))


def planet(canvas: Canvas, palette: str) -> Image:
    size = canvas.rng.uniform(0.55, 0.85)
    x, y = canvas.vary(-0.35, 0.35) * canvas.right, canvas.vary(-0.2, 0.2)
    away = kept(canvas.distance(x, y) / size)
    haze = canvas.noise("clouds", 1.3)
    picture = lit(painted(haze * haze * 0.34, palette), stars(canvas), STARLIGHT)
    ball = kept((1 - away * away).clamp(min=0) ** 0.5)
    sun = canvas.rng.uniform(-2.6, -0.6)
    toward = ((canvas.x - x) * math.cos(sun) + (canvas.y - y) * math.sin(sun)) / size
    day = kept(smooth(-0.55, 0.75, toward * 0.8 + ball * 0.45))
    rim = glow((away - 1).clamp(min=0), 0.14) * day
    picture = lit(picture, rim * 0.8, blend(palette, 0.7))
    surface = shaded(painted(_bands(canvas, ball / size), palette), 0.05 + day * 1.05)
    return over(picture, 1 - smooth(1 - canvas.unit * 1.5, 1 + canvas.unit, away), surface)


def _bands(canvas: Canvas, bulge: Image) -> Image:
    """The clouds of a gas planet."""
    tilt = canvas.rng.uniform(-0.5, 0.5)
    storm = canvas.streaks("clouds", 0.7, 3.5, tilt)
    latitude = canvas.along(tilt + math.pi / 2) * (1.6 - bulge * 0.4)
    tone = wave(latitude * 0.8 + storm * 0.5, 1.25, canvas.rng.random()) * 0.65 + storm * 0.35
    return tone.clamp(min=0.12, max=1)


def lanterns(canvas: Canvas, palette: str) -> Image:
    rise = (canvas.y / canvas.bottom + 1) / 2
    picture = painted(0.03 + rise * 0.2 + canvas.noise("soft", 1.4) * 0.14, palette)
    for depth, (size, blur) in enumerate(((2.2, 0.07), (1.5, 0.045), (1.0, 0.03))):
        away = canvas.noise("cells", size)
        radius = 0.34 - depth * 0.05
        disc = 1 - smooth(radius - blur, radius + blur, away)
        rim = glow(away - radius + blur, 0.03 + blur / 2)
        bright = canvas.noise("soft", 0.5)
        picture = lit(picture, (disc * 0.45 + rim * 0.25) * bright, blend(palette, 0.5 + 0.2 * depth))
    return picture


def shaded(picture: Image, light: Image) -> Image:
    """Multiplied by light from 0 to about 2, in whole numbers since those are quick."""
    return ((picture * (light * 120).cast("uchar")) * (1 / 120)).cast("uchar")


SCENES: dict[str, Callable[[Canvas, str], Image]] = {
    "nebula": nebula,
    "aurora": aurora,
    "planet": planet,
    "lanterns": lanterns,
}
