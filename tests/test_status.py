"""The line that says what expires, what the clean-ups did, and what needs a person."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.utils import timezone

from assets import clean_up, dispositions
from assets.models import CleanUp, Disposition, Operation
from assets.views.status import status
from tests.factories import make_asset, make_assets
from tests.html import Page

pytestmark = pytest.mark.django_db

TROUBLE = 'class="trouble"'


def ran(kind, *, ago=None, began=None, **values):
    """As a run of a clean-up leaves its note; `ago` is None for one that has not ended."""
    now = timezone.now()
    finished_at = None if ago is None else now - ago
    started_at = now - (began or ago)
    CleanUp.objects.create(kind=kind, started_at=started_at, finished_at=finished_at, **values)


ANYBODY = User(is_superuser=True)


def troubles():
    cache.clear()
    return [note.text for note in status(ANYBODY).notes if note.is_trouble]


def notes():
    cache.clear()
    return [note.text for note in status(ANYBODY).notes]


@pytest.mark.parametrize("url", ["/assets/", "/removed/"])
def test_the_line_counts_what_expires_within_a_day_and_leads_there(fetch, url):
    assert "0 expire within 24 h" in fetch(url).text
    cache.clear()
    make_asset(expires_in=timedelta(hours=23))
    assert "1 expires within 24 h" in fetch(url).text
    cache.clear()
    make_assets(1, expires_in=timedelta(hours=2))
    for expires_in in (timedelta(hours=25), timedelta(hours=-1)):
        make_asset(expires_in=expires_in)
    make_asset(expires_at=None)
    shown = fetch(url)
    assert "2 expire within 24 h" in shown.text
    assert 'href="/assets/?expires=24h&amp;sort=expires_at"' in shown.html
    assert fetch("/assets/?expires=24h&sort=expires_at").total == 2


def test_before_the_first_clean_up_the_line_says_so(fetch):
    shown = fetch("/assets/")
    assert "No clean-up has run yet" in shown.text
    assert TROUBLE not in shown.html


def test_a_clean_up_says_when_it_was_and_what_it_did(fetch):
    make_assets(3, expires_in=timedelta(seconds=-1))
    clean_up.expire()
    shown = fetch("/assets/")
    assert "Clean-up under 1 min ago: 3 expired" in shown.text
    assert TROUBLE not in shown.html


@pytest.mark.parametrize(("minutes", "is_late"), [(14, False), (16, True), (3 * 24 * 60, True)])
def test_a_late_clean_up_is_trouble(fetch, minutes, is_late):
    ran("expire", ago=timedelta(minutes=minutes, seconds=1))
    when = "3 d" if minutes > 60 else f"{minutes} min"
    shown = fetch("/removed/")
    assert (f"The last clean-up was {when} ago: is the worker running?" in shown.text) == is_late
    assert (TROUBLE in shown.html) == is_late


def test_a_clean_up_under_way_is_neither_late_nor_the_first(fetch):
    ran("expire", began=timedelta(minutes=2), done=5)
    assert notes() == ["A clean-up is under way"]
    assert troubles() == []


def test_a_clean_up_that_never_ended_is_trouble():
    ran("expire", began=timedelta(minutes=16))
    assert troubles() == ["The last clean-up began 16 min ago and has not ended: is the worker running?"]


def test_clean_ups_that_break_off_again_and_again_are_trouble():
    ran("expire", ago=timedelta(minutes=20), began=timedelta(minutes=1))
    ran("purge", ago=timedelta(minutes=30), began=timedelta(minutes=1))
    assert troubles() == [
        "The last clean-up was 20 min ago: is the worker running?",
        "The last removal of files was 30 min ago: is the worker running?",
    ]


def test_a_purge_alone_that_is_late_is_trouble():
    ran("expire", ago=timedelta(minutes=1))
    ran("purge", ago=timedelta(hours=2))
    assert troubles() == ["The last removal of files was 2 h ago: is the worker running?"]


@pytest.mark.parametrize("minutes", [14, 40, 59])
def test_a_long_removal_of_files_is_under_way_and_not_late(minutes):
    ran("expire", ago=timedelta(minutes=1))
    ran("purge", ago=timedelta(minutes=minutes + 2), began=timedelta(minutes=minutes, seconds=1))
    assert troubles() == []
    assert f"files are being removed since {minutes} min" in notes()


@pytest.mark.parametrize("kind", ["expire", "purge"])
def test_a_run_that_takes_for_ever_is_trouble(kind):
    ran("expire", ago=timedelta(minutes=1)) if kind == "purge" else None
    ran(kind, ago=timedelta(minutes=62), began=timedelta(minutes=61))
    [text] = troubles()
    assert text.endswith("was 1 h ago: is the worker running?")


def test_a_long_clean_up_is_under_way_and_not_late():
    ran("expire", ago=timedelta(minutes=25), began=timedelta(minutes=20))
    assert notes() == ["A clean-up is under way"]
    assert troubles() == []


def test_expired_assets_that_would_not_leave_are_trouble():
    ran("expire", ago=timedelta(minutes=1), done=7, failed=1_200)
    assert notes()[0] == "Clean-up 1 min ago: 7 expired"
    assert troubles() == ["1,200 expired assets could not be removed"]
    CleanUp.objects.update(failed=1)
    assert troubles() == ["1 expired asset could not be removed"]


def test_the_last_purge_that_had_anything_to_do_is_told():
    ran("expire", ago=timedelta(minutes=1))
    ran("purge", ago=timedelta(0), busy_at=timezone.now() - timedelta(hours=2, minutes=1), busy_done=1_500)
    assert "files of 1,500 assets removed 2 h ago" in notes()
    CleanUp.objects.filter(kind="purge").update(busy_done=1)
    assert "files of 1 asset removed 2 h ago" in notes()
    for nothing in ({"busy_done": 0}, {"busy_at": None}):
        CleanUp.objects.filter(kind="purge").update(**nothing)
        assert not any("files of" in note for note in notes())


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "The files of 1 removed asset could not be removed"),
        (3, "The files of 3 removed assets could not be removed"),
    ],
)
def test_files_that_could_not_be_removed_are_trouble_and_lead_to_them(fetch, admin, number, text):
    assets = make_assets(number + 1)
    dispositions.delete([asset.pk for asset in assets], actor=admin)
    bad = Disposition.objects.exclude(asset_id=assets[-1].pk)
    bad.update(last_error="Permission denied", attempts=1, purge_after=timezone.now() - timedelta(hours=1))
    shown = fetch("/assets/")
    assert text in shown.text
    assert '<span class="trouble"><a href="/removed/?state=failing">' in shown.html
    assert fetch("/removed/?state=failing").total == number
    bad.update(purged_at=timezone.now(), last_error="")
    assert troubles() == []


@pytest.mark.parametrize("state", Operation.State.values)
def test_operations_under_way_are_told(fetch, admin, state):
    Operation.objects.create(action="delete", state=state, actor=admin)
    is_under_way = state in Operation.UNDER_WAY
    shown = fetch("/assets/")
    assert ("1 operation under way" in shown.text) == is_under_way
    Operation.objects.create(action="extend", state=state, actor=admin)
    assert ("2 operations under way" in notes()) == is_under_way


def test_operations_with_failures_are_trouble_for_a_week_and_lead_to_them(fetch, admin):
    now = timezone.now()
    for state in Operation.State.values:
        for ago, failed in [(timedelta(days=6), 2), (timedelta(days=8), 2), (timedelta(days=1), 0)]:
            Operation.objects.create(
                action="delete", state=state, actor=admin, failed=failed, finished_at=now - ago
            )
    shown = fetch("/assets/")
    link = '<span class="trouble"><a href="/operations/?state=failed">2 operations with failures</a></span>'
    assert link in shown.html
    Operation.objects.filter(state="cancelled").update(failed=0)
    assert troubles() == ["1 operation with failures"]
    Operation.objects.update(failed=0)
    assert troubles() == []


def test_the_line_is_not_looked_up_for_every_page(fetch, django_assert_num_queries):
    fetch("/assets/")
    with django_assert_num_queries(0):
        status(ANYBODY)


SAID = {
    "view_workspaceasset": {"0 expire within 24 h", "Clean-up under 1 min ago"},
    "view_disposition": {"The files of 1 removed asset could not be", "files of 7 assets removed"},
    "view_operation": {"1 operation under way", "1 operation with failures"},
}


@pytest.mark.parametrize(
    ("url", "permissions"),
    [
        ("/assets/", ["view_workspaceasset"]),
        ("/removed/", ["view_disposition"]),
        ("/assets/", ["view_workspaceasset", "view_operation"]),
    ],
)
def test_the_line_tells_nobody_what_they_may_not_see(client, fetch, admin, url, permissions):
    now = timezone.now()
    ran("expire", ago=timedelta(0))
    ran("purge", ago=timedelta(0), busy_at=now, busy_done=7)
    dispositions.delete([make_asset().pk], actor=admin)
    Disposition.objects.update(last_error="Permission denied", purge_after=now)
    for state, failed in (("running", 0), ("finished", 1)):
        Operation.objects.create(action="delete", state=state, actor=admin, failed=failed, finished_at=now)
    every = set().union(*SAID.values())
    whole = fetch(url).text  # as it is kept for whoever asks next
    assert {text for text in every if text in whole} == every
    looker = User.objects.create_user("looker")
    looker.user_permissions.add(*Permission.objects.filter(codename__in=permissions))
    client.force_login(looker)
    shown = Page(client.get(url)).text
    assert {text for text in every if text in shown} == set().union(*(SAID[name] for name in permissions))
