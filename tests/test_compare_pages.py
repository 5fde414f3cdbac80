"""The comparison of assets, and what siblings say of each other, over HTTP."""

import re
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assets import comparison, dispositions
from assets.models import WorkspaceAsset
from assets.views import compare as compare_view
from assets.views import variations
from assets.views.compare import compare_url
from tests.factories import make_asset, make_assets, make_job
from tests.test_comparison import Counted

pytestmark = pytest.mark.django_db


def compared(fetch, *assets, query=""):
    return fetch(compare_url(asset.id for asset in assets) + query)


def parameters_of(page):
    return re.findall(r'data-parameter="([^"]+)"', page.html)


# --- What is compared --------------------------------------------------------


def test_ticked_assets_lead_to_the_page_of_their_comparison(client, staff):
    client.force_login(staff)
    first, second = make_assets(2)
    response = client.post(reverse("compare"), {"ids": [str(second.id), str(first.id), str(second.id)]})
    assert response.status_code == 302
    assert response["Location"] == f"/assets/compare/?id={second.id}&id={first.id}"


def test_all_that_match_a_filter_are_not_compared(client, staff):
    client.force_login(staff)
    ids = [str(asset.id) for asset in make_assets(2)]
    response = client.post(reverse("compare"), {"ids": ids, "select": "all", "filter": ""})
    assert response.status_code == 400
    assert "not all that match" in response.content.decode()


def test_assets_stand_in_the_order_of_the_url(fetch):
    made = make_assets(6)
    shown = compared(fetch, *reversed(made))
    assert re.findall(r'data-id="([^"]+)"', shown.html) == [str(asset.id) for asset in reversed(made)]


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([], "Chosen: 0."),
        ([str(uuid4())] * 3, "Chosen: 1."),
        ([str(uuid4()) for _ in range(7)], "Chosen: 7."),
        ([str(uuid4()) for _ in range(1_000)], "Chosen: 1,000."),
        (["seven", str(uuid4())], "not the UUID of an asset"),
        (["\x00", "\ud800"], "not the UUID of an asset"),
        (["<script>alert(1)</script>"], "not the UUID of an asset"),
    ],
    ids=["none", "the same", "seven", "a thousand", "a word", "odd characters", "markup"],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_what_cannot_be_compared_is_told(client, staff, method, ids, words):
    client.force_login(staff)
    ids = [text.encode("utf-8", "surrogatepass") for text in ids]
    response = getattr(client, method)(reverse("compare"), {"id": ids} if method == "get" else {"ids": ids})
    assert response.status_code == 400
    assert words in response.content.decode()
    assert "<script>alert" not in response.content.decode()


def test_the_comparison_goes_on_without_those_that_left(fetch, admin):
    made = make_assets(3)
    dispositions.delete([made[1].id], actor=admin)
    nobody = uuid4()
    shown = fetch(compare_url([made[0].id, made[1].id, made[2].id, nobody]))
    assert shown.status == 200
    assert re.findall(r'data-id="([^"]+)"', shown.html) == [str(made[0].id), str(made[2].id)]
    assert f'">{str(made[1].id)[:8]}</a> has left the workspace' in shown.html
    assert 'href="/removed/' in shown.html
    assert f"{str(nobody)[:8]} is not in the workspace, and nothing is known of it" in shown.text


def test_one_that_is_left_is_not_compared(fetch):
    asset = make_asset()
    shown = fetch(compare_url([asset.id, uuid4()]))
    assert shown.status == 404
    assert f'href="/assets/{asset.id}/"' in shown.html


# --- What the page shows -----------------------------------------------------


def test_only_what_differs_is_shown_unless_all_is_asked_for(fetch):
    job = make_job()
    pair = [make_asset(job.user, job, generation_settings={"steps": 30, "eta": n}) for n in (0, 1)]
    assert parameters_of(compared(fetch, *pair)) == ["index", "created", "eta"]
    everything = compared(fetch, *pair, query="&all=1")
    assert parameters_of(everything)[:3] == ["prompt", "model", "seed"]
    assert {"steps", "eta"} < set(parameters_of(everything))
    assert "only the eta differs" in everything.text


def test_links_make_another_the_base_and_leave_one_out(fetch):
    first, second, third = make_assets(3)
    shown = compared(fetch, first, second, third, query="&all=1")
    for ids in ((second, first, third), (second, third), (first, second)):
        url = compare_url((asset.id for asset in ids), is_all=True)
        assert f'href="{url.replace("&", "&amp;")}"' in shown.html


def test_prompts_are_compared_word_by_word_and_stay_text(fetch):
    first = make_asset(original_prompt="a <b>red</b> fox")
    second = make_asset(original_prompt="a <b>blue</b> fox <script>alert(1)</script>")
    html = compared(fetch, first, second).html
    assert "a &lt;b&gt;red&lt;/b&gt; fox" in html
    assert re.search(r"<del><span class=\"sr-only\">\[removed: </span>red", html)
    assert re.search(r"<ins><span class=\"sr-only\">\[added: </span>blue", html)
    assert "<b>" not in html
    assert "<script>alert" not in html


@pytest.mark.parametrize("shape", [None, {}, [1], "text", 7, False, {"<b>": {"<i>": "<u>"}}], ids=range(7))
def test_settings_of_every_shape_are_compared(fetch, shape):
    shown = compared(fetch, make_asset(generation_settings=shape), make_asset(), query="&all=1")
    assert shown.status == 200
    assert "<i>" not in shown.html


