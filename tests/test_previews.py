"""Small pictures of what is in a file, whatever is in the file, and the processes that make them."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import pytest
import pyvips
from django.core.cache import cache
from django.core.exceptions import SuspiciousFileOperation
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from assets import previews
from assets.previews import DecoderPool, Limits, PreviewFault, inspect, make_preview, preview, trim
from assets.storage import FileFault, MissingFile
from tests.samples import (
    BLACK,
    BLUE,
    RED,
    colour_at,
    halves,
    is_like,
    noise,
    picture,
    plain,
    png_header,
    turned_right,
    video,
)

PICTURES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/avif": ".avif",
}
VIDEOS = {
    "video/mp4": ("mp4", "libx264"),
    "video/quicktime": ("mov", "mpeg4"),
    "video/webm": ("webm", "libvpx-vp9"),
}


def made(content):
    return make_preview(io.BytesIO(content))


def inspected(content):
    return inspect(io.BytesIO(content))


def size_of(content):
    image = pyvips.Image.new_from_buffer(content, "")
    return image.width, image.height


# --- Pictures ----------------------------------------------------------------


@pytest.mark.parametrize(("mime", "suffix"), PICTURES.items())
def test_a_picture_of_each_format_becomes_a_small_webp(mime, suffix):
    result = made(picture(suffix, 1024, 768))
    assert result.content[8:12] == b"WEBP"
    assert size_of(result.content) == (512, 384)
    assert is_like(colour_at(result.content, 0.2, 0.5), RED)
    assert is_like(colour_at(result.content, 0.8, 0.5), BLUE)
    assert (result.facts.format.mime, result.facts.width, result.facts.height) == (mime, 1024, 768)
    assert result.facts.duration_seconds is None


@pytest.mark.parametrize(("mime", "suffix"), PICTURES.items())
def test_facts_come_without_decoding(mime, suffix):
    facts = inspected(picture(suffix, 1024, 768))
    assert (facts.format.mime, facts.width, facts.height) == (mime, 1024, 768)


def test_a_small_picture_is_not_enlarged():
    assert size_of(made(picture(".png", 40, 30)).content) == (40, 30)


@pytest.mark.parametrize(("width", "height", "expected"), [(30, 2000, (8, 512)), (4000, 1, (512, 1))])
def test_a_narrow_picture_keeps_its_shape(width, height, expected):
    assert size_of(made(picture(".png", width, height)).content) == expected


def test_orientation_is_respected():
    image = halves(600, 400).copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)  # to be turned clockwise
    result = made(picture(".jpg", image=image))
    assert size_of(result.content) == (341, 512)
    assert is_like(colour_at(result.content, 0.5, 0.1), RED)
    assert is_like(colour_at(result.content, 0.5, 0.9), BLUE)
    assert (result.facts.width, result.facts.height) == (400, 600)


def test_what_was_written_about_a_picture_is_left_out():
    image = halves(600, 400).copy()
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-ImageDescription", "where it was made")
    image.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x:xmpmeta>by whom</x:xmpmeta>")
    source = picture(".jpg", image=image, profile="srgb")
    assert b"where it was made" in source
    assert b"by whom" in source
    kept = pyvips.Image.new_from_buffer(made(source).content, "").get_fields()
    assert not {"exif-data", "xmp-data", "icc-profile-data"} & set(kept)


def test_transparency_is_kept():
    content = made(picture(".png", image=halves(600, 400).bandjoin(halves(600, 400, [0], [255])))).content
    assert colour_at(content, 0.2, 0.5)[3] == 0
    assert is_like(colour_at(content, 0.8, 0.5), [*BLUE, 255])


def test_other_kinds_of_pixels_become_plain_colours():
    image = halves(600, 400)
    sixteen_bits = (image.cast("ushort") * 257).cast("ushort").copy(interpretation="rgb16")
    assert is_like(colour_at(made(picture(".png", image=sixteen_bits)).content, 0.2, 0.5), RED)
    inks = image.icc_transform("cmyk", input_profile="srgb")
    assert inks.bands == 4
    assert is_like(colour_at(made(picture(".jpg", image=inks)).content, 0.2, 0.5), RED, tolerance=40)
    grey = plain(600, 400, [120]).copy(interpretation="b-w")
    assert is_like(colour_at(made(picture(".jpg", image=grey)).content, 0.5, 0.5), [120, 120, 120])


def test_colours_are_converted_by_the_profile_of_the_picture():
    wide = halves(600, 400).icc_transform("p3", input_profile="srgb")
    raw = colour_at(picture(".png", image=wide), 0.2, 0.5)
    assert not is_like(raw, RED), "the numbers differ, only the profile says they are the same colour"
    assert is_like(colour_at(made(picture(".png", image=wide)).content, 0.2, 0.5), RED)


def test_a_broken_profile_does_not_hide_the_picture():
    image = halves(600, 400).copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", b"not a profile" * 20)
    assert is_like(colour_at(made(picture(".jpg", image=image)).content, 0.2, 0.5), RED)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_shows_its_first_frame(suffix):
    frames = [plain(300, 200, colour) for colour in (RED, BLUE, BLACK)]
    image = pyvips.Image.arrayjoin(frames, across=1).copy()
    image.set_type(pyvips.GValue.gint_type, "page-height", 200)
    result = made(picture(suffix, image=image))
    assert size_of(result.content) == (300, 200)
    assert is_like(colour_at(result.content, 0.5, 0.5), RED)
    assert (result.facts.width, result.facts.height, result.facts.frames) == (300, 200, 3)


# --- Videos ------------------------------------------------------------------


@pytest.mark.parametrize(("mime", "made_by"), VIDEOS.items())
def test_a_video_of_each_format_becomes_a_small_webp(mime, made_by):
    result = made(video(*made_by, images=[halves(1024, 768)] * 4))
    assert size_of(result.content) == (512, 384)
    assert is_like(colour_at(result.content, 0.2, 0.5), RED)
    assert is_like(colour_at(result.content, 0.8, 0.5), BLUE)
    assert (result.facts.format.mime, result.facts.width, result.facts.height) == (mime, 1024, 768)


def test_the_facts_of_a_video_have_its_length_and_rate():
    facts = inspected(video(rate=8))
    assert facts.duration_seconds == Decimal("2.000")
    assert (facts.frames, facts.frame_rate) == (16, Decimal("8.000"))


@pytest.mark.parametrize(
    ("seconds_black", "seconds_red", "seconds_blue"),
    [(0.75, 0.5, 6), (0.25, 0.5, 0.5)],
    ids=["at one second", "at a quarter"],
)
def test_the_frame_is_that_of_one_second_or_a_quarter(seconds_black, seconds_red, seconds_blue):
    colours = [(BLACK, seconds_black), (RED, seconds_red), (BLUE, seconds_blue)]
    images = [plain(160, 120, colour) for colour, seconds in colours for _ in range(int(seconds * 8))]
    assert is_like(colour_at(made(video(images=images)).content, 0.5, 0.5), RED)


def test_a_video_of_one_frame_has_a_preview():
    assert is_like(colour_at(made(video(images=[plain(160, 120, RED)])).content, 0.5, 0.5), RED)


def test_a_video_is_shown_upright():
    result = made(turned_right(video(images=[halves(640, 320)] * 4)))
    assert size_of(result.content) == (256, 512)
    assert is_like(colour_at(result.content, 0.5, 0.1), RED)
    assert is_like(colour_at(result.content, 0.5, 0.9), BLUE)


def test_pixels_that_are_not_square_are_made_square():
    content = made(video(images=[halves(160, 120)] * 4, aspect=Fraction(2))).content
    assert size_of(content) == (320, 120)


def noise_frame(seed):
    return pyvips.Image.new_from_buffer(noise(".png", 160, 120, seed), "")


def test_a_video_cut_short_shows_what_is_left_of_it():
    images = [plain(160, 120, RED), *(noise_frame(number) for number in range(39))]
    whole = video("webm", "libvpx", images=images)
    result = made(whole[: len(whole) // 30])  # much less than the second that is usually shown
    assert size_of(result.content) == (160, 120)
    assert result.facts.duration_seconds == 5


def test_a_video_damaged_at_one_second_shows_its_beginning():
    images = [halves(160, 120), *(noise_frame(number) for number in range(39))]
    whole = video("mov", "mpeg4", images=images, key_frames=4)
    start, end = whole.index(b"mdat") + len(whole) // 20, whole.index(b"moov")
    damaged = whole[:start] + bytes(end - start) + whole[end:]
    assert is_like(colour_at(made(damaged).content, 0.2, 0.5), RED)


# --- Broken and hostile files ------------------------------------------------


def cut(content, share=0.6):
    return content[: int(len(content) * share)]


def before(mark, content):
    return content[: content.index(mark)]


WEBM_CLUSTER = b"\x1f\x43\xb6\x75"  # begins the frames
GIF_BOMB = b"GIF89a\x60\xea\x60\xea\0\0\0,\0\0\0\0\x60\xea\x60\xea\0\2\2\x4c\1\0;"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: b"", "The file is empty"),
        (lambda: b"\0", "The file is not a known image or video"),
        (lambda: os.urandom(5000), "The file is not a known image or video"),
        (lambda: cut(noise(".png")), "The file is truncated"),
        (lambda: cut(noise(".jpg")), "The file is truncated"),
        (lambda: cut(noise(".gif", 200, 100)), "The file is truncated"),
        (lambda: cut(noise(".avif", 200, 100)), "The file is truncated"),
        (lambda: cut(noise(".webp")), "The file is damaged or incomplete"),
        (lambda: before(b"moov", video("mp4")), "The file is damaged or incomplete"),
        (lambda: before(WEBM_CLUSTER, video("webm", "libvpx")), "The file is truncated"),
        (lambda: picture(".png")[:40], "The file is damaged or incomplete"),
        (lambda: b"\xff\xd8\xff" + b"\0" * 500, "The file is truncated"),
        (lambda: png_header(20_000, 20_000), "The picture has 400 megapixels, more than 100"),
        (lambda: png_header(1_000_000, 2_500), "The picture has 2,500 megapixels, more than 100"),
        (lambda: GIF_BOMB, "The picture has 3,600 megapixels, more than 100"),
        (lambda: video(images=[plain(5000, 4000, RED)]), "The picture has 20 megapixels, more than 17"),
    ],
    ids=[
        "empty", "one byte", "random", "png", "jpeg", "gif", "avif", "webp", "mp4", "webm", "png header",
        "jpeg header", "png bomb", "png bomb above the codec's limit", "gif bomb", "video bomb",
    ],
)  # fmt: skip
def test_a_broken_file_says_why(content, reason):
    with pytest.raises(PreviewFault, match=f"^{reason}") as fault:
        made(content())
    assert not fault.value.transient
    assert isinstance(fault.value, FileFault)


def test_audio_alone_has_no_preview():
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate = 44100
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    with pytest.raises(PreviewFault, match=r"^The video has no picture$"):
        made(file.getvalue())


@pytest.fixture
def requests_made():
    """A server's address, and the requests that it got."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            self.send_error(404)

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


