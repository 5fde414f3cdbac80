"""Real pictures and videos for tests, made as needed, and the means to look at what came of them."""

import io
import struct
import zlib

import av
import pyvips

RED, BLUE, BLACK = [200, 30, 40], [20, 60, 190], [0, 0, 0]


def plain(width, height, colour):
    return pyvips.Image.black(width, height).new_from_image(colour).cast("uchar").copy(interpretation="srgb")


def halves(width, height, left=RED, right=BLUE):
    """An image whose left half has one colour, its right half another."""
    return plain(width // 2, height, left).join(plain(width - width // 2, height, right), "horizontal")


def picture(suffix, width=640, height=480, image=None, **options):
    """The bytes of a picture file; without an image, of red and blue halves."""
    return (image or halves(width, height)).write_to_buffer(suffix, **options)


def noise(suffix, width=640, height=480, seed=0):
    """A picture that does not compress, for cutting short."""
    seeds = range(3 * seed, 3 * seed + 3)
    bands = [pyvips.Image.gaussnoise(width, height, mean=128, sigma=40, seed=seed) for seed in seeds]
    return picture(suffix, image=bands[0].bandjoin(bands[1:]).cast("uchar").copy(interpretation="srgb"))


def video(container="mp4", codec="libx264", images=None, rate=8, aspect=None, key_frames=12):
    """The bytes of a video of these images; without any, of two seconds of red and blue halves."""
    images = images or [halves(320, 240)] * (2 * rate)
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = images[0].width, images[0].height, "yuv420p"
        stream.codec_context.gop_size = key_frames  # at most so many frames from one to the next
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for image in images:
            output.mux(stream.encode(_frame(image)))
        output.mux(stream.encode())
    return file.getvalue()


def _frame(image):
    frame = av.VideoFrame(image.width, image.height, "rgb24")
    plane = frame.planes[0]
    padded = image.write_to_memory()
    if plane.line_size != image.width * 3:
        row = image.width * 3
        rows = (padded[start : start + row] for start in range(0, len(padded), row))
        padded = b"".join(data.ljust(plane.line_size, b"\0") for data in rows)
    plane.update(padded)
    return frame


def turned_right(mp4):
    """The video with a note that it is to be shown turned by a quarter, clockwise."""
    start = mp4.index(b"tkhd") + 4 + 40  # the matrix, after times, ids and volume
    matrix = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    return mp4[:start] + matrix + mp4[start + 36 :]


def png_header(width, height):
    """A PNG that claims a size, with almost nothing in it."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def colour_at(content, x, y):
    """The colour of the pixel at these parts of width and height."""
    image = pyvips.Image.new_from_buffer(content, "")
    return image.getpoint(int(x * (image.width - 1)), int(y * (image.height - 1)))


def is_like(colour, expected, tolerance=14):
    return len(colour) == len(expected) and all(
        abs(one - other) <= tolerance for one, other in zip(colour, expected, strict=True)
    )
