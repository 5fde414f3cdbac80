"""The settings of an asset as its pages show them, whatever somebody wrote into them."""

import html
import json
import re

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st

from assets import dispositions
from assets.lossless import encode, indented
from assets.models import Disposition, WorkspaceAsset
from assets.settings_view import MOST_LINES, MOST_TEXT
from assets.views.settings import MOST_COPIED
from tests import samples
from tests.factories import make_asset
from tests.html import Page, setting_lines

pytestmark = pytest.mark.django_db

IMAGE_WORKER = {
    "quality": "high", "format": "png", "enhanced_prompt": "a red fox, finely detailed",
    "template_name": None, "reference_image_url": "https://files.example.com/a.png",
    "reference_strength": 0.75, "reference_mode": "style", "exact_copy_mode": False,
    "denoise_strength": 0.25, "guidance_scale": 7.5, "steps": 30,
    "worker_reported_steps": 28, "worker_reported_guidance_scale": 7.5, "width": 512, "height": 512,
    "frame_num": 1, "processing_time": 12.5, "vram_used": "18.2 GB", "batch_size": 3,
    "enhancement_source": "qwen_base", "system_prompt_used": True,
}  # fmt: skip
PROVIDER = {
    "model_key": "fal-ai/wan-i2v", "provider": "fal", "content_mode": "nsfw", "generation_mode": "i2v",
    "seed": 8, "scene_id": "s-1", "scene_template_name": "harbour", "original_scene_prompt": "a harbour",
    "num_characters": 0, "conditioning_settings": {"start_frame_num": 4, "max_num_frames": 81},
    "source_video_url": "https://x.y/z.mp4",
}  # fmt: skip
BRIEF = {"model_type": "sdxl", "quality": "fast", "provider": "fal"}


def page_of(asset):
    return reverse("detail", args=[asset.id])


def store(text):
    """An asset whose settings are this JSON, written by SQL; and the JSON as the database has it."""
    WorkspaceAsset.objects.all().delete()
    asset = make_asset()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE workspace_assets SET generation_settings = %s RETURNING generation_settings::text", [text]
        )
        return asset, cursor.fetchone()[0]


def copied(shown, name="json"):
    """The text that a button copies, as a browser reads it."""
    found = re.search(rf'<pre id="copy-{name}"[^>]*>\n(.*?)</pre>', shown.html, re.DOTALL)
    return html.unescape(found[1])


def links(shown):
    return [html.unescape(url) for url in re.findall(r'href="(/assets/\?setting=[^"]*)"', shown.html)]


# --- What is shown ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "number"),  # null cannot be followed, nor what the worker repeated; each nested number can
    [(IMAGE_WORKER, 19), (PROVIDER, 12), (BRIEF, 3)],
    ids=["worker", "provider", "brief"],
)
def test_every_key_and_value_of_the_product_is_shown_and_found(fetch, shape, number):
    asset = make_asset(generation_settings=shape)
    shown = fetch(page_of(asset))
    assert [name for name, _ in shown.response.context["inspector"].groups].count("Other") == 0
    for key, value in shape.items():
        assert f"<code>{key}</code>" in shown.html
        if not isinstance(value, dict):
            assert (value if isinstance(value, str) else json.dumps(value)) in shown.text
    for url in links(shown):
        assert fetch(url).ids == [str(asset.id)], url
    assert len(links(shown)) == number


@pytest.mark.parametrize(
    ("text", "note", "line"),
    [
        ("null", "No settings were stored (null).", None),
        ("{}", "The settings are empty: {}.", None),
        ("[]", "The settings are not an object but a list.", None),
        ('["a", 1]', "The settings are not an object but a list.", ("0", "text", "a")),
        ('"steps=30"', "The settings are not an object but a text.", ("", "text", "steps=30")),
        ("7.50", "The settings are not an object but a number.", ("", "number", "7.50")),
        ("false", "The settings are not an object but a boolean.", ("", "boolean", "false")),
    ],
    ids=["null", "empty", "empty list", "list", "text", "number", "boolean"],
)
def test_settings_that_are_not_an_object_are_shown_for_what_they_are(fetch, text, note, line):
    shown = fetch(page_of(store(text)[0]))
    assert note in shown.text
    assert [(value.key, value.kind, value.text) for _, value in setting_lines(shown)][:1] == [line][
        : bool(line)
    ]
    assert links(shown) == []
    assert copied(shown) == indented(text, MOST_COPIED)


def test_contradictions_stand_beside_the_value(fetch, store_folders):
    (store_folders / "workspace" / "a.png").write_bytes(samples.picture(".jpg", 640, 480))
    said = IMAGE_WORKER | {"seed": 8}
    asset = make_asset(temp_storage_path="a.png", width=512, height=480, generation_settings=said)
    shown = fetch(page_of(asset))
    groups = shown.response.context["inspector"].groups
    flags = {setting.label: setting.flags for _, members in groups for setting in members if setting.flags}
    assert flags == {
        "Steps": ["the worker reported 28"],
        "Seed": ["the row’s seed is 7"],
        "Width": ["the file has 640"],
        "Height": ["the row says 480", "the file has 480"],
        "Format": ["the file is image/jpeg"],
    }
    for sentence in ("the worker reported 28", "the row’s seed is 7", "the file is image/jpeg"):
        assert f'<span class="tag warn">{sentence}</span>' in shown.html


