"""What the worker knows of settings: conditions that an index answers find the same as without it."""

import itertools
import json
from datetime import timedelta
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from assets import bulk, known_settings
from assets.filters import AssetFilterSet
from assets.models import KnownSettings, Operation, SettingKey, SettingValue, WorkspaceAsset
from assets.pagination import keyset_page
from assets.setting_conditions import SettingCondition
from assets.sieves import settings_sieve
from assets.time_limits import TimeLimitError
from tests.factories import make_asset

A_DAY = timedelta(days=1)


@pytest.fixture
def ancient():
    """A date that the worker takes for old: what is newer is looked through by each page."""
    return timezone.now() - A_DAY


def found(text, among=WorkspaceAsset.objects):
    """What a condition finds with an index; None where nothing but a scan answers."""
    condition = SettingCondition.parse(text)
    if condition.operator != "=" and known_settings.named_by(condition) is None:
        return None
    return ids(among.filter(settings_sieve([condition]).indexed))


def exact(text):
    return ids(WorkspaceAsset.objects.filter(SettingCondition.parse(text).as_q()))


def ids(assets):
    return set(assets.values_list("id", flat=True))


numbers = st.integers(-3, 3) | st.sampled_from([0.5, -1.25, 3.0])
values = st.none() | st.booleans() | numbers | st.sampled_from(["1", "2.0", "a", "x" * 300, ""])
containers = st.lists(numbers, max_size=2) | st.dictionaries(st.sampled_from("ab"), values, max_size=2)
shapes = st.dictionaries(st.sampled_from("abc"), values | containers, max_size=3) | values | containers
conditions = st.builds(
    lambda path, comparison: path + comparison,
    st.sampled_from(["a", "b", "a.a", "a.b", "c", "d", "a.a.a"]),
    st.just("") | st.builds("{}{}".format, st.sampled_from([">", ">=", "<", "<=", "!=", "="]), numbers),
)


@settings(max_examples=40)
@given(
    st.lists(shapes, min_size=1, max_size=6),
    st.lists(shapes, max_size=2),
    st.lists(conditions, min_size=8, max_size=8),
)
def test_an_index_finds_what_a_scan_does(db, ancient, known, arrived_since, texts):
    for model in (WorkspaceAsset, SettingKey, SettingValue, KnownSettings):
        model.objects.all().delete()
    for shape in known:
        make_asset(generation_settings=shape, created_at=ancient)
    known_settings.look()
    for shape in arrived_since:
        make_asset(generation_settings=shape)
    for text in texts:
        sieve = settings_sieve([SettingCondition.parse(text)])
        for form in (sieve.cheap, sieve.indexed):
            assert ids(WorkspaceAsset.objects.filter(form)) == exact(text)


@pytest.mark.parametrize(
    "text", ["a>1", "a<=2", "a", "a!=7", "n.b>=4", "n.b", "n", "t>29", "unknown", "unknown>3"]
)
def test_conditions_on_what_is_known_need_no_scan(db, ancient, text):
    for number in range(3):
        make_asset(generation_settings={"a": number, "n": {"b": number + 3}, "t": "30"}, created_at=ancient)
    known_settings.look()
    assert found(text) == exact(text)


def test_what_came_since_is_found_and_what_was_there_is_looked_up_by_its_value(db, ancient):
    old = make_asset(generation_settings={"scene_id": 2001}, created_at=ancient)
    known_settings.look()
    new = make_asset(generation_settings={"scene_id": 2002})
    assert found("scene_id>2000") == {old.id, new.id}
    before = WorkspaceAsset.objects.filter(created_at__lte=ancient)
    SettingValue.objects.all().delete()
    assert found("scene_id>2000", before) == set()


@pytest.mark.parametrize(
    ("text", "steps"), [("n>58", ["named", "estimated", "looked up"]), ("n>5", ["named", "tried"])]
)
def test_no_row_is_tried_for_few_of_the_values_that_a_key_has(db, ancient, text, steps):
    for number in range(60):
        make_asset(generation_settings={"n": number}, created_at=ancient - number * A_DAY)
    known_settings.look()
    filterset = AssetFilterSet(QueryDict(urlencode({"setting": text})))
    listed = filterset.selection()
    with CaptureQueriesContext(connection) as captured:
        page = keyset_page(listed.ordered, filterset.order, sieve=listed.sieve, size=40)
    signs = {"named": "knownsettings", "estimated": "EXPLAIN", "tried": "LIMIT 3000", "looked up": "ANY ("}
    said = [next(step for step, sign in signs.items() if sign in query["sql"]) for query in captured]
    assert said == steps
    assert page.rows == list(filterset.exact.order_by("-created_at")[:40])


@pytest.mark.parametrize("odd", [[1], {}, {"deep": {"deeper": 1}}, "x" * 300])
def test_a_key_with_values_that_cannot_be_named_is_left_to_a_scan(db, ancient, odd):
    make_asset(generation_settings={"odd": 1}, created_at=ancient)
    make_asset(generation_settings={"odd": odd}, created_at=ancient)
    known_settings.look()
    assert found("odd>0") is None


