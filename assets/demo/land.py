"""Compositions of land, sea and sky, shaded in tones that one gradient colours."""

from pyvips import Image

from assets.demo.fields import Canvas, Number, glow, kept, slope, smooth, wave
from assets.demo.tonal import Composition, Sheet


def sky(canvas: Canvas, horizon: float, sun: tuple[Number, Number]) -> Image:
    """A tone that brightens to the horizon, streaked with cloud, and the sun in it."""
    rise = canvas.y.linear(1 / (horizon + canvas.bottom), canvas.bottom / (horizon + canvas.bottom))
    streaks = canvas.streaks("clouds", 0.6, 5, canvas.rng.uniform(-0.1, 0.1))
    cloud = smooth(0.5, 0.95, streaks) * smooth(0.1, 0.6, rise)
    away = canvas.distance(*sun)
    light = glow(away, 0.7) * 0.2 + glow(away, 0.38) * 0.1
    tone = rise * 0.5 + cloud * 0.14 + light + 0.16
    return above(tone.clamp(max=0.9), 1 - smooth(0.2, 0.2 + canvas.unit * 2, away), 0.99)


def above(base: Image, mask: Image, top: Image | float) -> Image:
    """One tone over another, where the mask is 1."""
    return base + (top - base) * mask


def dunes(canvas: Canvas) -> Sheet:
    horizon = canvas.rng.uniform(-0.05, 0.3)
    sun = (canvas.vary(-0.6, 0.6) * canvas.right, horizon - canvas.vary(0.15, 0.65))
    tone = sky(canvas, horizon, sun)
    layers = canvas.rng.choice([3, 4, 5])
    kind = canvas.rng.choice(["soft", "soft", "clouds", "ridges"])
    for layer in range(layers):
        near = (layer + 1) / layers
        line = horizon + (canvas.bottom - horizon) * (near**1.4) * 0.86 - 0.02
        below = kept(canvas.profile(kind, 0.5 + 1.1 * near) * (0.22 + 0.3 * near) + (canvas.y - line))
        fade = below.clamp(min=0, max=0.75) * ((0.2 - 0.1 * near) / 0.75)
        tone = kept(above(kept(tone), smooth(-canvas.unit, canvas.unit, below), 0.96 - near * 0.8 - fade))
    return Sheet(tone, 1)


def tide(canvas: Canvas) -> Sheet:
    horizon = canvas.rng.uniform(-0.15, 0.2)
    sun = (canvas.vary(-0.4, 0.4) * canvas.right, horizon - canvas.vary(0.02, 0.4))
    depth = kept(((canvas.y - horizon) / (canvas.bottom - horizon)).clamp(min=0, max=1))
    swell = canvas.streaks("ridges", 0.5, 6)
    chop = kept(wave(swell * 1.5 + 0.35 / (depth + 0.06), 3))
    path = glow((canvas.x - sun[0]) / (0.16 + depth * 0.5), 1.0)
    tone = 0.44 - depth * 0.36 + chop * 0.14 + path * (0.18 + 0.5 * smooth(0.45, 0.95, chop))
    return Sheet(
        above(kept(sky(canvas, horizon, sun)), smooth(0, canvas.unit * 1.5, canvas.y - horizon), tone), 1
    )


def peaks(canvas: Canvas) -> Sheet:
    moon = (canvas.vary(-0.6, 0.6) * canvas.right, canvas.vary(-0.7, -0.35) * canvas.bottom)
    tone = sky(canvas, canvas.bottom, moon)
    rock = canvas.bent("ridges", 0.7, canvas.warp(0.6, 0.12))
    face = kept(smooth(-1.6, 1.6, slope(rock, 0) / canvas.unit))
    for near in (0.25, 1.0):
        crest = canvas.profile("clouds", 1.5 - near * 0.5) * (near * 0.3 - 1) + (
            canvas.bottom * near * 0.7 - 0.1
        )
        below = kept(canvas.y - crest)
        snow = smooth(0.12, -0.12, below - rock * 0.45) * (1 - near * 0.35)
        stone = face * (0.06 + near * 0.08) + snow * (0.28 + face * 0.25) + (0.34 - near * 0.24)
        tone = above(kept(tone), smooth(-canvas.unit, canvas.unit, below), stone)
    return Sheet(tone, 1)


LAND: dict[str, Composition] = {"dunes": dunes, "tide": tide, "peaks": peaks}
