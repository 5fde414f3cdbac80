"""What a file itself says of how it was made, whatever is in the file."""

import contextlib
import io
import json
import zlib
from collections import Counter
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from django.urls import reverse
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from assets import dispositions
from assets.embedded import MOST_RAW, MetadataFault, read, storable, understood
from assets.lossless import encode
from assets.storage import WORKSPACE, FileFault
from tests import generated
from tests.factories import make_asset
from tests.generated import a1111, comfyui, png, stealth, tagged_video, unicode_comment, with_chunk, with_exif
from tests.samples import png_header


def said(content):
    return read(io.BytesIO(content))


def fault(content):
    with pytest.raises(FileFault) as caught:
        said(content)
    return str(caught.value)


# --- Generators ----------------------------------------------------------------

FOX = "a red fox in the snow"
FILES = {
    "A1111, tEXt": lambda: png({"parameters": a1111()}),
    "A1111, iTXt": lambda: png({"parameters": a1111()}, kind="iTXt"),
    "A1111, zTXt": lambda: png({"parameters": a1111()}, kind="zTXt"),
    "A1111, JPEG": lambda: with_exif("JPEG", comment=unicode_comment(a1111())),
    "A1111, JPEG the other way round": lambda: with_exif(
        "JPEG", comment=unicode_comment(a1111(), "utf-16-le")
    ),
    "A1111, WebP": lambda: with_exif("WEBP", comment=unicode_comment(a1111())),
    "A1111, AVIF": lambda: with_exif("AVIF", comment=unicode_comment(a1111())),
    "A1111, video": lambda: tagged_video({"comment": a1111()}, "webm"),
    "A1111, hidden": lambda: stealth(a1111().encode()),
    "ComfyUI, PNG": lambda: png(comfyui()),
    "ComfyUI without its workflow": lambda: png({"prompt": json.dumps(generated.GRAPH)}),
    "ComfyUI, WebP": lambda: with_exif("WEBP", {0x0110: f"prompt:{json.dumps(generated.GRAPH)}"}),
    "ComfyUI, video": lambda: tagged_video(comfyui()),
    "ComfyUI, video with all in a comment": lambda: tagged_video({"comment": json.dumps(comfyui())}),
    "InvokeAI": lambda: png({"invokeai_metadata": json.dumps(generated.INVOKEAI)}),
    "Fooocus": lambda: png({"parameters": json.dumps(generated.FOOOCUS)}),
    "NovelAI": lambda: png(generated.NOVELAI),
    "NovelAI, hidden": lambda: stealth(generated.NOVELAI),
}


@pytest.mark.parametrize("name", FILES)
def test_every_generator_is_understood_in_the_same_words(name):
    found = said(FILES[name]())
    generator = name.split(",")[0].split(" ")[0]
    assert found.generator == {"A1111": "AUTOMATIC1111"}.get(generator, generator)
    assert found.prompt.startswith(FOX)
    assert found.negative_prompt.startswith("blurry")
    assert found.seed == 1234567
    assert found.model
    assert (found.settings["steps"], found.settings["guidance_scale"]) == (28, Decimal("6.5"))
    assert found.settings["sampler"]
    assert "1234567" in found.raw
    assert not found.note


def test_nothing_that_a_file_says_is_left_out():
    found = said(png({"parameters": a1111()}))
    assert found.settings == {
        "steps": 28, "sampler": "DPM++ 2M", "scheduler": "Karras", "guidance_scale": Decimal("6.5"),
        "width": 64, "height": 48, "model_hash": "31e35c80fc", "clip_skip": 2, "generator": "v1.10.1",
    }  # fmt: skip
    assert said(png(comfyui())).settings["SaveImage"] == [{"id": "9", "filename_prefix": "fox"}]
    assert said(png({"parameters": json.dumps(generated.FOOOCUS)})).settings["sharpness"] == 2


def test_a_graph_with_samplers_that_nobody_knows_still_says_what_its_nodes_do():
    found = said(png(comfyui(generated.FLUX)))
    assert (found.prompt, found.seed, found.model) == (FOX, 42, "flux1-dev.safetensors")
    assert {
        "steps": 20,
        "sampler": "euler",
        "guidance_scale": Decimal("3.5"),
    }.items() <= found.settings.items()


# --- Files that say little, or lie ------------------------------------------------


def test_texts_of_no_known_generator_are_shown_as_they_are():
    found = said(png({"Title": "A <b>fox</b>", "Author": "somebody"}))
    assert found.raw == "Title: A <b>fox</b>\n\nAuthor: somebody"
    assert "no generator that is known" in found.note
    assert not found.settings


