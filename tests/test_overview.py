"""The overview: its numbers are those of the rows, and each leads to them."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.http import QueryDict
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from assets import rollups
from assets.filters import AssetFilterSet, RemovedFilterSet
from assets.models import Disposition, Refresh, Rollup, WorkspaceAsset
from assets.overview import Amount, Span, overview
from assets.views.overview import _bar, arrived_url, round_up
from tests.factories import GONE, make_asset, make_assets, make_user, unenforce_keys
from tests.html import Page

pytestmark = pytest.mark.django_db

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def at(monkeypatch, settings):
    """Has it be some time in some zone."""

    def set_clock(instant, zone="UTC"):
        settings.TIME_ZONE = zone
        monkeypatch.setattr(timezone, "now", lambda: instant)
        return instant

    return set_clock


def make_week(now):
    """Rows all over the days around, at times that are not those of hours."""
    unenforce_keys()
    ada = make_user("ada")
    for number in range(60):
        moment = timedelta(hours=number * 5, minutes=number)
        video = {"asset_type": "video", "model_used": "wan"} if number % 4 == 0 else {}
        expires_at = now + moment - 2 * DAY
        make_asset(ada, created_at=now - moment, expires_at=expires_at, file_size_bytes=number, **video)
    edge = now.replace(minute=0, second=0, microsecond=0) + HOUR
    for instant in (edge, edge - timedelta(microseconds=1)):
        make_asset(created_at=instant - DAY, expires_at=instant)
    make_assets(2, created_at=None, expires_at=None)
    make_asset(model_used="", created_at=now, expires_at=datetime(9999, 12, 30, tzinfo=UTC))
    orphan = make_asset(model_used='<b>&"\u202e', created_at=now - 40 * DAY, expires_at=now - 30 * DAY)
    WorkspaceAsset.objects.filter(id=orphan.id).update(user_id=GONE)
    for number, action in enumerate(Disposition.Action.values * 6):
        left = now - timedelta(hours=number * 7)
        back = now if number % 3 == 0 else None
        entry = Disposition(asset_id=GONE, action=action, row={}, disposed_at=left, restored_at=back)
        Disposition.objects.bulk_create([entry])


ORDINARY = datetime(2026, 11, 23, 9, 17, 5, tzinfo=UTC)
CLOCKS = {
    "utc": (ORDINARY, "UTC"),
    "last minute of a day": (datetime(2026, 11, 23, 22, 59, 59, tzinfo=UTC), "Europe/Prague"),
    "quarter of an hour": (ORDINARY, "Asia/Kathmandu"),
    "clocks put back": (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "Europe/Prague"),
    "clocks put forward": (datetime(2026, 3, 8, 12, 0, tzinfo=UTC), "America/New_York"),
    "half an hour put back": (datetime(2026, 4, 4, 15, 10, 5, tzinfo=UTC), "Australia/Lord_Howe"),
    "half an hour put forward": (datetime(2026, 10, 4, 20, 17, 5, tzinfo=UTC), "Australia/Lord_Howe"),
    "no midnight": (datetime(2026, 4, 23, 20, 10, tzinfo=UTC), "Africa/Cairo"),
}


@pytest.mark.parametrize("clock", CLOCKS)
def test_each_number_is_that_of_the_rows_and_leads_to_them(at, fetch, clock):
    now = at(*CLOCKS[clock])
    make_week(now)
    rollups.refresh()
    context = fetch("/overview/").response.context
    plots = [bar for plot in context["plots"] for bar in plot.bars]
    lines = [line for table in context["tables"] for line in table.lines]
    linked = [shown for shown in (*plots, *lines, *context["figures"]) if shown.count and shown.url]
    for shown in linked:
        found = AssetFilterSet(QueryDict(urlsplit(shown.url).query))
        assert (found.errors, found.qs.count()) == ({}, shown.count), shown
    assert len(linked) > 50
    without = [shown for shown in (*plots, *lines) if shown.count and not shown.url]
    assert [line.name for line in without] == ["(empty)"]
    cells = [cell for day in context["departures"].days for cell in day.cells if cell.count]
    for cell in cells:
        found = RemovedFilterSet(QueryDict(urlsplit(cell.url).query))
        assert (found.errors, found.qs.count()) == ({}, cell.count), cell
    assert len(cells) > 20


@pytest.mark.parametrize("clock", CLOCKS)
def test_nothing_is_counted_twice_or_left_out(at, clock):
    now = at(*CLOCKS[clock])
    make_week(now)
    rollups.refresh()
    found = overview()
    rows = list(WorkspaceAsset.objects.values_list("created_at", "expires_at", "file_size_bytes"))
    assert (found.total.count, found.total.bytes) == (len(rows), sum(size for *_, size in rows))
    arrived, expiring = (found.arrived_hours, found.arrived_days), (found.expiring_hours, found.expiring_days)
    for column, spans in (*((0, each) for each in arrived), *((1, each) for each in expiring)):
        assert [span.end for span in spans[:-1]] == [span.start for span in spans[1:]]
        for span in spans:
            sizes = [row[2] for row in rows if row[column] and span.start <= row[column] < span.end]
            assert (span.amount.count, span.amount.bytes) == (len(sizes), sum(sizes)), span
    assert found.arrived_hours[-1].start <= now < found.arrived_hours[-1].end
    assert found.expiring_hours[0].start <= now < found.expiring_hours[0].end
    assert found.arrived_days[-1].start <= now < found.arrived_days[-1].end
    assert found.expiring_days[0].start <= now < found.expiring_days[0].end
    assert found.never.count == 2
    for shares in (found.types, found.models, found.users):
        assert sum(share.amount.count for share in shares) == len(rows)
    entries = Disposition.objects.filter(disposed_at__gte=found.departures[-1].start)
    left = Counter()
    for day in found.departures:
        left.update(day.by_action)
    assert left == Counter(entries.values_list("action", flat=True))
    assert sum(day.came_back for day in found.departures) == entries.exclude(restored_at=None).count()


def test_the_page_says_how_old_its_numbers_are(fetch):
    make_assets(3)
    rollups.refresh()
    Refresh.objects.update(as_of=timezone.now() - timedelta(minutes=3, seconds=5))
    shown = fetch("/overview/")
    assert "counted 3 min ago" in shown.text
    assert "is the worker running" not in shown.text
    Refresh.objects.update(as_of=timezone.now() - 5 * HOUR)
    assert "counted 5 h ago" in fetch("/overview/").text
    assert "is the worker running" in fetch("/overview/").text
    Refresh.objects.update(took=timedelta(minutes=10))
    assert "is the worker running" not in fetch("/overview/").text, "it is counted again after 5 h 10 min"


def queued():
    return ProcrastinateJob.objects.filter(task_name="assets.tasks.refresh_overview", status="todo").count()


def test_before_the_first_count_the_page_has_it_made_once(fetch):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
    make_assets(3)
    for _ in range(3):
        assert "The first count is being made" in fetch("/overview/").text
    assert queued() == 1
    rollups.refresh()
    assert "In the workspace 3 3.0 kB" in fetch("/overview/").text
    assert queued() == 1


def test_a_workspace_without_assets_has_an_overview(fetch):
    rollups.refresh()
    shown = fetch("/overview/")
    assert (shown.status, "No assets in the workspace" in shown.text) == (200, True)


def test_users_are_named_and_hostile_names_stay_text(fetch):
    unenforce_keys()
    make_assets(2, make_user("<script>alert(1)</script>"), model_used="<script>alert(2)</script>")
    orphan = make_asset()
    WorkspaceAsset.objects.filter(id=orphan.id).update(user_id=GONE)
    rollups.refresh()
    shown = fetch("/overview/")
    assert "<script>alert" not in shown.html
    assert "<script>alert(1)</script> 2 66.7% 2.0 kB" in shown.text
    assert "00000000 1 33.3% 1.0 kB" in shown.text


def test_types_that_only_the_product_knows_lead_to_their_own(fetch):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE workspace_assets DROP CONSTRAINT workspace_assets_asset_type_check")
    for number, kind in enumerate(("image", "image ", "audio"), 1):
        make_assets(number, asset_type=kind)
    rollups.refresh()
    types = fetch("/overview/").response.context["tables"][0].lines
    assert [(line.name, line.count) for line in types] == [("audio", 3), ("image ", 2), ("image", 1)]
    for line in types:
        assert AssetFilterSet(QueryDict(urlsplit(line.url).query)).qs.count() == line.count


def test_of_many_models_the_largest_are_shown(fetch):
    for number in range(25):
        make_assets(2 if number < 20 else 1, model_used=f"model-{number:02}")
    rollups.refresh()
    table = next(each for each in fetch("/overview/").response.context["tables"] if each.id == "models")
    assert [line.name for line in table.lines] == [*(f"model-{n:02}" for n in range(20)), "All others"]
    assert (table.lines[-1].count, table.lines[-1].url) == (5, "")


def test_sums_beyond_any_column_are_shown(fetch):
    make_assets(3, file_size_bytes=2**63 - 1)
    rollups.refresh()
    assert overview().total.bytes == 3 * (2**63 - 1)
    assert fetch("/overview/").status == 200


def test_who_may_not_see_the_ledger_sees_no_departures(client, fetch):
    rollups.refresh()
    assert "Left the workspace" in fetch("/overview/").text
    looker = User.objects.create_user("looker")
    looker.user_permissions.add(Permission.objects.get(codename="view_workspaceasset"))
    client.force_login(looker)
    assert "Left the workspace" not in Page(client.get("/overview/")).text


@pytest.mark.parametrize(
    ("number", "end"), [(0, 1), (1, 1), (2, 2), (3, 4), (9, 10), (10, 10), (10**6 + 1, 2 * 10**6)]
)
def test_scales_end_at_a_round_number(number, end):
    assert round_up(number) == end


def test_the_tallest_bar_is_as_high_as_its_plot_or_keeps_to_its_scale(fetch):
    make_assets(11)
    rollups.refresh()
    plots = {plot.id: plot for plot in fetch("/overview/").response.context["plots"]}
    tallest = {name: max(bar.height for bar in plot.bars) for name, plot in plots.items()}
    scales = {name: [text for _, text in plot.lines] for name, plot in plots.items()}
    assert (tallest["arrived-days"], scales["arrived-days"]) == (120, [])
    assert (tallest["arrived-hours"], scales["arrived-hours"]) == (66, ["20", "10"])


def test_names_of_days_that_would_stick_out_are_left_out_where_there_is_little_room():
    late = Span(datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 24, 1, tzinfo=UTC), Amount(0, 0))
    step = 100 / 48
    bars = [_bar(late, step * number, step, 1, arrived_url) for number in (39, 41, 47)]
    assert [(bar.label, bar.is_minor) for bar in bars] == [("Tue 24", False), ("Tue 24", True), ("", True)]


def test_the_page_reads_no_table_of_the_product_but_names(client, staff, django_assert_num_queries):
    make_assets(3)
    rollups.refresh()
    client.force_login(staff)
    with django_assert_num_queries(5) as queries:
        assert client.get("/overview/").status_code == 200
    statements = [query["sql"] for query in queries.captured_queries]
    assert not [sql for sql in statements if "workspace_assets" in sql or "assets_disposition" in sql]
    assert Rollup.objects.filter(kind=Rollup.Kind.USER).exists()


# --- A user's totals -------------------------------------------------------------


@pytest.fixture
def heavy(monkeypatch):
    """Somebody with more assets than a page counts while it is waited for."""
    monkeypatch.setattr("assets.overview.MOST_COUNTED", 4)
    user = make_user("heavy")
    make_assets(3, user)
    make_assets(2, user, asset_type="video", file_size_bytes=7_000)
    return user


def totals(shown):
    found = shown.response.context["totals"]
    return found.total.count, found.total.bytes, {share.key: share.amount.count for share in found.types}


def test_an_ordinary_user_is_counted_exactly(fetch):
    user = make_user()
    make_assets(3, user)
    make_assets(2, user, asset_type="video")
    rollups.refresh()
    make_asset(user)
    shown = fetch(f"/users/{user.pk}/")
    assert totals(shown) == (6, 6_000, {"image": 4, "video": 2})
    assert "Count exactly" not in shown.text


def test_a_heavy_user_has_the_numbers_of_the_last_count_with_their_age(fetch, heavy):
    rollups.refresh()
    Refresh.objects.update(as_of=timezone.now() - timedelta(minutes=3, seconds=5))
    make_asset(heavy)
    shown = fetch(f"/users/{heavy.pk}/")
    assert totals(shown) == (5, 17_000, {"image": 3, "video": 2})
    assert "Counted 3 min ago" in shown.text
    assert 'href="?exact=1"' in shown.html
    exact = fetch(f"/users/{heavy.pk}/", exact="1")
    assert totals(exact) == (6, 18_000, {"image": 4, "video": 2})
    assert "Count exactly" not in exact.text


def test_a_heavy_user_that_was_not_counted_has_more_than_was_looked_at(fetch, heavy, monkeypatch):
    assert "All 4+ not counted" in fetch(f"/users/{heavy.pk}/").text
    monkeypatch.setattr(rollups, "MOST_USERS", 0)
    rollups.refresh()
    shown = fetch(f"/users/{heavy.pk}/")
    assert "All 4+ not counted" in shown.text
    assert "Count exactly" in shown.text


def test_assets_without_a_type_are_not_called_those_of_other_types(fetch):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE workspace_assets DROP CONSTRAINT workspace_assets_asset_type_check")
    user = make_user()
    make_assets(2, user, asset_type="")
    shown = fetch(f"/users/{user.pk}/")
    assert "(empty) 2" in shown.text
    assert "other types" not in shown.text
