"""Films a motif: its gradient turns full circle, or the eye wanders round it; either way without a seam."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from random import Random

import av
from pyvips import Image

from assets.demo.art import Motif, draw, enlarged, vignette
from assets.demo.fields import Canvas, kept
from assets.demo.palettes import STEPS, cycle
from assets.demo.tonal import TONAL

_CODECS = {
    "mp4": ("libx264", {"preset": "ultrafast", "crf": "24"}, {"movflags": "+faststart"}),
    "webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "crf": "34", "b": "0"}, {}),
}
_FACTOR = 2
_ROOM = 1.2  # how much larger a still is than the window that wanders over it


@dataclass(frozen=True)
class Take:
    """How a motif is filmed."""

    rate: int  # frames a second
    length: int  # frames
    format: str = "mp4"

    @property
    def seconds(self) -> float:
        return self.length / self.rate


def film(motif: Motif, take: Take, path: Path) -> Image:
    """Writes the clip and answers its first frame."""
    codec, options, container_options = _CODECS[take.format]
    # Bit-exact, so that two runs write the same bytes: containers like to add random identifiers.
    with av.open(
        str(path), "w", format=take.format, options={"fflags": "+bitexact", **container_options}
    ) as clip:
        stream = clip.add_stream(codec, rate=take.rate, options=options)
        stream.width, stream.height, stream.pix_fmt = motif.width, motif.height, "yuv420p"
        stream.codec_context.thread_count = 1
        first = None
        for number, image in enumerate(shots(motif, take.length)):
            first = first or image
            clip.mux(stream.encode(_frame(image, number, take.rate)))
        clip.mux(stream.encode(None))
    return first


def _frame(image: Image, number: int, rate: int) -> av.VideoFrame:
    frame = av.VideoFrame(image.width, image.height, "rgb24")
    frame.planes[0].update(image.write_to_memory())
    frame.pts, frame.time_base = number, Fraction(1, rate)
    return frame


def shots(motif: Motif, length: int) -> Iterator[Image]:
    return turning(motif, length) if motif.composition in TONAL else wandering(motif, length)


def turning(motif: Motif, length: int) -> Iterator[Image]:
    """The gradient moves under the tones until it is where it began."""
    canvas = Canvas(motif.width // _FACTOR, motif.height // _FACTOR, 1, Random(motif.seed))  # noqa: S311
    sheet = TONAL[motif.composition](canvas)
    tone = kept(enlarged((sheet.tone * (STEPS - 1)).cast("ushort"), _FACTOR))
    light = kept(enlarged((vignette(canvas.width, canvas.height) * sheet.light * 120).cast("uchar"), _FACTOR))
    gradient = cycle(motif.palette).replicate(2, 1)
    for number in range(length):
        turned = gradient.crop(number * STEPS // length, 0, STEPS, 1)
        yield kept((tone.maplut(turned) * light * (1 / 120)).cast("uchar"))


def wandering(motif: Motif, length: int) -> Iterator[Image]:
    """A window goes round on a larger picture."""
    width, height = int(motif.width * _ROOM), int(motif.height * _ROOM)
    still = kept(next(draw(replace(motif, width=width, height=height), 1)))
    for number in range(length):
        angle = math.tau * number / length
        left = round((width - motif.width) / 2 * (1 + math.cos(angle)))
        top = round((height - motif.height) / 2 * (1 + math.sin(angle)))
        yield kept(still.crop(left, top, motif.width, motif.height))
