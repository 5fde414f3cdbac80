"""Compositions of one gradient: a tone for every point, and the light that falls on it.

Since the tone alone decides the colour, turning the gradient under it makes such a picture move.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from pyvips import Image

from assets.demo.fields import Canvas, glow, kept, slope, smooth, steepness, wave

LIGHT_FROM = -2.3  # the upper left


class Sheet(NamedTuple):
    tone: Image  # 0 to 1, the place in the gradient
    light: Image | float  # 0 to about 1.5, by which the colour is multiplied


Composition = Callable[[Canvas], Sheet]


def marble(canvas: Canvas) -> Sheet:
    cloud = canvas.bent("clouds", 1.3, canvas.warp(0.9, 0.5))
    flow = kept(cloud * 1.6 + canvas.along(canvas.rng.uniform(0, math.tau)) * 0.25)
    vein = kept(smooth(0.86, 1, wave(flow, 3.1, 0.3)))
    tone = wave(flow, canvas.rng.choice([0.8, 1, 1.3]), canvas.rng.random()) * 0.86 + vein * 0.14
    relief = slope(cloud, LIGHT_FROM) / canvas.unit
    return Sheet(tone, 0.95 + relief * 0.16 + vein * 0.2)


def contours(canvas: Canvas) -> Sheet:
    height = kept(canvas.bent("hills", 1.5, canvas.warp(1.3, 0.2)).gaussblur(1.5))
    levels = kept(height * canvas.rng.choice([7.9, 9.9, 12.9]))
    step = kept(levels.floor())
    within = kept(levels - step)
    edge = within.bandrank(1 - within, index=0) / (steepness(levels) + 0.004)
    line = 1 - smooth(0.35, 1.15, edge)
    shade = 1 + slope(height, LIGHT_FROM) / canvas.unit * 0.16
    return Sheet((step + within * 0.3) / levels.max(), shade * (1 - line * 0.6))


def silk(canvas: Canvas) -> Sheet:
    fold = canvas.bent("soft", 1.5, canvas.warp(1.6, 0.5))
    drape = kept(canvas.along(canvas.rng.uniform(0, math.tau)) * 0.35 + fold * 1.5)
    thread = kept(wave(drape, canvas.rng.choice([5, 7, 9]), canvas.rng.random()))
    sheen = kept(wave(drape, 1.1, canvas.rng.random()))
    return Sheet(sheen * 0.75 + thread * 0.25, 0.35 + thread * thread * 0.75 + glow(1 - sheen, 0.35) * 0.3)


def mandala(canvas: Canvas) -> Sheet:
    folds = canvas.rng.choice([5, 6, 7, 8, 10, 12])
    radius = canvas.distance()
    angle = kept(canvas.y.math2(canvas.x, "atan2") * (folds / 360))
    bend = kept(wave((angle - angle.floor() - 0.5).abs(), 1))
    petal = kept(
        wave(radius * 1.5 + bend * canvas.vary(0.4, 0.9) + canvas.vary(0, 0.8), 1.15, canvas.rng.random())
    )
    swing = canvas.vary(0.5, 1.6)
    lace = kept(wave(radius * canvas.rng.uniform(2, 4) - bend * swing, 1.4, canvas.rng.random()))
    ring = wave(radius, canvas.rng.choice([4, 6, 8]), canvas.rng.random())
    tone = petal * 0.6 + lace * 0.28 + glow(radius, 0.45) * 0.3
    return Sheet(tone, (0.45 + ring * 0.25 + petal * lace * 0.7) * (1.1 - radius * 0.22))


def weave(canvas: Canvas) -> Sheet:
    bend = canvas.warp(1.8, 0.22)
    half = canvas.rng.choice([5, 7, 9]) / 2
    turned = canvas.rng.choice([0, math.pi / 4, 0.3])
    across = kept((canvas.along(turned) + bend[0]) * half)
    down = kept((canvas.along(turned + math.pi / 2) + bend[1]) * half)
    column, row = kept(across.floor()), kept(down.floor())
    checker = (column + row) * 0.5
    above = kept(checker - checker.floor() > 0.25)
    warp, weft = kept(wave(across, 1, -0.25)), kept(wave(down, 1, -0.25))
    top, low = above.ifthenelse(warp, weft), above.ifthenelse(weft, warp)
    bulge = kept(top**0.6 * (0.45 + low * 0.6))
    grain = kept(wave(above.ifthenelse(across, down), 6))
    strand = above.ifthenelse(column * 0.13, row * 0.17 + 20.5)
    tone = wave(strand + canvas.noise("soft", 1.5) * 0.5, 1, canvas.rng.random())
    return Sheet(tone * 0.7 + grain * 0.1 + bulge * 0.2, 0.12 + bulge * 1.15 + grain * 0.1)


def agate(canvas: Canvas) -> Sheet:
    """Rings that grow from many centres, as in cut stone."""
    cell = canvas.bent("cells", canvas.rng.choice([0.6, 0.85, 1.2]), canvas.warp(0.8, 0.14))
    swell = canvas.noise("soft", 1.2)
    depth = kept(cell * 0.5 + swell * 0.25)
    ring = kept(wave(depth, canvas.rng.choice([5, 7, 9]), canvas.rng.random()))
    core = kept(glow(cell, 0.2))
    tone = wave(depth, canvas.rng.uniform(0.8, 1.3), canvas.rng.random()) * 0.85 + ring * 0.15
    return Sheet(tone, 0.62 + ring * 0.38 + core * 0.3 + slope(cell, LIGHT_FROM) / canvas.unit * 0.08)


def glass(canvas: Canvas) -> Sheet:
    points = bytearray(canvas.length * canvas.height)
    for _ in range(canvas.rng.choice([26, 44, 70]) * canvas.frames):
        points[canvas.rng.randrange(len(points))] = canvas.rng.randint(1, 255)
    seeds = Image.new_from_memory(bytes(points), canvas.length, canvas.height, 1, "uchar")
    piece = kept(seeds.fill_nearest())
    border = (piece.rank(3, 3, 8) - piece.rank(3, 3, 0)) > 0
    lead = smooth(0.1, 0.45, border.gaussblur(1.1) / 255)
    swirl = kept(wave(canvas.bent("clouds", 0.8, canvas.warp(0.7, 0.25)), 2))
    sun = glow(canvas.distance(canvas.vary(-0.5, 0.5), canvas.vary(-0.6, 0.2)), 1.1)
    return Sheet(piece / 290 + swirl * 0.14, (0.72 + sun * 0.6 + swirl * 0.12) * (1 - lead * 0.93))


def ripples(canvas: Canvas) -> Sheet:
    warp = canvas.noise("soft", 1.4) * 0.3
    turns = canvas.rng.uniform(2.4, 4)
    surface, near = canvas.x * 0, canvas.x * 0
    for _ in range(3):
        x, y = canvas.vary(-1, 1) * canvas.right, canvas.vary(-1, 1) * canvas.bottom
        away = canvas.distance(x, y)
        surface = surface + wave(away + warp, turns, canvas.rng.random()) / 3
        near = near + glow(away, 0.8) * 0.3
    surface, near = kept(surface), kept(near)
    shine = smooth(0.05, 0.45, slope(surface, LIGHT_FROM) / canvas.unit / turns)
    return Sheet(
        surface * 0.66 + near * 0.45, 0.7 + near * 0.4 + shine * 0.55 - smooth(0.5, 0, surface) * 0.3
    )


TONAL: dict[str, Composition] = {
    "marble": marble,
    "contours": contours,
    "silk": silk,
    "mandala": mandala,
    "weave": weave,
    "agate": agate,
    "glass": glass,
    "ripples": ripples,
}