@pytest.mark.parametrize("value", ["<i>", [1], {"a": 1}, True, 10**400, None], ids=range(6))
def test_settings_named_as_columns_are_shown_as_settings(fetch, value):
    names = ("bytes", "duration", "duration_seconds", "job", "user", "created", "index", "type", "size")
    shown = compared(fetch, make_asset(generation_settings=dict.fromkeys(names, value)), make_asset())
    assert shown.status == 200
    assert {"bytes", "duration"} <= set(parameters_of(shown))
    assert "<i>" not in shown.html


def test_many_long_prompts_are_compared_with_one_effort(fetch, monkeypatch):
    monkeypatch.setattr(comparison, "SequenceMatcher", Counted)
    monkeypatch.setattr(Counted, "looked_at", 0)
    names = [*comparison.PROMPTS, *(f"prompt {n} prompt" for n in range(20))]
    texts = [f"{number} {'x ' * (900 + number)}{number}" for number in range(6)]
    made = [make_asset(generation_settings=dict.fromkeys(names, text)) for text in texts]
    shown = compared(fetch, *made)
    assert "too long or repetitive to be compared word by word" in shown.text
    assert Counted.looked_at <= compare_view.MOST_WORK


def test_many_and_large_settings_are_cut_and_say_so(fetch, monkeypatch):
    wide = make_asset(generation_settings={f"key {n}": "x" * 5_000 for n in range(600)})
    monkeypatch.setattr(compare_view, "MOST_SETTINGS", 10_000_000)
    shown = compared(fetch, wide, make_asset())
    assert "These are the first 500 rows" in shown.text
    assert len(parameters_of(shown)) == 500
    monkeypatch.setattr(compare_view, "MOST_SETTINGS", 1_000)
    shown = compared(fetch, wide, make_asset(generation_settings={"steps": 30}), query="&all=1")
    assert "settings too large to compare" in shown.text
    assert parameters_of(shown)[-1] == "steps"
    assert "differs" not in shown.html.split('data-parameter="steps"')[1]


def test_a_comparison_takes_as_many_queries_for_six_as_for_two(client, staff):
    client.force_login(staff)
    made = make_assets(6)
    counts = []
    for number in (2, 6):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(compare_url(asset.id for asset in made[:number])).status_code == 200
        counts.append(len(queries))
    assert counts == [4, 4]


# --- Siblings ----------------------------------------------------------------


@pytest.fixture
def job():
    job = make_job()
    values = [
        {},
        {"generation_seed": 8},
        {"generation_seed": 9, "generation_settings": {"steps": 20}},
        {"original_prompt": "a red fox in the rain"},
        {"generation_settings": {"large": "x" * 170_000}},
        {"generation_settings": {"steps": 30, "processing_time": 4}},
    ]
    for each in values:
        make_asset(job.user, job, **each)
    return job


def variations_of(context_list):
    return [card.variation for card in context_list]


def test_siblings_say_what_was_asked_for_differently(fetch, job):
    first, second, *_ = WorkspaceAsset.objects.for_job(job.id).order_by("asset_index")
    shown = fetch(reverse("detail", args=[first.id]))
    assert variations_of(shown.response.context["siblings"]) == [
        "this one", "only the seed", "seed, steps", "only the prompt", "settings too large to compare",
        "same parameters",
    ]  # fmt: skip
    assert "#1 only the seed" in shown.text
    assert "#0 this one" in shown.text
    shown = fetch(reverse("detail", args=[second.id]))
    assert variations_of(shown.response.context["siblings"])[0] == "only the seed"


def test_large_settings_are_not_fetched_for_a_line_below_a_picture(fetch, job):
    ids = list(WorkspaceAsset.objects.values_list("id", flat=True))
    with CaptureQueriesContext(connection) as queries:
        rows = variations._readable(ids)
    assert len(queries) == 1
    assert max(len(str(row.generation_settings)) for row in rows.values()) < 100
    assert {len(row.original_prompt) for row in rows.values()} == {32}


def test_all_settings_of_a_page_of_pictures_are_bounded_together():
    job = make_job()
    made = make_assets(60, job.user, job, generation_settings={"said": "x" * 60_000})
    rows = variations._readable([asset.id for asset in made])
    assert sum(len(str(row.generation_settings)) for row in rows.values()) <= 1_000_000
    rows = variations._readable([asset.id for asset in made[:10]])
    assert {len(row.generation_settings["said"]) for row in rows.values()} == {60_000}


def test_a_job_says_on_each_page_what_differs_from_its_first(fetch, job, monkeypatch):
    monkeypatch.setattr("assets.views.jobs.PAGE_SIZE", 3)
    shown = fetch(reverse("job", args=[job.id]))
    assert variations_of(shown.response.context["cards"]) == ["the first", "only the seed", "seed, steps"]
    shown = fetch(reverse("job", args=[job.id]) + shown.link("next"))
    assert variations_of(shown.response.context["cards"])[0] == "only the prompt"


def test_a_job_and_its_assets_are_compared_by_one_link(fetch):
    job = make_job()
    made = make_assets(8, job.user, job)
    first_six = compare_url(asset.id for asset in made[:6]).replace("&", "&amp;")
    assert f'href="{first_six}"' in fetch(reverse("job", args=[job.id])).html
    this_first = compare_url(asset.id for asset in [made[7], *made[:5]]).replace("&", "&amp;")
    assert f'href="{this_first}"' in fetch(reverse("detail", args=[made[7].id])).html
    assert "/assets/compare/?" not in fetch(reverse("detail", args=[make_asset().id])).html