def hostile_documents(address, secret):
    svg = "http://www.w3.org/2000/svg"
    return {
        "svg": f"<svg xmlns='{svg}' width='9' height='9'><image href='{address}'/></svg>",
        "html": f"<!doctype html><img src='{address}'><script src='{address}'></script>",
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}/1.ts\n#EXTINF:9,\nfile://{secret}\n",
        "concat": f"ffconcat version 1.0\nfile {secret}\nfile {address}/2.ts\n",
        "dash": f"<?xml version='1.0'?><MPD><BaseURL>{address}/</BaseURL></MPD>",
        "vips": f"{secret}",
        "mvg": f"push graphic-context\nimage over 0,0 0,0 '{address}'\npop graphic-context",
        "pdf": "%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>",
    }


@pytest.mark.parametrize("kind", ["svg", "html", "hls", "concat", "dash", "vips", "mvg", "pdf"])
def test_documents_are_not_rendered_and_fetch_nothing(kind, requests_made, tmp_path):
    address, seen = requests_made
    secret = tmp_path / "secret.ts"
    secret.write_bytes(video("mpegts", "mpeg2video"))
    document = hostile_documents(address, secret)[kind].encode()
    with pytest.raises(PreviewFault, match=r"^The file is not a known image or video$"):
        made(document)
    # Should the first look at the bytes ever be deceived, the decoder itself refuses too.
    file = tmp_path / "document"
    file.write_bytes(document)
    for mime in ("image/png", "image/jpeg", "image/webp", "video/mp4", "video/webm"):
        with file.open("rb") as source, (tmp_path / "output").open("wb") as output:
            with pytest.raises(PreviewFault, match=r"^The file is damaged or incomplete$"):
                previews.pool.run({"mime": mime}, [source.fileno(), output.fileno()])
            assert output.tell() == 0
    assert seen == []
    assert len(previews.pool._children) > 0, "refused, not crashed"


