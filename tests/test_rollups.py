"""What is counted in the background, against the same rows counted plainly."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from io import StringIO
from json import loads
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, connections
from django.utils import timezone

from assets import dispositions, rollups
from assets.models import Disposition, Refresh, Rollup, WorkspaceAsset
from tests.factories import GONE, make_asset, make_assets, make_user, unenforce_keys

pytestmark = pytest.mark.django_db

Kind = Rollup.Kind
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HUGE = 2**63 - 1


def stored(kind, *columns):
    """The counts and bytes of a kind by some columns."""
    rows = Rollup.objects.filter(kind=kind).values_list(*columns, "count", "bytes")
    return {tuple(key): (count, size) for *key, count, size in rows}


def tally(pairs):
    """The same of keys and sizes, one by one."""
    counts, sizes = Counter(), Counter()
    for key, size in pairs:
        counts[key] += 1
        sizes[key] += size
    return {key: (counts[key], sizes[key]) for key in counts}


def hour_of(instant):
    return instant.replace(minute=0, second=0, microsecond=0)


def plainly_counted():
    """What each kind should say, by plain Python over all rows."""
    now = timezone.now()
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = today - 8 * DAY, today + 9 * DAY
    columns = ("user_id", "asset_type", "model_used", "file_size_bytes", "created_at", "expires_at")
    rows = list(WorkspaceAsset.objects.values_list(*columns))

    def fate(expires_at):
        if expires_at is None:
            return Kind.EXPIRES_NEVER, None
        if expires_at < start:
            return Kind.EXPIRED_BEFORE, None
        return (Kind.EXPIRES, hour_of(expires_at)) if expires_at < end else (Kind.EXPIRES_AFTER, None)

    fates = [(fate(expires), kind, size) for _, kind, _, size, _, expires in rows]
    return {
        Kind.ARRIVED: tally(
            ((hour_of(created), kind), size)
            for _, kind, _, size, created, _ in rows
            if created and start <= created < end
        ),
        **{
            of: tally(((hour, kind), size) for (fate, hour), kind, size in fates if fate == of)
            for of in (Kind.EXPIRES, Kind.EXPIRED_BEFORE, Kind.EXPIRES_AFTER, Kind.EXPIRES_NEVER)
        },
        Kind.MODEL: tally(((kind, model), size) for _, kind, model, size, *_ in rows),
        Kind.USER: tally(((user, kind), size) for user, kind, _, size, *_ in rows),
        Kind.TOP_USER: tally(((user, kind), size) for user, kind, _, size, *_ in rows),
    }


COLUMNS = {
    Kind.MODEL: ("asset_type", "model_used"),
    Kind.USER: ("user_id", "asset_type"),
    Kind.TOP_USER: ("user_id", "asset_type"),
}


def check_all_kinds():
    for kind, expected in plainly_counted().items():
        assert stored(kind, *COLUMNS.get(kind, ("hour", "asset_type"))) == expected, kind


def make_hostile_rows():
    unenforce_keys()
    now = timezone.now()
    for number in range(40):
        ago, kind = timedelta(hours=number * 7), "video" if number % 3 else "image"
        make_asset(ago=ago, asset_type=kind, file_size_bytes=number, model_used=f"model-{number % 5}")
    make_assets(2, created_at=None, expires_at=None)
    make_assets(2, file_size_bytes=HUGE)
    make_asset(file_size_bytes=-(2**63))
    make_asset(model_used="")
    make_asset(model_used="<script>' OR 1=1 -- žluť \u202e")
    make_asset(created_at=datetime(1, 1, 2, tzinfo=UTC), expires_at=datetime(9999, 12, 30, tzinfo=UTC))
    make_asset(expires_at=now - 300 * DAY)
    make_asset(created_at=now + 300 * DAY)
    orphan = make_asset()
    WorkspaceAsset.objects.filter(id=orphan.id).update(user_id=GONE, job_id=GONE)


def test_numbers_are_those_of_the_rows_and_follow_them(monkeypatch):
    monkeypatch.setattr(rollups, "TOP_USERS", 1_000)
    make_hostile_rows()
    rollups.refresh()
    check_all_kinds()
    assert stored(Kind.USERS) == {(): (WorkspaceAsset.objects.values("user_id").distinct().count(), 0)}
    assert stored(Kind.MODELS) == {(): (8, 0)}
    assert rollups.refresh().written == 0, "nothing has changed, so nothing is written"

    ids = list(WorkspaceAsset.objects.order_by("id").values_list("id", flat=True))
    WorkspaceAsset.objects.filter(id__in=ids[:9]).delete()
    WorkspaceAsset.objects.filter(id__in=ids[9:18]).update(model_used="renamed", expires_at=None)
    make_assets(5, model_used="new")
    refreshed = rollups.refresh()
    check_all_kinds()
    assert 0 < refreshed.written < refreshed.rows, "only what has changed is written"


def test_times_that_no_calendar_has_are_counted():
    assets = make_assets(3)
    with connection.cursor() as cursor:
        for asset, time in zip(assets, ("infinity", "-infinity", "0044-03-15 BC"), strict=True):
            update = "UPDATE workspace_assets SET created_at = %s, expires_at = %s WHERE id = %s"
            cursor.execute(update, [time, time, asset.pk])
    rollups.refresh()
    assert stored(Kind.ARRIVED) == {}
    assert stored(Kind.EXPIRES_AFTER) == {(): (1, 1_000)}
    assert stored(Kind.EXPIRED_BEFORE) == {(): (2, 2_000)}
    assert stored(Kind.MODEL, "model_used") == {("sdxl",): (3, 3_000)}


def test_of_many_models_and_users_the_largest_are_kept_and_the_others_summed(monkeypatch):
    monkeypatch.setattr(rollups, "MOST_MODELS", 2)
    monkeypatch.setattr(rollups, "MOST_USERS", 2)
    monkeypatch.setattr(rollups, "TOP_USERS", 1)
    heavy, middle = make_user(), make_user()
    make_assets(5, heavy, model_used="large")
    make_assets(4, middle, model_used="middling")
    make_assets(3, model_used="x" * 201)
    make_assets(2, model_used="small")
    rollups.refresh()
    assert stored(Kind.MODEL, "model_used") == {
        ("large",): (5, 5_000), ("middling",): (4, 4_000), (None,): (5, 5_000),
    }  # fmt: skip
    assert stored(Kind.USER, "user_id") == {(heavy.pk,): (5, 5_000), (middle.pk,): (4, 4_000)}
    assert stored(Kind.TOP_USER, "user_id") == {(heavy.pk,): (5, 5_000), (None,): (9, 9_000)}
    assert stored(Kind.MODELS) == {(): (4, 0)}


def test_types_beyond_the_first_few_are_summed(monkeypatch):
    monkeypatch.setattr(rollups, "MOST_TYPES", 1)
    make_assets(3)
    make_assets(2, asset_type="video")
    rollups.refresh()
    assert stored(Kind.MODEL, "asset_type") == {("image",): (3, 3_000), (None,): (2, 2_000)}


# --- Departures ------------------------------------------------------------------


def departures():
    return {(row.hour, row.action): row.count for row in Rollup.objects.filter(kind=Kind.LEFT)}


def in_ledger():
    start = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) - 8 * DAY
    entries = Disposition.objects.filter(disposed_at__gte=start)
    return Counter((hour_of(entry.disposed_at), entry.action) for entry in entries)


def depart(number, ago, action="deleted", **values):
    at = timezone.now() - ago
    Disposition.objects.bulk_create(
        Disposition(asset_id=uuid4(), action=action, row={}, disposed_at=at, **values) for _ in range(number)
    )


def test_departures_are_counted_by_hour_and_action(admin):
    for number, action in enumerate(Disposition.Action.values, 1):
        depart(number, number * 5 * HOUR, action)
        depart(number, number * 3 * DAY, action)
    asset, *_ = make_assets(3)
    dispositions.delete([asset.pk], actor=admin)
    rollups.refresh()
    assert departures() == in_ledger()
    dispositions.restore([Disposition.objects.get(asset_id=asset.pk).pk], actor=admin)
    rollups.refresh()
    assert sum(count for count, _ in stored(Kind.CAME_BACK, "hour").values()) == 1
    assert departures() == in_ledger(), "what came back has left nevertheless"


def test_only_what_is_new_in_the_ledger_is_counted_again():
    depart(3, 4 * HOUR)
    depart(2, 2 * DAY, "expired")
    rollups.refresh()
    first = departures()
    depart(5, 2 * DAY, "expired")  # as nothing does, so that a count of it would show
    depart(4, timedelta(0))
    newest = Disposition.objects.latest("disposed_at").disposed_at
    rollups.refresh()
    assert departures() == first | {(hour_of(newest), "deleted"): 4}
    rollups.refresh(anew=True)
    assert departures() == in_ledger()


def test_departures_are_counted_once_when_the_dashboard_moves_to_another_zone(settings):
    for minutes in range(0, 600, 10):
        depart(1, timedelta(minutes=minutes))
    rollups.refresh()
    settings.TIME_ZONE = "Asia/Kathmandu"
    rollups.refresh()
    assert sum(departures().values()) == 60
    assert {hour.minute for hour, _ in departures()} == {15}


def test_departures_that_are_committed_late_are_counted():
    rollups.refresh()
    depart(3, timedelta(minutes=40))
    rollups.refresh()
    assert sum(departures().values()) == 3


def test_days_long_past_are_forgotten(monkeypatch):
    depart(3, DAY)
    rollups.refresh()
    assert departures()
    later = timezone.now() + 9 * DAY
    monkeypatch.setattr(timezone, "now", lambda: later)
    rollups.refresh()
    assert departures() == {}


# --- When ------------------------------------------------------------------------


def test_a_refresh_waits_for_a_multiple_of_what_the_last_took():
    assert rollups.is_due(timezone.now()), "there is none yet"
    rollups.refresh()
    Refresh.objects.update(took=timedelta(seconds=20))
    as_of = Refresh.objects.get().as_of
    assert not rollups.is_due(as_of + timedelta(seconds=31 * 20 - 1))
    assert rollups.is_due(as_of + timedelta(seconds=31 * 20))
    assert rollups.refresh_if_due() is None


@pytest.mark.parametrize("step", ["_count_assets", "_count_departures", "_write", "_update"])
def test_one_that_dies_leaves_the_last_standing_and_is_not_begun_again_at_once(monkeypatch, step):
    make_assets(3)
    rollups.refresh()
    before = list(Rollup.objects.order_by("id").values())
    as_of = Refresh.objects.get().as_of
    make_assets(2)

    def die(*args):
        raise IntegrityError("the server has gone away")

    with monkeypatch.context() as patch:
        patch.setattr(rollups, step, die)
        with pytest.raises(IntegrityError):
            rollups.refresh()
    assert list(Rollup.objects.order_by("id").values()) == before
    refresh = Refresh.objects.get()
    assert refresh.as_of == as_of
    assert not rollups.is_due(refresh.started_at + timedelta(minutes=14))
    assert rollups.is_due(refresh.started_at + timedelta(minutes=15))
    rollups.refresh()
    assert stored(Kind.MODEL, "model_used") == {("sdxl",): (5, 5_000)}


def in_thread(work):
    def run():
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_does_nothing_and_readers_see_one_state(monkeypatch):
    make_assets(3)
    rollups.refresh()
    make_assets(2, model_used="flux")
    write, seen, second = rollups._write, [], []

    def sums():
        return [sum(count for count, _ in stored(kind, *COLUMNS[kind]).values()) for kind in COLUMNS]

    def look_meanwhile(*args):
        written = write(*args)
        thread = in_thread(lambda: (seen.append(sums()), second.append(rollups.refresh())))
        thread.join(20)
        return written

    monkeypatch.setattr(rollups, "_write", look_meanwhile)
    assert rollups.refresh().written
    assert seen == [[3, 3, 3]]
    assert second == [None]
    assert sums() == [5, 5, 5]


def test_the_command_counts_everything_and_tells_so():
    make_assets(3)
    out = StringIO()
    call_command("refresh_overview", json=True, stdout=out)
    told = loads(out.getvalue())
    assert told["rows"] == told["written"] == Rollup.objects.count()
    depart(2, 3 * DAY)
    call_command("refresh_overview", stdout=out)
    assert departures() == in_ledger()
    assert "1 of 8 numbers have changed" in out.getvalue()
