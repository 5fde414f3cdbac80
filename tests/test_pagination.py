"""Keyset pages walk every row once, whatever arrives or leaves meanwhile."""

import random
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from assets.counts import Capped, Count, capped_counts
from assets.models import WorkspaceAsset
from assets.pagination import CursorError, Order, cursor_of, keyset_page, neighbours, parse_cursor
from tests.factories import GONE, make_asset, make_assets

pytestmark = pytest.mark.django_db

NEWEST = Order("created_at", descending=True)
ORDERS = [NEWEST, Order("created_at"), Order("expires_at"), Order("file_size_bytes", descending=True)]
ALL = WorkspaceAsset.objects.all()


def expected(order):
    """The order in plain Python: by value, ties by id, rows without a value last."""
    rows = list(ALL.all())
    valued = [row for row in rows if getattr(row, order.column) is not None]
    empty = [row for row in rows if getattr(row, order.column) is None]
    valued.sort(key=lambda row: (getattr(row, order.column), row.id), reverse=order.descending)
    empty.sort(key=lambda row: row.id, reverse=order.descending)
    return [row.id for row in valued + empty]


def walk(order, size, *, backward=False):
    """The ids of each page; backward from the last."""
    pages, cursor = [], ""
    if backward:
        cursor = cursor_of(last_of(order), order)
    while True:
        page = keyset_page(ALL.all(), order, size=size, **{"before" if backward else "after": cursor})
        pages.append([row.id for row in page.rows])
        cursor = page.before if backward else page.after
        if not cursor:
            return pages


def last_of(order):
    return ALL.get(id=expected(order)[-1])


@pytest.fixture
def mixed():
    """Ties, and rows with no time, sprinkled."""
    chance = random.Random(3)
    now = timezone.now()
    for _ in range(41):
        moment = now - timedelta(hours=chance.randrange(6))
        make_asset(
            created_at=chance.choice([moment, moment, moment, None]),
            expires_at=chance.choice([moment, None]),
            file_size_bytes=chance.randrange(4),
        )


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [1, 7, 40, 41, 100])
def test_pages_forward_hold_every_row_once_in_order(mixed, order, size):
    pages = walk(order, size)
    assert [pk for page in pages for pk in page] == expected(order)
    assert all(len(page) == size for page in pages[:-1])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [1, 7, 40])
def test_pages_backward_hold_every_row_once_in_order(mixed, order, size):
    pages = walk(order, size, backward=True)
    assert [pk for page in reversed(pages) for pk in page] == expected(order)[:-1]


@pytest.mark.parametrize("order", ORDERS)
def test_the_previous_page_of_the_next_page_is_the_page(mixed, order):
    first = keyset_page(ALL.all(), order, size=10)
    second = keyset_page(ALL.all(), order, after=first.after, size=10)
    assert keyset_page(ALL.all(), order, before=second.before, size=10).rows == first.rows


def test_ends_have_no_link_beyond_them():
    make_assets(4)
    first = keyset_page(ALL.all(), NEWEST, size=2)
    second = keyset_page(ALL.all(), NEWEST, after=first.after, size=2)
    assert (first.before, second.after) == ("", "")
    back = keyset_page(ALL.all(), NEWEST, before=second.before, size=2)
    assert back.before == ""
    assert back.after


def test_rows_that_arrive_and_leave_while_paging_neither_repeat_nor_hide_others():
    chance = random.Random(11)
    start = timezone.now() - timedelta(days=1)
    for second in range(60):
        make_asset(created_at=start + timedelta(seconds=second))
    there_all_along = set(ALL.values_list("id", flat=True))
    seen, cursor = [], ""
    while True:
        page = keyset_page(ALL.all(), NEWEST, after=cursor, size=7)
        seen += [row.id for row in page.rows]
        cursor = page.after
        if not cursor:
            break
        make_assets(5)  # newer than everything
        make_asset(created_at=start + timedelta(seconds=chance.randrange(60), milliseconds=1))  # in between
        leaving = page.rows[-1].id if chance.random() < 0.5 else chance.choice(sorted(there_all_along))
        ALL.filter(id=leaving).delete()  # now and then the very row that the cursor names
        there_all_along.discard(leaving)
    assert len(seen) == len(set(seen))
    assert there_all_along <= set(seen)


@pytest.mark.parametrize("order", ORDERS)
def test_neighbours_are_the_rows_around(mixed, order):
    ids = expected(order)
    for index in (0, 1, 20, 39, 40):
        before, after = neighbours(ALL.all(), order, ALL.get(id=ids[index]))
        assert (before.id if before else None) == (ids[index - 1] if index else None)
        assert (after.id if after else None) == (ids[index + 1] if index < 40 else None)


@pytest.mark.parametrize("order", ORDERS)
def test_cursor_survives_its_writing(mixed, order):
    for row in ALL.all():
        assert parse_cursor(WorkspaceAsset, order, cursor_of(row, order)) == (
            getattr(row, order.column),
            row.id,
        )


@pytest.mark.parametrize("text", ["", "~", "x~y", f"~{GONE}", f"2026-01-01~{GONE}", f"{10**30}~{GONE}"])
def test_cursor_of_others_is_refused(text):
    with pytest.raises(CursorError):
        parse_cursor(WorkspaceAsset, NEWEST, text)


def test_a_page_is_one_query_and_compares_rows():
    make_assets(5)
    page = keyset_page(ALL.all(), NEWEST, size=2)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        keyset_page(ALL.all(), NEWEST, after=page.after, size=2)
    assert len(queries) == 1
    assert "ROW(" in queries[0]["sql"]
    assert "OFFSET" not in queries[0]["sql"]


# --- Counts ----------------------------------------------------------------------


def test_counts_stop_at_their_cap():
    make_assets(5)
    counts = capped_counts(
        {"below": Capped(ALL.all(), 10), "at": Capped(ALL.all(), 5), "above": Capped(ALL.all(), 4)}
    )
    assert [counts[key][""] for key in ("below", "at", "above")] == [
        Count(5),
        Count(5),
        Count(4, capped=True),
    ]
    assert str(Count(10_000, capped=True)) == "10,000+"


def test_counts_by_value_are_one_statement():
    make_assets(3, model_used="flux")
    make_assets(2, model_used="it's 100% %s")
    values = ["flux", "it's 100% %s", "none"]
    with CaptureQueriesContext(connection) as queries:
        counts = capped_counts(
            {
                "model": Capped(ALL.all(), 2, "model_used", values),
                "nothing": Capped(ALL.none(), 5),
                "all": Capped(ALL.filter(original_prompt__contains="%"), 5),
            }
        )
    assert len(queries) == 1
    assert list(counts["model"].values()) == [Count(2, capped=True), Count(2), Count(0)]
    assert counts["nothing"] == counts["all"] == {"": Count(0)}