@given(
    head=st.sampled_from(
        [picture(".png"), picture(".jpg"), picture(".gif"), picture(".webp"), video("mp4")[:400]]
    ),
    keep=st.integers(12, 200),
    rest=st.binary(max_size=400),
)
@hypothesis_settings(max_examples=60)
def test_any_bytes_have_facts_or_a_fault(head, keep, rest):
    with contextlib.suppress(PreviewFault):
        facts = inspected(head[:keep] + rest)
        assert facts.width > 0
        assert facts.height > 0


@given(st.binary(max_size=400))
@hypothesis_settings(max_examples=60)
def test_random_bytes_have_facts_or_a_fault(content):
    with contextlib.suppress(PreviewFault):
        assert inspected(content).width > 0


@given(
    whole=st.sampled_from(
        [picture(".png"), picture(".jpg"), picture(".gif"), picture(".webp"), video("webm", "libvpx")]
    ),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6
    ),
)
@hypothesis_settings(max_examples=60)
def test_a_damaged_file_has_a_preview_or_a_fault(whole, changes):
    content = bytearray(whole)
    for place, value in changes:
        content[int(place * len(content))] = value
    with contextlib.suppress(PreviewFault):
        assert max(size_of(made(bytes(content)).content)) <= 512


# --- Sources -----------------------------------------------------------------


