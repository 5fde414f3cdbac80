"""Decodes untrusted files, one at a time, in a process with little memory, little time and no secrets.

previews.py runs this file as a script with two arguments: the descriptor of a SOCK_SEQPACKET socket and
the bytes of memory it may map. It says "ready", then answers each packet until the socket closes:

    {"mime": …, "seconds": …} with the descriptor of the file, and of where its preview goes if one is wanted
    {"width": …, "height": …, "duration": …, "frames": …, "rate": …} or {"fault": a sentence}

With "metadata": true, what a generator wrote into the file goes to the second descriptor, as JSON.

It has descriptors instead of paths, and imports nothing of the project but the file beside it.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from typing import Any, BinaryIO, NoReturn

import av
import pyvips
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

PREVIEW_SIDE = 512  # pixels
PREVIEW_QUALITY = 75
# Of libvips' 0 to 6: 4 takes three times as long for files 5 % smaller.
PREVIEW_EFFORT = 2
MAX_IMAGE_PIXELS = 100_000_000
MAX_FRAME_PIXELS = 4096 * 4096
MAX_OUTPUT_BYTES = 4 * 1024 * 1024
# A frame far behind its key frame is not worth decoding all between.
MAX_FRAMES_DECODED = 120

LOADERS = ("Png", "Jpeg", "Webp", "Nsgif", "Heif")
# Chosen by the bytes, so that FFmpeg never tries its playlist readers.
DEMUXERS = {"video/mp4": "mp4", "video/quicktime": "mov", "video/webm": "matroska"}

Facts = dict[str, Any]


class Refusal(Exception):  # noqa: N818 (an answer, not a failure)
    """Why a file is not decoded, as a sentence."""


# --- The process -------------------------------------------------------------


def main(descriptor: int, memory: int) -> None:
    limit_resources(memory)
    allow_few_loaders()
    sys.path.append(os.path.dirname(__file__))  # noqa: PTH120 (last, so that it hides nothing)
    with socket.socket(fileno=descriptor) as channel:
        channel.send(b"ready")
        while True:
            message, descriptors, _, _ = socket.recv_fds(channel, 4096, 2)
            if not message:
                return
            reply = answer(json.loads(message), *descriptors)
            for received in descriptors:
                os.close(received)
            channel.send(json.dumps(reply).encode())


def limit_resources(memory: int) -> None:
    # Processes are not limited: the kernel counts them, and threads, per user and not per parent.
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_OUTPUT_BYTES, MAX_OUTPUT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))


def allow_few_loaders() -> None:
    """Leaves libvips the loaders of LOADERS, whatever else a file looks like."""
    pyvips.cache_set_max(0)
    pyvips.operation_block_set("VipsForeignLoad", True)
    for name in LOADERS:
        pyvips.operation_block_set(f"VipsForeignLoad{name}", False)


def answer(request: dict[str, Any], file: int, output: int | None = None) -> Facts:
    # The default action of SIGALRM ends the process even when a library never returns to Python.
    signal.setitimer(signal.ITIMER_REAL, request["seconds"])
    try:
        if request.get("metadata") and output is not None:
            return read_metadata(file, request["mime"], output)
        read = read_video if request["mime"] in DEMUXERS else read_image
        return read(file, request["mime"], output)
    except Refusal as refusal:
        return {"fault": str(refusal)}
    except (pyvips.Error, FFmpegError, MemoryError) as error:
        return {"fault": sentence_for(error)}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def sentence_for(error: Exception) -> str:
    text = str(error).lower()
    if isinstance(error, MemoryError) or "out of memory" in text or "cannot allocate" in text:
        return "The decoder ran out of memory"
    if any(words in text for words in ("premature end", "unexpected end", "end of file", "read error")):
        return "The file is truncated"
    return "The file is damaged or incomplete"


def refuse_large(width: int, height: int, limit: int) -> None:
    if width * height > limit:
        raise Refusal(f"The picture has {width * height / 1e6:,.0f} megapixels, more than {limit / 1e6:.0f}")


def save(image: pyvips.Image, output: int) -> None:
    content = image.webpsave_buffer(Q=PREVIEW_QUALITY, effort=PREVIEW_EFFORT, keep="none")
    with os.fdopen(output, "wb", closefd=False) as file:
        file.write(content)


# --- Pictures ----------------------------------------------------------------


def read_image(file: int, mime: str, output: int | None) -> Facts:
    header = pyvips.Image.new_from_source(source(file), "", access="sequential")
    refuse_large(header.width, header.height, MAX_IMAGE_PIXELS)
    if output is not None:
        save(thumbnail(header, file), output)
    width, height = header.width, header.height
    if optional(header, "orientation", 1) >= 5:  # turned by a quarter
        width, height = height, width
    return {"width": width, "height": height, "frames": optional(header, "n-pages", 1)}


def thumbnail(header: pyvips.Image, file: int) -> pyvips.Image:
    # A colour conversion costs more than all the rest, so only what is not sRGB already pays for it.
    profile = {}
    if header.interpretation == "cmyk" or header.get_typeof("icc-profile-data"):
        profile = {"output_profile": "srgb"}
    image = pyvips.Image.thumbnail_source(
        source(file),
        PREVIEW_SIDE,
        height=PREVIEW_SIDE,
        size="down",
        option_string="[fail_on=error]",  # the argument of this name does not reach the loader
        **profile,
    )
    return image.colourspace("srgb").copy_memory()


def source(file: int) -> pyvips.Source:
    os.lseek(file, 0, os.SEEK_SET)
    return pyvips.Source.new_from_descriptor(file)


def optional(image: pyvips.Image, name: str, default: int) -> int:
    return image.get(name) if image.get_typeof(name) else default


# --- Videos ------------------------------------------------------------------


def read_video(file: int, mime: str, output: int | None) -> Facts:
    with open_video(file, mime) as container:
        stream = video_stream(container)
        facts = video_facts(container, stream)
        if output is None:
            return facts
        duration = float(facts["duration"] or 0)
        # Some first frames are black, some files do not seek.
        with contextlib.suppress(FFmpegError, Refusal):
            save(poster(container, stream, at=min(1.0, duration / 4)), output)
            return facts
    with open_video(file, mime) as container:
        save(poster(container, video_stream(container), at=0), output)
        return facts


def open_video(file: int, mime: str) -> InputContainer:
    os.lseek(file, 0, os.SEEK_SET)
    reader: BinaryIO = os.fdopen(file, "rb", closefd=False)
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm",
        "max_pixels": str(MAX_FRAME_PIXELS),
    }
    return av.open(
        reader,
        format=DEMUXERS[mime],
        options=options,
        metadata_errors="replace",
        io_open=refuse_other_files,
    )


def refuse_other_files(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise Refusal("The video refers to other files")


def video_stream(container: InputContainer) -> VideoStream:
    if not container.streams.video:
        raise Refusal("The video has no picture")
    stream = container.streams.video[0]
    refuse_large(stream.width, stream.height, MAX_FRAME_PIXELS)
    stream.thread_count = 1
    return stream


def video_facts(container: InputContainer, stream: VideoStream) -> Facts:
    duration = None
    if stream.duration and stream.time_base:
        duration = stream.duration * stream.time_base
    elif container.duration:
        duration = Fraction(container.duration, av.time_base)
    return {
        "width": stream.width,
        "height": stream.height,
        "duration": duration and f"{float(duration):.3f}",
        "frames": stream.frames or None,
        "rate": stream.average_rate and f"{float(stream.average_rate):.3f}",
    }


def poster(container: InputContainer, stream: VideoStream, *, at: float) -> pyvips.Image:
    """The frame shown at that second, or the last before it that decodes."""
    if at > 0:
        container.seek(int(at * av.time_base))
    shown = None
    for frame in islice(sound_frames(container, stream), MAX_FRAMES_DECODED):
        shown = frame
        if frame.time is None or frame.time >= at:
            break
    if shown is None:
        raise Refusal("The video has no frame that can be decoded")
    return picture(shown, stream.sample_aspect_ratio or Fraction(1))


def sound_frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """The frames that decode, until the file ends or its structure breaks."""
    with contextlib.suppress(FFmpegError):
        for packet in container.demux(stream):
            with contextlib.suppress(InvalidDataError):
                yield from packet.decode()


def picture(frame: VideoFrame, aspect: Fraction) -> pyvips.Image:
    """The frame at preview size, with square pixels and upright."""
    refuse_large(frame.width, frame.height, MAX_FRAME_PIXELS)
    width, height = frame.width * float(aspect), float(frame.height)
    scale = min(1.0, PREVIEW_SIDE / max(width, height))
    size = {"width": max(1, round(width * scale)), "height": max(1, round(height * scale))}
    plane = frame.reformat(**size, format="rgb24", interpolation="AREA").planes[0]
    rows = pyvips.Image.new_from_memory(bytes(plane), plane.line_size, plane.height, 1, "uchar")
    # Rows are padded; what is left are pixels of three bytes.
    pixels = rows.crop(0, 0, plane.width * 3, plane.height).write_to_memory()
    image = pyvips.Image.new_from_memory(pixels, plane.width, plane.height, 3, "uchar")
    quarters = round(-frame.rotation / 90) % 4  # libvips turns the other way round
    return image.copy(interpretation="srgb").rot(f"d{quarters * 90}")


# --- What a generator wrote into a file --------------------------------------


def read_metadata(file: int, mime: str, output: int) -> Facts:
    import decoder_metadata as metadata  # with Pillow, which previews do without

    try:
        if mime in DEMUXERS:
            with open_video(file, mime) as container:
                content = metadata.as_json([metadata.tag_texts(container.metadata)])
        else:
            os.lseek(file, 0, os.SEEK_SET)
            with os.fdopen(file, "rb", closefd=False) as reader:
                content = metadata.as_json(metadata.picture_texts(reader, mime))
    except metadata.Unreadable as error:
        raise Refusal(str(error)) from error
    with os.fdopen(output, "wb", closefd=False) as written:
        written.write(content)
    return {"bytes": len(content)}


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
