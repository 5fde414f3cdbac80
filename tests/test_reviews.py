"""What reviewers find of assets: one verdict at a time, with everything that came before it kept."""

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection

from assets import dispositions
from assets.models import LibraryAsset, Review, Verdict
from assets.reviews import flagged, review, take_back, verdicts
from tests.factories import make_asset, make_assets

APPROVED, FLAGGED, WITHDRAWN = Verdict.APPROVED, Verdict.FLAGGED, Verdict.WITHDRAWN
with_rows = pytest.mark.django_db


def in_library(**values):
    user = make_asset().user
    defaults = {
        "id": uuid4(), "user": user, "asset_type": "image", "storage_path": f"{uuid4()}.png",
        "file_size_bytes": 1, "mime_type": "image/png", "original_prompt": "a fox", "model_used": "sdxl",
    }  # fmt: skip
    return LibraryAsset.objects.create(**defaults | values)


def standing(asset_id):
    found = verdicts([asset_id]).get(asset_id)
    return found and (found.verdict, found.note, found.reviewer.get_username())


def written(asset_id):
    """All that was ever said of an asset, the oldest first, and whether it still holds."""
    rows = Review.objects.filter(asset_id=asset_id).order_by("id")
    return [(row.verdict, row.note, row.superseded_at is None) for row in rows]


# --- Verdicts ------------------------------------------------------------------------


@with_rows
def test_the_last_verdict_holds_and_those_before_are_kept(reviewer, admin):
    pk = make_asset().pk
    review([pk], verdict=APPROVED, note="good hands", reviewer=reviewer)
    review([pk], verdict=FLAGGED, note="six fingers", reviewer=admin)
    assert standing(pk) == ("flagged", "six fingers", "admins")
    assert written(pk) == [("approved", "good hands", False), ("flagged", "six fingers", True)]
    assert list(flagged([pk])) == [pk]
    review([pk], verdict=WITHDRAWN, reviewer=admin)
    assert standing(pk) is None
    assert flagged([pk]) == {}
    assert written(pk)[-1] == ("withdrawn", "", True)


@with_rows
def test_what_is_said_already_is_not_said_again(reviewer):
    pk = make_asset().pk
    for _ in range(2):
        last = review([pk], verdict=APPROVED, note="good", reviewer=reviewer)
    assert (last.written, last.unchanged) == ([], [pk])
    assert len(review([pk], verdict=APPROVED, note="very good", reviewer=reviewer).written) == 1
    review([pk], verdict=WITHDRAWN, reviewer=reviewer)
    assert review([pk], verdict=WITHDRAWN, note="nothing to end", reviewer=reviewer).unchanged == [pk]
    assert [verdict for verdict, _, _ in written(pk)] == ["approved", "approved", "withdrawn"]


@with_rows
def test_many_are_reviewed_at_once_and_what_is_nowhere_is_gone(reviewer, django_assert_max_num_queries):
    live, saved, gone = [asset.pk for asset in make_assets(50)], in_library().pk, uuid4()
    left = make_asset().pk
    dispositions.delete([left], actor=reviewer)
    with django_assert_max_num_queries(8):
        result = review([*live, saved, gone, left, saved], verdict=FLAGGED, note="blurred", reviewer=reviewer)
    assert [each.asset_id for each in result.written] == [*live, saved]
    assert set(result.gone) == {gone, left}
    assert Review.objects.count() == 51
    assert set(flagged([*live, saved, gone])) == {*live, saved}


@with_rows
def test_a_verdict_is_taken_back_to_the_one_before_by_who_gave_it(reviewer, admin):
    first, second, third = (asset.pk for asset in make_assets(3))
    review([first], verdict=APPROVED, note="good", reviewer=admin)
    new = review([first, second, third], verdict=FLAGGED, note="bad", reviewer=reviewer).written
    review([third], verdict=APPROVED, note="no, good", reviewer=admin)
    numbers = new[0].pk, new[-1].pk
    assert take_back(*numbers, reviewer=admin) == []
    assert len(take_back(*numbers, reviewer=reviewer)) == 2
    assert standing(first) == ("approved", "good", "reviewers")
    assert standing(second) is None
    assert standing(third) == ("approved", "no, good", "admins")
    assert take_back(*numbers, reviewer=reviewer) == []


@pytest.mark.django_db(transaction=True)
def test_of_two_reviewers_at_one_instant_the_later_holds_and_both_are_kept():
    people = [User.objects.create(username=f"reviewer-{number}") for number in range(4)]
    pks = [asset.pk for asset in make_assets(8)]
    barrier = threading.Barrier(len(people), timeout=30)

    def act(number):
        try:
            connection.ensure_connection()
            barrier.wait()
            # Each in an order of its own, which would lock rows crosswise.
            order = pks if number % 2 else pks[::-1]
            return len(review(order, verdict=FLAGGED, note=str(number), reviewer=people[number]).written)
        finally:
            connection.close()

    for _ in range(10):
        Review.objects.all().delete()
        with ThreadPoolExecutor(len(people)) as pool:
            assert list(pool.map(act, range(len(people)))) == [len(pks)] * len(people)
        for pk in pks:
            rows = list(Review.objects.filter(asset_id=pk).order_by("id"))
            assert {row.note for row in rows} == {"0", "1", "2", "3"}
            assert [row.superseded_at is None for row in rows] == [False, False, False, True]
            assert [row.reviewed_at for row in rows] == sorted(row.reviewed_at for row in rows)