NOTHING = "The file carries no generation metadata"
DAMAGED = "The file or its metadata is damaged"
TRUNCATED = "The file is truncated"
TOO_LARGE = "The metadata is too large to be read"
BAD = {
    "a plain picture": (lambda: png(), NOTHING),
    "a plain video": (lambda: tagged_video({}), NOTHING),
    "nothing": (lambda: b"", "The file is empty"),
    "a page": (lambda: b"<html>", "The file is not a known image or video"),
    "a chunk with a wrong checksum": (lambda: with_chunk(png(), b"tEXt", b"parameters\0x", crc=1), DAMAGED),
    "a chunk that claims too much": (
        lambda: with_chunk(png(), b"tEXt", b"parameters\0x", stated=2**31 - 1),
        TRUNCATED,
    ),
    "a chunk that ends too soon": (lambda: png({"parameters": a1111()})[:60], TRUNCATED),
    "a header alone": (lambda: png_header(30_000, 30_000), "The picture is too large to be searched"),
    "50 MB in a small chunk": (
        lambda: with_chunk(png(), b"zTXt", b"parameters\0\0" + zlib.compress(b"a" * 50_000_000)),
        TOO_LARGE,
    ),
    "5 MB of text": (lambda: png({"parameters": "x" * 5_000_000}), "larger than a million characters"),
    "half a WebP": (lambda: with_exif("WEBP", comment=unicode_comment(a1111()))[:90], DAMAGED),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_a_sentence(name):
    content, sentence = BAD[name]
    assert sentence in fault(content())


def test_hidden_texts_that_unpack_to_gigabytes_or_lie_are_cut():
    assert len(said(stealth(b"a" * 30_000_000)).raw) < MOST_RAW + 100
    assert said(stealth(generated.NOVELAI, length=2**32 - 1)).seed == 1234567
    assert fault(stealth(b"not packed", length=16)) == NOTHING


@pytest.mark.parametrize(
    "texts",
    [
        {"prompt": "[" * 100_000, "workflow": "{}"},
        {"prompt": '{"3": 7}', "workflow": "null"},
        {"prompt": '{"3": {"class_type": ["x"], "inputs": 7}}', "workflow": "{"},
        {"parameters": "{not json"},
        {"parameters": "Steps: , Sampler: , CFG scale: , Seed: Negative prompt: Negative prompt:"},
        {"invokeai_metadata": "[]"},
        {"sd-metadata": '{"image": {"sampler": 1, "prompt": 7}}'},
        {"Description": "x", "Source": "y", "Comment": '{"sampler": null}'},
        {"Dream": '"a fox" -s many -S'},
    ],
    ids=range(9),
)
def test_metadata_of_a_wrong_shape_is_shown_as_it_is(texts):
    assert said(png(texts)).raw


def test_what_postgresql_cannot_hold_is_cleaned():
    text = "a\0 fox\ud800".encode("utf-8", "surrogatepass")
    numbers = b"\nSteps: 1, Sampler: E, CFG scale: NaN, Seed: 99999999999999999999999"
    found = said(with_chunk(png(), b"tEXt", b"parameters\0" + text + numbers))
    assert found.prompt.startswith("a fox")
    assert found.seed == 99999999999999999999999
    graph = json.dumps(generated.GRAPH).replace("6.5", "NaN").replace('"fox"', '"\\u0000\\udfff"')
    found = said(png({"prompt": graph}))
    assert found.settings["guidance_scale"] == "NaN"
    assert found.settings["SaveImage"][0]["filename_prefix"] == "\N{REPLACEMENT CHARACTER}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals() | st.just("\ud800\0"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.django_db
@hypothesis_settings(max_examples=60)
@given(JSON)
@example(Decimal(f"1.{'3' * 20_000}"))
def test_postgresql_holds_whatever_was_cleaned(value):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::jsonb IS NOT NULL", [encode(storable(value))])


@hypothesis_settings(max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from(
            ["generator", "prompt", "negative_prompt", "prompt_details", "samplers", "metadata", "raw"]
        ),
        JSON,
    )
)
def test_any_answer_of_the_decoder_is_metadata_or_a_fault(answer):
    with contextlib.suppress(MetadataFault):
        understood(encode(storable(answer)).encode())


def test_the_name_of_a_generator_stays_short_whatever_the_decoder_answers():
    said = {
        "prompt": "",
        "negative_prompt": "",
        "prompt_details": [],
        "samplers": [],
        "metadata": {},
        "raw": {},
    }
    said["generator"] = "x" * 1_000_000
    assert understood(json.dumps(said).encode()).generator == "x" * 100


def test_a_large_picture_is_read_within_the_limits():
    assert fault(generated.saved(Image.new("RGBA", (5000, 4000), (9, 9, 9, 255)), "PNG")) == NOTHING


# --- Beside the row ----------------------------------------------------------------

AS_IN_THE_FILE = {
    "original_prompt": "a red fox in the snow,  (detailed:1.2)\n",
    "model_used": "models/SD_XL_base_1.0.safetensors",
    "generation_seed": 1234567,
    "generation_settings": {
        "negativePrompt": "blurry, low quality", "steps": 28, "cfg_scale": 6.50, "sampler_name": "dpm++ 2m",
        "scheduler": "karras", "model_hash": "31e35c80fc", "clip_skip": 2, "version": "v1.10.1",
        "processing_time": 3,
    },
    "width": 64, "height": 48,
}  # fmt: skip


