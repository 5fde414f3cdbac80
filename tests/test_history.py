"""All that happened to an asset in one list, wherever the asset is by now."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db.models import ProtectedError
from django.urls import reverse
from django.utils import timezone

from assets import bulk, dispositions, history
from assets.models import Disposition, Extension, Operation, Review, Verdict, WorkspaceAsset
from assets.purge import purge
from assets.reviews import review
from tests import samples
from tests.factories import make_asset
from tests.html import Page

pytestmark = pytest.mark.django_db


@pytest.fixture
def asset(store_folders):
    """One with a file, that can be saved."""
    (store_folders / "workspace" / "0.png").write_bytes(samples.picture(".png", 8, 8))
    return make_asset(temp_storage_path="0.png", ago=timedelta(days=2))


def told(asset_id, **options):
    events = history.history(asset_id, **options).events
    return [(event.text.split(" to 2")[0], event.who) for event in events]


def entry_of(asset_id):
    return Disposition.objects.filter(asset_id=asset_id).latest("id")


def test_everything_is_told_newest_first(asset, reviewer, admin):
    pk = asset.pk
    WorkspaceAsset.objects.filter(pk=pk).update(expires_at=timezone.now() + timedelta(hours=1))
    dispositions.extend([pk], actor=admin)
    dispositions.undo_extensions({Extension.objects.get().pk: pk})
    review([pk], verdict=Verdict.FLAGGED, note="six fingers", reviewer=reviewer)
    review([pk], verdict=Verdict.WITHDRAWN, reviewer=admin)
    dispositions.delete([pk], actor=admin)
    dispositions.restore([entry_of(pk).pk], actor=admin)
    dispositions.promote([pk], actor=admin)
    dispositions.restore([entry_of(pk).pk], actor=reviewer)
    WorkspaceAsset.objects.filter(pk=pk).update(expires_at=timezone.now() - timedelta(hours=1))
    dispositions.expire()
    expected = [
        ("expired", ""),
        ("returned to the workspace", "reviewers"),
        ("saved", "admins"),
        ("restored", "admins"),
        ("deleted", "admins"),
        ("verdict withdrawn", "admins"),
        ("flagged", "reviewers"),
        ("extension undone", ""),
        ("extended", "admins"),
        ("created", ""),
    ]
    assert told(pk) == expected
    events = history.history(pk).events
    assert [event.at for event in events] == sorted((event.at for event in events), reverse=True)
    assert events[-1].at == asset.created_at
    assert events[6].note == "six fingers"
    assert [bool(event.entry_url) for event in events] == [True] * 5 + [False] * 5


def test_what_other_programs_did_and_what_became_of_files_is_told(asset, admin):
    pk = asset.pk
    WorkspaceAsset.objects.filter(pk=pk).delete()
    Disposition.objects.update(purge_after=timezone.now() - timedelta(hours=1))
    purge()
    assert told(pk)[:2] == [
        ("files purged from the workspace: 1 removed", ""),
        ("removed by another program", ""),
    ]


def test_what_an_operation_did_leads_to_it(asset, admin):
    operation = bulk.freeze_ticked([asset.pk], action=Operation.Action.DELETE, actor=admin)
    bulk.start(operation, actor=admin, confirmed=None, options={})
    bulk.advance(operation.pk)
    left = history.history(asset.pk).events[0]
    assert (left.text, left.who, left.operation_id) == ("deleted", "admins", operation.pk)


@pytest.mark.parametrize(
    "created",
    [
        "infinity",
        "-infinity",
        "10000-01-01",
        "9999-12-31T23:59:59-05:00",
        "0001-01-01T00:00:00+14:00",
        None,
    ],
    ids=range(6),
)
def test_a_time_that_no_calendar_has_is_left_out(client, asset, admin, created):
    dispositions.delete([asset.pk], actor=admin)
    row = entry_of(asset.pk).row | {"created_at": created}
    Disposition.objects.update(row=row)
    assert told(asset.pk) == [("deleted", "admins")]
    client.force_login(admin)
    assert client.get(reverse("removed_entry", args=[entry_of(asset.pk).pk])).status_code == 200


def test_the_live_row_says_when_it_was_made(asset):
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert told(asset.pk) == []
    assert [event.at for event in history.history(asset.pk, created_at=moment).events] == [moment]
    assert told(uuid4()) == []


def test_what_kinds_of_events_there_are_is_told_with_the_asset(asset, reviewer, admin):
    def kinds():
        return history.kinds_of(history.with_kinds(WorkspaceAsset.objects.all()).get(pk=asset.pk))

    assert kinds() == set()
    review([asset.pk], verdict=Verdict.WITHDRAWN, reviewer=reviewer)
    review([make_asset().pk], verdict=Verdict.APPROVED, reviewer=reviewer)
    assert kinds() == set(), "there was nothing to withdraw"
    review([asset.pk], verdict=Verdict.FLAGGED, reviewer=reviewer)
    assert kinds() == {"reviewed"}
    dispositions.delete([asset.pk], actor=admin)
    dispositions.restore([entry_of(asset.pk).pk], actor=admin)
    assert kinds() == {"reviewed", "left"}
    dispositions.extend([asset.pk], actor=admin)
    assert kinds() == {"reviewed", "left", "extended"} == set(history.KINDS)


def test_the_verdict_is_the_last_that_stands(asset, reviewer, admin):
    def verdict():
        found = history.history(asset.pk).verdict
        return found and (found.verdict, found.reviewer)

    assert verdict() is None
    review([asset.pk], verdict=Verdict.APPROVED, reviewer=admin)
    review([asset.pk], verdict=Verdict.FLAGGED, reviewer=reviewer)
    assert verdict() == ("flagged", reviewer)
    review([asset.pk], verdict=Verdict.WITHDRAWN, reviewer=admin)
    assert verdict() is None


def test_a_long_history_is_cut_and_takes_three_queries(
    asset, reviewer, django_assert_num_queries, monkeypatch
):
    monkeypatch.setattr(history, "MOST_EVENTS", 20)
    for number in range(30):
        review([asset.pk], verdict=Verdict.FLAGGED, note=str(number), reviewer=reviewer)
    for _ in range(3):
        dispositions.delete([asset.pk], actor=reviewer)
        dispositions.restore([entry_of(asset.pk).pk], actor=reviewer)
    with django_assert_num_queries(3):
        events = history.history(asset.pk, created_at=asset.created_at).events
    assert [event.note for event in events] == [""] * 6 + [str(number) for number in range(29, 15, -1)]


def test_it_is_on_the_page_of_the_asset_wherever_it_is(client, asset, admin):
    client.force_login(admin)
    review([asset.pk], verdict=Verdict.APPROVED, note="<b>good</b>", reviewer=admin)
    pages = [reverse("detail", args=[asset.pk])]
    shown = [Page(client.get(pages[0]))]
    dispositions.promote([asset.pk], actor=admin)
    for url in (
        reverse("library_detail", args=[asset.pk]),
        reverse("removed_entry", args=[entry_of(asset.pk).pk]),
    ):
        shown.append(Page(client.get(url)))
        assert "Saved by admins" in shown[-1].text
    for page in shown:
        assert "Approved by admins" in page.text
        assert "&lt;b&gt;good&lt;/b&gt;" in page.html
        assert "Created" in page.text
        assert str(asset.created_at.year) in page.html


def test_who_has_reviewed_stays_known(asset, reviewer):
    review([asset.pk], verdict=Verdict.APPROVED, reviewer=reviewer)
    with pytest.raises(ProtectedError):
        User.objects.get(pk=reviewer.pk).delete()
    assert Review.objects.count() == 1