def test_reading_goes_on_where_it_was_after_a_preview(tmp_path):
    path = tmp_path / "0.png"
    path.write_bytes(noise(".png"))
    with path.open("rb") as source:
        whole = source.read()
        make_preview(source)
        assert source.seek(0) == 0
        assert source.read() == whole
        inspect(source)
        source.seek(20_000)
        assert source.read() == whole[20_000:]


def test_a_source_without_a_descriptor_is_copied():
    class Remote(io.BytesIO):
        fileno = None

    with Remote(picture(".png")) as source:
        source.fileno = lambda: (_ for _ in ()).throw(io.UnsupportedOperation("fileno"))
        assert inspect(source).width == 640


# --- The child processes -----------------------------------------------------


@pytest.fixture
def a_pool(monkeypatch, tmp_path):
    """Makes the pool that decodes during the test; a program given as text replaces the decoder."""
    pools = []

    def make(size=1, program=None, **limits):
        file = previews.DECODER
        if program:
            file = tmp_path / "program.py"
            file.write_text(f"import os, signal, socket, sys, time\n{program}")
        pools.append(DecoderPool(size, Limits(**limits), file))
        monkeypatch.setattr(previews, "pool", pools[-1])
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def pids(pool):
    return {child.process.pid for child in pool._children}


READY = "channel = socket.socket(fileno=int(sys.argv[1])); channel.send(b'ready'); channel.recv(4096)\n"
LARGE = 9000


@pytest.fixture(scope="module")
def slow_picture():
    """A sound picture that takes half a second, and some 250 MB, to decode."""
    return picture(".png", image=plain(LARGE, LARGE, RED), interlace=True, compression=1)