def test_what_looks_like_html_stays_text(fetch):
    evil = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>"
    shown = fetch(page_of(make_asset(
        original_prompt=evil, model_used=evil,
        generation_settings={evil: evil, "steps": evil, "deep": {evil: [evil]}, "num_steps": evil + "2"},
    )))  # fmt: skip
    assert shown.status == 200
    assert "<script>alert" not in shown.html
    assert "<img src=x" not in shown.html
    assert '""><' not in shown.html


# --- Whatever is written ------------------------------------------------------------------

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
odd = st.sampled_from(
    ["", " ", ".", "a.b", '"', "\\u0000", "\u202eabc", "\x01", "\r\n", "steps", "Steps", "<b>", "=1"]
)
numbers = st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=12) | st.just(10**400)
scalars = st.none() | st.booleans() | numbers | texts | odd
nested = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts | odd, inner, max_size=6),
    max_leaves=15,
)
quick = settings(max_examples=25)


@quick
@given(st.dictionaries(texts | odd, nested, max_size=6) | nested)
def test_any_settings_are_shown_exactly_and_found_by_what_they_say(fetch, client, value):
    asset, stored = store(encode(value))
    shown = fetch(page_of(asset))
    assert shown.status == 200
    assert client.get(reverse("settings_json", args=[asset.id])).content.decode() == stored
    assert copied(shown).splitlines() == indented(stored, MOST_COPIED).splitlines()
    for url in links(shown)[:4]:
        assert fetch(url).ids == [str(asset.id)], url


HUGE = {
    "deep lists": "[" * 5_000 + "1" + "]" * 5_000,
    "deep objects": '{"steps": ' * 3_000 + "1" + "}" * 3_000,
    "digits": f'{{"steps": {"9" * 5_000}, "cfg": -0.{"0" * 5_000}1, "seed": 1e4999, "width": 1e-4999}}',
    "wide": json.dumps({f"key {number}": number for number in range(60_000)}),
    "long list": json.dumps([{"a": [number]} for number in range(60_000)]),
    "long text": json.dumps({"steps": "<" * 1_000_000, "negative_prompt": '"' * 1_000_000}),
    "long keys": json.dumps({f"{number}{'&' * 40_000}": "'" * 40_000 for number in range(15)}),
    "many spellings": json.dumps({f"s{'_' * number}teps": number for number in range(2_000)}),
    "many long": json.dumps({f"key {number}": "<" * 2_000 for number in range(600)}),
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE.keys())
def test_huge_settings_are_shown_within_limits(fetch, client, text):
    asset, stored = store(text)
    shown = fetch(page_of(asset))
    assert shown.status == 200
    assert len(shown.html) < 3_000_000
    lines = [line for _, line in setting_lines(shown)]
    assert len(lines) <= MOST_LINES
    assert max(len(line.text) for line in lines) <= MOST_TEXT
    assert shown.html.count("<code>") + shown.html.count("tag warn") < 3 * MOST_LINES
    assert client.get(reverse("settings_json", args=[asset.id])).content.decode() == stored
    assert copied(shown) == indented(stored, MOST_COPIED)
    if len(copied(shown)) == MOST_COPIED:
        assert f'too long for a page. <a href="{reverse("settings_json", args=[asset.id])}">' in shown.html


def test_a_page_of_many_lines_says_that_there_are_more(fetch):
    shown = fetch(page_of(store(HUGE["wide"])[0]))
    assert f"These are the first {MOST_LINES} lines; the JSON has them all." in shown.text
    assert "first" not in fetch(page_of(store(json.dumps(dict.fromkeys(map(str, range(500)))))[0])).text


def test_the_queries_of_the_page_do_not_depend_on_settings(client, staff):
    client.force_login(staff)

    def queries(text):
        url = page_of(store(text)[0])
        cache.clear()
        with CaptureQueriesContext(connection) as captured:
            assert client.get(url).status_code == 200
        return len(captured)

    shapes = ("null", json.dumps(IMAGE_WORKER), HUGE["deep objects"], HUGE["many long"])
    assert len({queries(text) for text in shapes}) == 1


# --- After it has left ----------------------------------------------------------------------


@pytest.mark.parametrize("text", [HUGE["deep objects"], HUGE["digits"], "null", '{"steps": 30.0}'])
def test_the_ledger_shows_the_settings_as_the_database_had_them(client, admin, text):
    asset, stored = store(text)
    dispositions.delete([asset.pk], actor=admin)
    client.force_login(admin)
    shown = Page(client.get(reverse("removed_entry", args=[Disposition.objects.get().pk])))
    assert shown.status == 200
    assert copied(shown) == indented(stored, MOST_COPIED)