def test_a_key_with_too_many_values_is_left_to_a_scan(db, ancient, monkeypatch):
    monkeypatch.setattr(known_settings, "MOST_VALUES", 5)
    for number in range(5):
        make_asset(generation_settings={"time": number, "steps": 1}, created_at=ancient)
    known_settings.look()
    assert found("time>1") == exact("time>1")
    make_asset(generation_settings={"time": 6})
    known_settings.look()
    assert found("time>1") is None
    assert found("steps") == exact("steps")
    assert not SettingValue.objects.filter(key="time").exists()


def test_more_keys_than_are_kept_leave_only_the_others_to_a_scan(db, ancient, monkeypatch):
    monkeypatch.setattr(known_settings, "MOST_KEYS", 3)
    make_asset(generation_settings={"steps": 1}, created_at=ancient)
    known_settings.look()
    make_asset(generation_settings={f"odd-{n}": n for n in range(9)}, created_at=timezone.now())
    known_settings.look()
    assert SettingKey.objects.count() == 3
    assert found("steps>0") == exact("steps>0")
    assert found("odd-8>0") is None or found("odd-1>0") is None


@pytest.mark.parametrize("forgotten", [{"complete_at": None}, {"until": timezone.now() - A_DAY}])
def test_nothing_is_answered_from_a_pass_that_has_not_ended_or_long_ago(db, ancient, forgotten):
    make_asset(generation_settings={"steps": 1}, created_at=ancient)
    known_settings.look()
    assert found("steps>0") == exact("steps>0")
    KnownSettings.objects.update(**forgotten)
    assert found("steps>0") is None


def test_the_pass_goes_on_where_it_was_and_takes_in_what_has_no_date(db, ancient, monkeypatch):
    monkeypatch.setattr(known_settings, "_CHUNK", 2)
    for number in range(7):
        make_asset(generation_settings={"n": number}, created_at=ancient - number * A_DAY)
    make_asset(generation_settings={"n": 99}, created_at=None)
    known_settings.look(seconds=0)
    assert found("n>0") is None
    # A chunk each time, however long that takes.
    monkeypatch.setattr(known_settings, "time", SimpleNamespace(monotonic=itertools.count().__next__))
    for _ in range(3):
        assert KnownSettings.objects.get().complete_at is None
        known_settings.look(seconds=2)
    assert found("n>0") == exact("n>0")
    assert SettingValue.objects.count() == 8


def test_the_daily_pass_learns_what_was_written_with_an_older_date_and_forgets_what_has_left(db, ancient):
    make_asset(generation_settings={"n": 1}, created_at=ancient)
    known_settings.look()
    WorkspaceAsset.objects.all().delete()
    late = make_asset(generation_settings={"n": 2}, created_at=ancient - A_DAY)
    known_settings.look()
    assert found("n") == set()
    yesterday = timezone.now() - A_DAY * 1.1
    KnownSettings.objects.update(pass_started_at=yesterday, complete_at=yesterday)
    SettingValue.objects.update(seen_at=yesterday - A_DAY)
    known_settings.look()
    assert found("n") == {late.id}
    assert [value.settings for value in SettingValue.objects.all()] == [{"n": 2}]


def test_what_may_be_restored_is_not_forgotten(db, ancient):
    asset = make_asset(generation_settings={"n": 1}, created_at=ancient)
    known_settings.look()
    WorkspaceAsset.objects.filter(id=asset.id).delete()
    soon = timezone.now() - A_DAY * 1.02
    KnownSettings.objects.update(pass_started_at=soon, complete_at=soon)
    SettingValue.objects.update(seen_at=timezone.now() - A_DAY / 2)
    known_settings.look()
    make_asset(generation_settings={"n": 1}, created_at=ancient)
    assert found("n>0") == exact("n>0") != set()


def test_times_that_no_calendar_has_do_not_stop_it(db, ancient, monkeypatch):
    monkeypatch.setattr(known_settings, "_CHUNK", 1)
    for _ in range(3):
        for when in ("-infinity", "infinity"):
            asset = make_asset(generation_settings={"when": when})
            with connection.cursor() as cursor:
                cursor.execute("UPDATE workspace_assets SET created_at = %s WHERE id = %s", [when, asset.id])
    known_settings.look()
    with connection.cursor() as cursor:
        cursor.execute("SELECT settings::text FROM assets_settingvalue ORDER BY 1")
        assert [json.loads(text)["when"] for (text,) in cursor.fetchall()] == ["-infinity", "infinity"]


def test_an_operation_takes_in_what_nobody_knows_yet(db, ancient, admin):
    changed = make_asset(generation_settings={"steps": 30}, created_at=ancient)
    known_settings.look()
    WorkspaceAsset.objects.filter(id=changed.id).update(generation_settings={"steps": 99})
    assert found("steps>90") == set()
    operation = bulk.freeze_filter("setting=steps>90", action="extend", actor=admin)
    assert [item.asset_id for item in operation.items.all()] == [changed.id]


def test_an_operation_that_takes_long_to_find_its_assets_does_so_in_the_background(db, admin, monkeypatch):
    asset = make_asset(generation_settings={"steps": 30})

    def counted(wanted, *, time_limit):
        raise TimeLimitError

    monkeypatch.setattr(bulk, "capped_counts", counted)
    operation = bulk.freeze_filter("setting=steps>20", action="extend", actor=admin)
    assert (operation.state, operation.items.count()) == (Operation.State.PREPARING, 0)
    bulk.advance(operation.pk)
    assert [item.asset_id for item in operation.items.all()] == [asset.id]
