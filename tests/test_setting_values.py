"""Settings that occur, offered to whoever writes a condition, and on a page of their own."""

import re
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from html import unescape

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assets import setting_values
from assets.filters import AssetFilterSet
from assets.models import WorkspaceAsset
from assets.setting_values import occurring
from tests.factories import make_asset, make_assets
from tests.test_find_by_setting import SQL_NULL, found, replace_rows, shapes  # noqa: F401 (a fixture)

pytestmark = pytest.mark.django_db

PAGE = "/assets/settings/"


def everything(**wanted):
    return occurring(WorkspaceAsset.objects.filter(model_used="of the example"), **{"values": 500} | wanted)


# --- What occurs ------------------------------------------------------------------------


def walk(value, path=()):
    """A plain count of what occurs, to the third level."""
    if isinstance(value, dict) and len(path) < 3:
        for key, item in value.items():
            yield (*path, key), item
            yield from walk(item, (*path, key))


def spelt(value):
    """Equal where JSON values are."""
    if isinstance(value, dict):
        return ("object", tuple(sorted((key, spelt(item)) for key, item in value.items())))
    if isinstance(value, list):
        return ("list", tuple(map(spelt, value)))
    return (type(value).__name__ if isinstance(value, bool | str) else "", value)


NESTED = {"a": {"a": {"a": {"a": 1}}}, "steps": Decimal("7.0")}


@settings(max_examples=40)
@given(st.lists(shapes, min_size=1, max_size=12))
@example([NESTED, {"steps": 7}, {"steps": "7"}, {"steps": [7]}, [NESTED], SQL_NULL, {"steps": "x" * 70_000}])
def test_keys_and_values_are_counted_as_a_plain_count_does(replace_rows, rows):  # noqa: F811 (the fixture)
    replace_rows(rows)
    usual = [row for row in rows if "x" * 70_000 not in str(row)]
    having, values = Counter(), {}
    for row in usual:
        for path, item in walk(row):
            having[path] += 1
            values.setdefault(path, Counter())[spelt(item)] += 1
    result = everything()
    assert result.looked_at == len(rows)
    assert {key.path: (key.number, key.different) for key in result.keys} == {
        path: (number, len(values[path])) for path, number in having.items()
    }
    for key in result.keys:
        plain = [number for value, number in values[key.path].items() if value[0] not in {"object", "list"}]
        assert [value.number for value in key.values] == sorted(plain, reverse=True)
        for value in key.values[:2]:
            assert len(found(value.condition)) >= value.number  # its spelling as text is meant as well


def test_only_the_newest_are_looked_at_and_keys_and_values_are_bounded(monkeypatch):
    monkeypatch.setattr(setting_values, "NEWEST", 3)
    monkeypatch.setattr(setting_values, "MOST_KEYS", 2)
    for number in range(5):
        make_asset(generation_settings={"a": number, "b": 1, f"c{number}": 1})
    result = occurring(WorkspaceAsset.objects.all(), values=2)
    assert (result.looked_at, result.is_part) == (3, True)
    assert [(key.text, key.number, key.different) for key in result.keys] == [("a", 3, 3), ("b", 3, 1)]
    assert [value.text for value in result.keys[0].values] == ["2", "3"]
    with CaptureQueriesContext(connection) as queries:
        occurring(WorkspaceAsset.objects.all(), values=2, path=["a"])
    assert len(queries) == 1


def test_a_filter_that_is_not_understood_has_no_settings():
    make_asset()
    assert occurring(AssetFilterSet(QueryDict("seed=x")).qs, values=1) == setting_values.Occurring(0, [])


# --- As people type -----------------------------------------------------------------------


@pytest.fixture
def suggested(client, staff):
    client.force_login(staff)

    def ask(typed, rest=""):
        answer = client.get("/suggest/settings/", {"q": typed, "filter": rest})
        assert answer.status_code == 200
        return [(each["value"], each["note"]) for each in answer.json()["suggestions"]]

    return ask


def test_keys_are_suggested_then_their_values_most_frequent_first(suggested):
    make_assets(2, generation_settings={"steps": 30, "max steps": None, "tags": [1]})
    make_assets(3, generation_settings={"steps": 20, "nested": {"start": "x"}}, asset_type="video")
    assert suggested("st") == [
        ("steps=", "2 values"),
        ("nested", "lists or objects"),
        ("nested.start=", "1 value"),
        ('"max steps"=', "1 value"),
    ]
    assert suggested("tags") == [("tags", "lists or objects")]
    assert suggested("steps=") == [("steps=20", "3"), ("steps=30", "2")]
    assert suggested("steps = 3") == [("steps=30", "2")]
    assert suggested("steps!=") == [("steps!=20", "3"), ("steps!=30", "2")]
    assert suggested("nested.start=") == [("nested.start=x", "3")]
    assert suggested('"max steps"=') == [('"max steps"=null', "2")]
    assert suggested("steps=", "type=image") == [("steps=30", "2")]
    for typed in ("steps>=", "steps=x", "=", "a..b=", 'a"b', "\0", "x" * 600, "steps=\0"):
        assert suggested(typed) in ([], suggested("steps="), suggested("")), typed
    for rest in ("seed=x", "type=image&type=video", "q=%00"):
        assert suggested("", rest) == []