def test_the_child_inherits_neither_secrets_nor_files(a_pool, monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET_KEY", "a secret")
    monkeypatch.setenv("DATABASE_URL", "postgres://a-secret")
    pool = a_pool()
    with (tmp_path / "other").open("w") as other:
        os.set_inheritable(other.fileno(), True)
        made(picture(".png"))
        with pytest.raises(PreviewFault):
            made(cut(noise(".jpg")))
        (pid,) = pids(pool)
        names = {
            entry.split(b"=")[0] for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if entry
        }
        assert names <= {b"MALLOC_ARENA_MAX", b"LC_CTYPE"} | {
            name for name in names if name.startswith(b"VIPS_")
        }
        opened = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
        assert {name for name in opened if not name.startswith("socket:")} == {"/dev/null"}
        assert len([name for name in opened if name.startswith("socket:")]) == 1


def test_the_child_has_limits_that_the_kernel_enforces(a_pool):
    pool = a_pool(memory=1024**3)
    made(picture(".png"))
    (pid,) = pids(pool)
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    limits = {line[:26].strip(): line[26:].split()[:2] for line in lines}
    assert limits["Max address space"] == [str(1024**3)] * 2
    assert limits["Max file size"] == [str(4 * 1024**2)] * 2
    assert limits["Max core file size"] == ["0", "0"]


def test_the_kernel_ends_what_takes_too_long(a_pool, slow_picture):
    a_pool(seconds=0.05)
    with pytest.raises(PreviewFault, match=r"^Decoding took longer than 0\.05 s$"):
        made(slow_picture)
    assert inspected(picture(".png")).width == 640


def test_a_child_that_ignores_the_alarm_is_killed(a_pool):
    pool = a_pool(seconds=0.1, program=READY + "time.sleep(60)")
    started = time.monotonic()
    with pytest.raises(PreviewFault, match=r"^Decoding took longer than 0\.1 s$"):
        made(picture(".png"))
    assert time.monotonic() - started < 10
    assert pids(pool) == set()


def test_a_picture_that_needs_too_much_memory_is_refused(a_pool, slow_picture):
    pool = a_pool(memory=300 * 1024**2)
    made(picture(".png"))
    before = pids(pool)
    with pytest.raises(PreviewFault, match=r"^The decoder ran out of memory$"):
        made(slow_picture)
    assert is_like(colour_at(made(picture(".png")).content, 0.2, 0.5), RED)
    assert pids(pool) == before


def test_large_pictures_fit_into_the_usual_limits(slow_picture):
    assert is_like(colour_at(made(slow_picture).content, 0.5, 0.5), RED)


@pytest.mark.parametrize(
    ("program", "reason", "transient"),
    [
        ("sys.exit(1)", "The decoder does not start", True),
        (READY + "sys.exit(1)", "The decoder crashed on this file", False),
        (READY + "os.abort()", "The decoder crashed on this file", False),
        (READY + "os.kill(os.getpid(), signal.SIGKILL)", "The decoder was stopped", True),
        (READY + "channel.close(); time.sleep(60)", "The decoder was stopped", True),
        (READY + "channel.send(b'{'); time.sleep(60)", "The decoder's answer makes no sense", False),
        (READY + "channel.send(b'[]'); time.sleep(60)", "The decoder's answer makes no sense", False),
        (
            READY + "channel.send(b'{\"width\": []}'); time.sleep(60)",
            "The decoder's answer makes no sense",
            False,
        ),
        (
            READY + 'channel.send(b\'{"width": 1, "height": 1}\')',
            "The decoder's answer makes no sense",
            False,
        ),
    ],
)
def test_a_child_that_fails_is_a_fault_of_the_file(a_pool, program, reason, transient, caplog):
    a_pool(program=program)
    with pytest.raises(PreviewFault, match=f"^{reason}$") as fault:
        made(picture(".png"))
    assert fault.value.transient is transient


def test_a_child_that_never_gets_ready_is_given_up(a_pool, caplog):
    pool = a_pool(start=0.2, program="time.sleep(60)")
    with pytest.raises(PreviewFault, match=r"^The decoder does not start$"):
        made(picture(".png"))
    assert pids(pool) == set()


def test_a_child_killed_while_idle_is_replaced(a_pool):
    pool = a_pool()
    made(picture(".png"))
    (pid,) = pids(pool)
    os.kill(pid, signal.SIGKILL)
    assert is_like(colour_at(made(picture(".png")).content, 0.2, 0.5), RED)
    assert pids(pool) != {pid}


def test_a_child_killed_at_work_is_replaced_and_the_work_done(a_pool, slow_picture):
    pool = a_pool()
    inspected(picture(".png"))
    (pid,) = pids(pool)
    killer = threading.Timer(0.15, os.kill, (pid, signal.SIGKILL))
    killer.start()
    assert is_like(colour_at(made(slow_picture).content, 0.5, 0.5), RED)
    killer.join()
    assert pids(pool) != {pid}


def test_a_child_is_used_again_and_then_replaced(a_pool):
    pool = a_pool(items=3)
    seen = []
    for _ in range(4):
        inspected(picture(".png"))
        seen.append(*pids(pool))
    assert seen[0] == seen[1] == seen[2] != seen[3]


def test_one_thread_starts_one_child(a_pool):
    pool = a_pool(size=4)
    for _ in range(3):
        inspected(picture(".png"))
    assert len(pids(pool)) == 1


def test_eight_threads_at_once_each_get_their_own_preview(a_pool):
    pool = a_pool(size=2)
    widths = [100 + 10 * number for number in range(32)]
    start = threading.Barrier(8, timeout=60)

    def look(some):
        start.wait()
        return [(made(picture(".png", width, 50)), width) for width in some]

    with ThreadPoolExecutor(8) as threads:
        results = [pair for pairs in threads.map(look, [widths[i::8] for i in range(8)]) for pair in pairs]
    assert len(results) == 32
    assert all(result.facts.width == width == size_of(result.content)[0] for result, width in results)
    assert len(pids(pool)) == 2


def test_a_busy_pool_says_so_instead_of_waiting_for_ever(a_pool):
    pool = a_pool(wait=0.05)
    with pool._child(), pytest.raises(PreviewFault, match=r"^Too many previews are being made") as fault:
        made(picture(".png"))
    assert fault.value.transient
    assert inspected(picture(".png")).width == 640


def test_a_forked_process_has_children_of_its_own():
    content = picture(".png")
    made(content)
    before = pids(previews.pool)
    forked = os.fork()
    if not forked:
        status = 1
        with contextlib.suppress(BaseException):
            unaware = pids(previews.pool) == set()
            made(content)
            status = 0 if unaware and not pids(previews.pool) & before else 2
            previews.pool.close()
        os._exit(status)
    assert os.waitpid(forked, 0)[1] == 0
    made(content)
    assert before <= pids(previews.pool)


def test_children_end_with_their_parent():
    code = (
        "import io, os, signal; from assets import previews; from tests.samples import picture;"
        "previews.inspect(io.BytesIO(picture('.png')));"
        "print(*[child.process.pid for child in previews.pool._children], flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
        timeout=60,
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    pid = int(run.stdout)
    deadline = time.monotonic() + 10
    while _runs(pid):
        assert time.monotonic() < deadline, "the decoder outlived its parent"
        time.sleep(0.02)


def _runs(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # ended, and only not yet waited for


# --- The kept previews -------------------------------------------------------


@pytest.fixture
def folder(settings, tmp_path):
    """The folder of kept previews, for one test, with nothing remembered."""
    options = {"location": tmp_path / "previews"}
    settings.STORAGES = settings.STORAGES | {"previews": settings.STORAGES["previews"] | {"OPTIONS": options}}
    cache.clear()
    return tmp_path / "previews"


class Sources:
    """Sources of these contents, or faults, that count how often each is opened."""

    def __init__(self, *contents):
        self.opened = [0] * len(contents)
        self.all = [lambda number=number: self._open(number) for number in range(len(contents))]
        self.contents = contents

    def _open(self, number):
        self.opened[number] += 1
        content = self.contents[number]
        if isinstance(content, Exception):
            raise content
        return io.BytesIO(content)


NAME = "workspace/ab/abcd.webp"


def test_a_preview_is_made_once_and_kept(folder):
    sources = Sources(picture(".png"))
    first = preview(NAME, sources.all)
    assert is_like(colour_at(first, 0.2, 0.5), RED)
    assert preview(NAME, sources.all) == first == (folder / NAME).read_bytes()
    assert preview(NAME, []) == first
    assert sources.opened == [1]


@pytest.mark.parametrize(
    "thumbnail",
    [b"<html>not found</html>", MissingFile("The file is missing from the store")],
    ids=["html", "missing"],
)
def test_the_first_source_that_works_is_taken(folder, thumbnail):
    sources = Sources(
        thumbnail, picture(".png", image=plain(60, 40, RED)), picture(".png", image=plain(60, 40, BLUE))
    )
    assert is_like(colour_at(preview(NAME, sources.all), 0.5, 0.5), RED)
    assert sources.opened == [1, 1, 0]


def test_when_no_source_works_the_last_says_why(folder):
    sources = Sources(b"", noise(".png")[:20_000])
    with pytest.raises(FileFault, match=r"^The file is truncated$"):
        preview(NAME, sources.all)
    with pytest.raises(FileFault, match=r"^There is no file$"):
        preview("workspace/ab/other.webp", [])
    assert not folder.exists()


def test_a_fault_is_remembered_for_a_while(folder, monkeypatch):
    sources = Sources(MissingFile("The file is missing from the store"))
    for _ in range(3):
        with pytest.raises(FileFault, match=r"^The file is missing from the store$"):
            preview(NAME, sources.all)
    assert sources.opened == [1]
    with pytest.raises(FileFault, match=r"^The file is empty$"):
        preview("workspace/ab/other.webp", Sources(b"").all)
    later = time.time() + previews.REMEMBER_FAULTS_FOR + 1
    monkeypatch.setattr("time.time", lambda: later)
    assert preview(NAME, Sources(picture(".png")).all)


def test_a_passing_fault_is_not_remembered(folder):
    with pytest.raises(PreviewFault, match=r"^Too many$"):
        preview(NAME, Sources(PreviewFault("Too many", transient=True)).all)
    assert preview(NAME, Sources(picture(".png")).all)


def test_sources_are_closed(folder):
    opened = []

    def open_source(content):
        opened.append(io.BytesIO(content))
        return opened[-1]

    preview(NAME, [lambda: open_source(b"broken"), lambda: open_source(picture(".png"))])
    assert [source.closed for source in opened] == [True, True]


def test_a_half_written_preview_is_never_seen(folder):
    """Writers replace one name again and again, readers look at it all the while."""
    contents = [made(noise(".png", side, side)).content for side in (200, 512)]
    path = folder / NAME
    done = threading.Event()

    def write(content):
        for _ in range(150):
            previews._keep(NAME, content)

    def read():
        seen = 0
        while not done.is_set():
            with contextlib.suppress(FileNotFoundError):
                assert path.read_bytes() in contents
                seen += 1
        return seen

    with ThreadPoolExecutor(4) as threads:
        readers = [threads.submit(read) for _ in range(2)]
        try:
            for writer in [threads.submit(write, content) for content in contents]:
                writer.result()
        finally:
            done.set()
        assert all(reader.result() for reader in readers)
    assert [file.name for file in path.parent.iterdir()] == ["abcd.webp"]


def test_a_preview_that_cannot_be_kept_is_still_shown(folder, caplog):
    folder.write_text("a file where the folder should be")
    assert preview(NAME, Sources(picture(".png")).all)
    assert "was not kept" in caplog.text


def test_a_name_cannot_leave_the_folder(folder):
    with pytest.raises(SuspiciousFileOperation):
        preview("../outside.webp", Sources(picture(".png")).all)


def test_trimming_removes_old_previews_only(folder):
    for name, days in {"workspace/ab/old.webp": 8, "library/cd/.part": 8, "workspace/ab/new.webp": 6}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
        os.utime(path, (time.time() - days * 86400,) * 2)
    with (folder / "workspace/ab/old.webp").open("rb") as reader:
        assert trim(timedelta(days=7)) == 2
        assert reader.read() == b"content"
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["new.webp"]
    assert trim(timedelta(days=7)) == 0


def test_trimming_nothing_is_no_error(folder):
    assert trim(timedelta(0)) == 0