def stored(content, **values):
    asset = make_asset(**values)
    WORKSPACE.put(io.BytesIO(content), asset.temp_storage_path)
    return asset


def shown_rows(page):
    return {row.label: row[1:] for row in page.response.context["rows"]}


@pytest.mark.django_db
def test_a_row_that_says_the_same_is_quiet(fetch):
    asset = stored(png({"parameters": a1111()}), **AS_IN_THE_FILE)
    page = fetch(reverse("embedded", args=[asset.id]))
    assert {verdict for _, _, verdict in shown_rows(page).values()} == {""}
    assert "Written by AUTOMATIC1111. The row says the same." in page.text
    assert "Steps: 28, Sampler: DPM++ 2M" in page.text


@pytest.mark.django_db
def test_what_differs_is_said_in_words(fetch):
    row = {"steps": 30, "vae": "none", "hires_steps": 4, "clip_skip": "2"}
    asset = stored(png({"parameters": a1111()}), generation_settings=row, width=None, height=None)
    page = fetch(reverse("embedded", args=[asset.id]))
    rows = shown_rows(page)
    assert rows["Steps"] == ("28", "30", "differs")
    assert rows["Seed"] == ("1234567", "7", "differs")
    assert rows["Prompt"][2] == rows["Model"][2] == "differs"
    assert rows["CFG scale"] == ("6.5", "", "only in the file")
    assert rows["Size"] == ("64 × 48", "", "only in the file")
    assert rows["Clip skip"] == ("2", "2", "")
    verdicts = Counter(verdict for _, _, verdict in rows.values())
    told = f"{verdicts['differs']} not as in the row, {verdicts['only in the file']} only in the file."
    assert f"Written by AUTOMATIC1111. {told}" in page.text
    assert "Steps differs File 28 Row 30" in page.text


@pytest.mark.django_db
def test_a_seed_that_nobody_knows_is_not_told(fetch):
    texts = {"invokeai_metadata": json.dumps({"scheduler": "euler", "positive_prompt": "x"})}
    asset = stored(png(texts), generation_seed=-1, generation_settings=None)
    assert "Seed" not in shown_rows(fetch(reverse("embedded", args=[asset.id])))


@pytest.mark.django_db
@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_a_message_on_the_page(fetch, name):
    content, sentence = BAD[name]
    page = fetch(reverse("embedded", args=[stored(content()).id]))
    assert page.status == 200
    assert sentence in page.text


@pytest.mark.django_db
def test_a_missing_file_and_a_path_that_leaves_the_store_are_messages(fetch):
    assert (
        "The file is missing"
        in fetch(reverse("embedded", args=[make_asset(temp_storage_path="no.png").id])).text
    )
    asset = make_asset(temp_storage_path="../../etc/passwd")
    assert "The path leaves the store" in fetch(reverse("embedded", args=[asset.id])).text


@pytest.mark.django_db
def test_metadata_that_looks_like_html_stays_text(fetch):
    text = "<script>alert(1)</script>\nSteps: 1, Sampler: <b>E</b>, CFG scale: 1, Seed: 1, <i>k</i>: <u>v</u>"
    page = fetch(reverse("embedded", args=[stored(png({"parameters": text})).id]))
    assert not any(mark in page.html for mark in ("<script>alert", "<b>E", "<i>k", "<u>v"))
    assert "<script>alert(1)</script>" in page.text


@pytest.mark.django_db
def test_the_asset_page_loads_it_afterwards_and_a_file_is_read_once(fetch, client, monkeypatch):
    asset = stored(png({"parameters": a1111()}))
    url = reverse("embedded", args=[asset.id])
    assert f'hx-get="{url}" hx-trigger="load"' in fetch(reverse("detail", args=[asset.id])).html
    part = client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert part.lstrip().startswith('<p class="quiet">Written by AUTOMATIC1111')
    monkeypatch.setattr("assets.views.embedded.read", None)
    assert fetch(url).html.startswith("<!doctype html>")
    WORKSPACE.put(io.BytesIO(png()), asset.temp_storage_path)
    monkeypatch.setattr("assets.views.embedded.read", read)
    assert NOTHING in fetch(url).text


@pytest.mark.django_db
def test_an_asset_that_leaves_while_its_page_loads_is_said_to_have_left(client, fetch):
    gone = reverse("embedded", args=[uuid4()])
    assert fetch(gone).response.status_code == 404
    part = client.get(gone, headers={"HX-Request": "true"})
    assert (part.status_code, part.content.decode().strip()) == (
        200, '<p class="quiet">The asset has left the workspace.</p>'
    )  # fmt: skip


@pytest.mark.django_db
def test_what_was_saved_is_compared_with_what_the_ledger_keeps(fetch, admin):
    asset = stored(png({"parameters": a1111()}), **AS_IN_THE_FILE)
    dispositions.promote([asset.id], actor=admin)
    page = fetch(reverse("library_embedded", args=[asset.id]))
    assert "The row says the same." in page.text
    assert (
        reverse("library_embedded", args=[asset.id]) in fetch(reverse("library_detail", args=[asset.id])).html
    )