def test_suggested_counts_say_that_they_are_of_the_newest(suggested, monkeypatch):
    monkeypatch.setattr(setting_values, "NEWEST", 2)
    monkeypatch.setattr("assets.views.suggest.NEWEST", 2)
    make_assets(3)
    assert suggested("steps=") == [("steps=30", "2 of the newest 2")]


# --- The page -----------------------------------------------------------------------------


def links(shown):
    return [unescape(url) for url in re.findall(r'class="tally" href="([^"]*)"', shown.html)]


def test_each_value_leads_to_the_assets_of_the_selection_that_have_it(fetch):
    wanted = make_asset(generation_settings={"steps": 30, "nested": {"a.b": "x y"}})
    make_asset(generation_settings={"steps": 20})
    make_asset(asset_type="video", generation_settings={"steps": 30, "of_videos": 1})
    shown = fetch(f"{PAGE}?type=image&setting=steps")
    assert "Of all 2 assets of this selection" in shown.text
    assert "of_videos" not in shown.text
    [url] = [url for url in links(shown) if "nested" in url]
    assert url.startswith("/assets/?type=image&setting=steps&setting=nested.")
    assert fetch(url).ids == [str(wanted.id)]
    assert "browse settings of this selection" in fetch("/assets/?type=image").text


def test_one_key_has_more_of_its_values(fetch):
    for number in range(40):
        make_asset(generation_settings={"steps": number, "other": 1})
    shown = fetch(f"{PAGE}?type=image")
    assert len(links(shown)) == 7
    [more] = [unescape(url) for url in re.findall(r'href="([^"]*key=[^"]*)"', shown.html)]
    assert len(links(fetch(more))) == 30
    assert "“a..b” is not a condition" in fetch(f"{PAGE}?key=a..b").errors[0]
    assert "No asset here has a setting of this name" in fetch(f"{PAGE}?key=nothing").text


def test_hostile_keys_and_values_stay_text_and_long_ones_have_no_link(fetch):
    hostile = {
        "<img src=x>": "<script>alert(1)</script>",
        "long": "y" * 1_000,
        "k" * 600: 1,
        '"': "=1&a=b",
        "": "",
    }
    asset = make_asset(generation_settings=hostile | {"n": {"": None}, "big": 10**700, "t": "true"})
    shown = fetch(PAGE)
    assert "<img src=x>" not in shown.html
    assert "<script>alert" not in shown.html
    assert "<img src=x>" in shown.text
    assert not any("yyy" in url or "kkk" in url or "000" in url for url in links(shown))
    assert len(links(shown)) == 5
    for url in links(shown):
        assert fetch(url).ids == [str(asset.id)], url


def test_a_key_that_no_condition_can_name_is_cut_short_and_leads_nowhere(fetch, suggested):
    path = "k" * 60_000
    make_asset(generation_settings={path: None, "steps": 30})
    make_asset(generation_settings={f"{path} {number}": number for number in range(1)})
    for number in range(8):
        make_asset(generation_settings={path: number})
    shown = fetch(PAGE)
    assert len(shown.html) < 100_000
    assert "kkkk" in shown.text
    hrefs = [unescape(url) for url in re.findall(r'href="([^"]*)"', shown.html)]
    assert not any("kkkk" in url for url in hrefs)
    assert suggested("k") == []
    assert suggested("") == [("steps=", "1 value")]


def test_what_is_not_understood_says_so(fetch):
    make_asset()
    shown = fetch(f"{PAGE}?seed=x&colour=red")
    assert len(shown.errors) == 2
    assert links(shown) == []


def test_settings_with_thousands_of_odd_keys_are_looked_at_up_to_so_many_bytes(db, monkeypatch):
    monkeypatch.setattr("assets.setting_values._MOST_IN_ALL", 5_000)
    for number in range(4):
        make_asset(generation_settings={f"key-{number}-{key}": key for key in range(100)})
    found = occurring(WorkspaceAsset.objects.all(), values=3)
    assert 0 < found.looked_at < 4
    assert found.is_part
    monkeypatch.undo()
    assert occurring(WorkspaceAsset.objects.all(), values=3).looked_at == 4
    assert not occurring(WorkspaceAsset.objects.all(), values=3).is_part


STEPS = {
    "all are near": (30, 2, {"4", "5", "6", "7"}),
    "some are near": (6, 2, {"4", "5"}),
    "none is near": (4, 1, {"4", "5", "6", "7"}),
    "few are near": (6, 3, {"4", "5", "6", "7"}),
}


@pytest.mark.parametrize("steps", STEPS)
def test_settings_of_what_no_index_has_in_order_are_found_in_two_steps(db, monkeypatch, steps):
    tried, enough, expected = STEPS[steps]
    monkeypatch.setattr(setting_values, "TRIED", tried)
    monkeypatch.setattr(setting_values, "ENOUGH", enough)
    monkeypatch.setattr(setting_values, "is_rare", lambda *_: False)
    for number in range(12):
        expires_at = timezone.now() + timedelta(hours=1 if 4 <= number < 8 else 100)
        make_asset(ago=timedelta(minutes=number), expires_at=expires_at, generation_settings={"n": number})
    result = occurring(AssetFilterSet(QueryDict("expires=24h&sort=expires_at")), values=99)
    numbers = {value.text for key in result.keys for value in key.values}
    assert (numbers, result.looked_at) == (expected, len(expected))
    assert result.is_part == (steps == "some are near")
