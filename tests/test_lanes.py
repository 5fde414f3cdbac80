"""How a large operation is shared out, and that an undo is not overtaken by a slow worker of another lane."""

from uuid import UUID

import pytest
from django.contrib.auth.models import User

from assets import bulk, dispositions, lanes
from assets.lanes import LANES, WHOLE, lanes_of
from assets.models import Disposition, WorkspaceAsset
from tests.factories import make_asset, make_assets, make_job

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _shared(monkeypatch):
    monkeypatch.setattr(lanes, "SHARED_ABOVE", 3)


@pytest.fixture
def person(db):
    return User.objects.create_user("person")


@pytest.fixture
def begin(person):
    def start(operation):
        bulk.start(operation, actor=person, confirmed=operation.total, options={})
        return operation

    return start


@pytest.fixture
def freeze(person):
    return lambda assets: bulk.freeze_ticked([asset.pk for asset in assets], action="delete", actor=person)


def make_assets_in_a_row(number):
    """With ids that begin alike, as those that are made of the time do."""
    user = make_asset().user
    return [make_asset(user, id=UUID(int=(0x0190 << 112) + index)) for index in range(number)]


@pytest.mark.parametrize("make", [make_assets, make_assets_in_a_row])
def test_each_asset_is_in_one_lane_and_lanes_are_of_equal_size(begin, freeze, make):
    operation = begin(freeze(make(5 * LANES)))
    shares = [list(lane.of(operation.items.all())) for lane in lanes_of(operation)]
    assert [len(share) for share in shares] == [5] * LANES
    assert {item.asset_id for share in shares for item in share} == {
        item.asset_id for item in operation.items.all()
    }


def test_lanes_bring_it_to_its_end_in_any_order(begin, freeze):
    operation = begin(freeze(make_assets(2 * LANES)))
    for lane in reversed(range(LANES)):
        operation.refresh_from_db()
        assert operation.state == "running"
        assert bulk.advance(operation.pk, lane)
    operation.refresh_from_db()
    assert (operation.state, operation.done) == ("finished", 2 * LANES)
    assert bulk.advance(operation.pk, LANES)


def test_a_small_one_is_not_shared(begin, freeze):
    assert lanes_of(begin(freeze(make_assets(3)))) == [WHOLE]


def test_what_is_to_be_kept_is_not_overtaken_by_what_is_to_be_deleted(begin, person):
    job = make_job()
    assets = make_assets(10, job.user, job)
    operation = bulk.freeze_job(job.pk, keep=[assets[0].pk], actor=person)
    assert lanes_of(begin(operation)) == [WHOLE]


def test_only_what_runs_is_shared(begin, freeze, person):
    operation = begin(freeze(make_assets(2 * LANES)))
    bulk.advance(operation.pk)
    bulk.undo(operation, actor=person)
    assert lanes_of(operation) == [WHOLE]
    assert bulk.advance(operation.pk, lane=1)
    assert not WorkspaceAsset.objects.exists()
    bulk.advance(operation.pk, lane=0)
    assert WorkspaceAsset.objects.count() == 2 * LANES


def test_a_worker_that_is_still_at_it_when_the_undo_begins_changes_nothing(
    begin, freeze, person, monkeypatch
):
    operation = begin(freeze(make_assets(2 * LANES)))
    bulk.advance(operation.pk, lane=0)
    plainly = dispositions.delete

    def undone_meanwhile(ids, **options):
        bulk.cancel(operation)
        bulk.undo(operation, actor=person)
        bulk.advance(operation.pk, lane=0)
        return plainly(ids, **options)

    monkeypatch.setattr(dispositions, "delete", undone_meanwhile)
    assert bulk.advance(operation.pk, lane=1)
    operation.refresh_from_db()
    assert (operation.state, operation.undone, operation.done, operation.error) == ("undone", 2, 0, "")
    assert WorkspaceAsset.objects.count() == 2 * LANES
    assert Disposition.objects.count() == 2
