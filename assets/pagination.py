"""Keyset pages: their cost does not grow with the table."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import chain, islice, repeat
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db.models import BooleanField, F, Func, Model, Q, QuerySet, TextField, Value
from django.db.models.expressions import OrderBy
from django.db.models.functions import Cast
from django.db.models.lookups import GreaterThan, LessThan
from django.utils import timezone

from assets import prepared
from assets.instants import EARLIEST, LATEST
from assets.windows import Estimate, estimate, first_rows, rows_passing


class CursorError(ValueError):
    """A cursor that was not made here; the message is for people."""


@dataclass(frozen=True)
class Order:
    """A column to sort by, the primary key breaking ties; rows without a value always come last."""

    column: str
    descending: bool = False


@dataclass(frozen=True)
class Sieve:
    """Conditions on the rows of a list that no index answers in its order.

    Both forms mean the same: `cheap` is quick to tell of a row that is at hand, `indexed` is as an index
    finds the rows of a whole table.
    """

    cheap: Q = field(default_factory=Q)
    indexed: Q = field(default_factory=Q)
    # How many rows pass, before any is tried.
    can_be_estimated: Callable[[], bool] = field(default=lambda: True, compare=False, repr=False)
    sorts_all: bool = False  # the list is so short that it is sorted, whatever index has its order
    estimates: list[Estimate] = field(default_factory=list, compare=False, repr=False)  # one, once asked for
    passed: list[int] = field(
        default_factory=list, compare=False, repr=False
    )  # of a list's first rows, once tried

    @classmethod
    def of(cls, condition: Q) -> "Sieve":
        return cls(condition, condition)

    def __and__(self, other: "Sieve") -> "Sieve":
        def can_be_estimated() -> bool:
            return self.can_be_estimated() and other.can_be_estimated()

        return Sieve(self.cheap & other.cheap, self.indexed & other.indexed, can_be_estimated)

    def __bool__(self) -> bool:
        return bool(self.cheap)

    def estimate(self, queryset: QuerySet) -> Estimate:
        """How many rows of the queryset's table pass, which is asked once."""
        if not self.estimates:
            self.estimates.append(estimate(queryset, self.indexed))
        return self.estimates[0]


class Cursor(NamedTuple):
    value: Any
    pk: Any


class Page(NamedTuple):
    """Rows in order, and the cursors of the pages around them: empty where there is none."""

    rows: list[Any]
    after: str
    before: str


def keyset_page(
    queryset: QuerySet,
    order: Order,
    *,
    sieve: Sieve | None = None,
    after: str = "",
    before: str = "",
    size: int,
) -> Page:
    """The `size` rows that follow the cursor `after`, or precede the cursor `before`.

    What an index answers in this order belongs to the queryset, all else to the sieve. Rows that arrive or
    leave meanwhile neither repeat nor hide others. Raises CursorError.
    """
    backward = bool(before)
    cursor = parse_cursor(queryset.model, order, before or after) if before or after else None
    found = list(islice(_walk(queryset, order, sieve, cursor, backward, size + 1), size + 1))
    more, rows = len(found) > size, found[:size]
    if backward:
        rows.reverse()
    has_next = backward or more
    has_previous = more if backward else bool(after)
    return Page(
        rows,
        after=cursor_of(rows[-1], order) if rows and has_next else "",
        before=cursor_of(rows[0], order) if rows and has_previous else "",
    )


def neighbours(
    queryset: QuerySet, order: Order, row: Model, *, sieve: Sieve | None = None
) -> tuple[Any | None, Any | None]:
    """The rows just before and just after a row, which itself need not be in the queryset."""
    cursor = _cursor_at(row, order, queryset.model)
    before, after = (
        next(_walk(queryset, order, sieve, cursor, backward, 1), None) for backward in (True, False)
    )
    return before, after


def walk(
    queryset: QuerySet, order: Order, columns: Iterable[Any], size: int, *, sieve: Sieve | None = None
) -> Iterator[list[list[Any]]]:
    """All rows in order, as lists of some columns, in chunks that are each a query of its own.

    Rows that arrive or leave meanwhile neither repeat nor hide others. Between chunks nothing is held: no
    transaction, no server-side cursor.
    """
    rows = queryset.values_list(_as_text(order), "pk", *columns)
    cursor = None
    while chunk := list(islice(_walk(rows, order, sieve, cursor, False, size), size)):
        yield [row for _, _, *row in chunk]
        if len(chunk) < size:
            return
        cursor = _cursor_at(chunk[-1], order, queryset.model)


def cursor_of(row: Any, order: Order) -> str:
    value = getattr(row, order.column)
    if value is None:
        text = "null"
    elif hasattr(value, "isoformat"):
        text = value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    else:
        text = str(value)
    return f"{text}~{row.pk}"


def _cursor_at(row: Any, order: Order, model: type[Model]) -> Cursor:
    """Of a row with names, or of one that begins with a cursor's values."""
    if hasattr(row, "pk"):
        return parse_cursor(model, order, cursor_of(row, order))
    return Cursor(*row[:2])


_BEYOND = {LATEST: "infinity", EARLIEST: "-infinity"}


def parse_cursor(model: type[Model], order: Order, text: str) -> Cursor:
    field = model._meta.get_field(order.column)
    value, _, pk = text.partition("~")
    try:
        is_null = value == "null" and field.null
        cleaned = None if is_null else field.clean(value, None)
        # What was read as an end of the calendar is beyond it.
        cleaned = _BEYOND.get(cleaned, cleaned)
        cursor = Cursor(cleaned, model._meta.pk.clean(pk, None))
    except ValidationError:
        cursor = None
    naive = cursor and isinstance(cursor.value, datetime) and timezone.is_naive(cursor.value)
    if cursor is None or naive:
        raise CursorError("This page link is not understood: start from the first page.")
    return cursor


def _walk(
    queryset: QuerySet, order: Order, sieve: Sieve | None, cursor: Cursor | None, backward: bool, limit: int
) -> Iterator[Any]:
    """Rows from the cursor on, in the walking direction.

    Rows with and without a value are walked one after the other, unless all are sorted: a single
    ORDER BY … NULLS LAST would need an index of its own beside the product's.
    """
    sieve = Sieve() if sieve is None else sieve
    looked_up_at_once = is_rare(queryset, sieve)
    if looked_up_at_once or sieve.sorts_all:
        rows = _with_any_value(queryset, order, cursor, backward)
        # Of a few rows and of all, a plan is good for any values, and may be kept.
        few = looked_up_at_once and prepared.rows(_looked_up(rows, sieve, limit, alone=True))
        yield from few if looked_up_at_once else rows[:limit]
        return
    fetch = iter if queryset.query.where else prepared.rows
    nullable = queryset.model._meta.get_field(order.column).null
    parts = [_with_value, _without_value] if nullable else [_with_value]
    if backward:
        parts.reverse()
    if cursor is not None and nullable and (cursor.value is None) != (parts[0] is _without_value):
        parts.pop(0)
    for part in parts:
        rows_from = partial(part, queryset, order, order.descending != backward)
        if not sieve:
            yield from fetch(rows_from(cursor)[:limit])
        else:
            left = yield from _probed(rows_from, order, sieve, cursor, limit)
            if left is not None and part is parts[-1]:
                yield from _looked_up_at_last(rows_from(left.cursor), sieve, left.limit)
            elif left is not None:
                rows = _with_any_value(queryset, order, left.cursor, backward)
                yield from _looked_up_at_last(rows, sieve, left.limit)
                return
        cursor = None  # it lies in the first part only


PROBED_FIRST, PROBED_NEXT = 3_000, 30_000  # rows, of which each is tried
WORTHWHILE = 500  # a list of which one row in so many passes is probed on


def is_rare(ordered: QuerySet, sieve: Sieve) -> bool:
    """Whether so few rows of the table pass that to look them up is quicker than to try any of the list."""
    return bool(sieve) and sieve.can_be_estimated() and sieve.estimate(ordered).are_few()


class _Left(NamedTuple):
    """Where in a list trying was given up, and how many rows are wanted yet."""

    cursor: Cursor | None
    limit: int


def _probed(
    rows_from: Callable[[Cursor | None], QuerySet],
    order: Order,
    sieve: Sieve,
    cursor: Cursor | None,
    limit: int,
) -> Generator[Any, None, _Left | None]:
    """The first of those rows of an ordered list that pass a sieve.

    Rows are tried one after the other: what is frequent is soon found. Where that finds little, all that
    pass are to be looked up by another index, and sorted: what is rare is soon sorted.
    """
    for window in chain([PROBED_FIRST], repeat(PROBED_NEXT)):
        ordered = rows_from(cursor)
        found = list(first_rows(ordered, window).filter(sieve.cheap)[:limit])
        yield from found
        limit -= len(found)
        if limit and cursor is None and not sieve.passed:
            sieve.passed.append(len(found))
        if not limit or not ordered.values_list("pk")[window - 1 : window]:
            return None
        if found:
            # Not from the last row tried: by now, others may have come or gone before it.
            cursor = _cursor_at(found[-1], order, ordered.model)
        is_frequent = len(found) * WORTHWHILE >= window
        # The first rows may have fewer than the others: assets of a job, which are alike, stand together.
        if not is_frequent and (window > PROBED_FIRST or not _are_soon_found(ordered, sieve, limit)):
            return _Left(cursor, limit)
    return None


def _are_soon_found(ordered: QuerySet, sieve: Sieve, wanted: int) -> bool:
    """Whether the next rows should do, and are fewer than all that pass, as the planner takes it."""
    passing = sieve.estimate(ordered).rows if sieve.can_be_estimated() else 0
    return wanted * estimate(ordered, Q()).rows < passing * min(PROBED_NEXT, passing) if passing else False


def _looked_up_at_last(ordered: QuerySet, sieve: Sieve, limit: int) -> QuerySet:
    alone = not sieve.can_be_estimated() and sieve.estimate(ordered).are_few()
    return _looked_up(ordered, sieve, limit, alone=alone)


def _looked_up(ordered: QuerySet, sieve: Sieve, limit: int, *, alone: bool) -> QuerySet:
    passing = rows_passing(ordered, sieve.indexed, alone=alone).order_by(*ordered.query.order_by)
    return ordered.filter(pk__in=passing.values("pk")[:limit])


def _with_value(queryset: QuerySet, order: Order, descending: bool, cursor: Cursor | None) -> QuerySet:
    if queryset.model._meta.get_field(order.column).null:
        queryset = queryset.filter(**{f"{order.column}__isnull": False})
    if cursor is not None:
        queryset = queryset.filter(_beyond(order, descending, cursor))
    return queryset.order_by(*_directed(descending, order.column, "pk"))


def _without_value(queryset: QuerySet, order: Order, descending: bool, cursor: Cursor | None) -> QuerySet:
    queryset = queryset.filter(**{f"{order.column}__isnull": True})
    if cursor is not None:
        queryset = queryset.filter(_beyond(order, descending, cursor))
    return queryset.order_by(*_directed(descending, "pk"))


def _with_any_value(queryset: QuerySet, order: Order, cursor: Cursor | None, backward: bool) -> QuerySet:
    """Those with a value and those without by one statement, which sorts them all."""
    descending = order.descending != backward
    if cursor is not None:
        beyond = _beyond(order, descending, cursor)
        if backward == (cursor.value is None):  # then all of the other kind are beyond it as well
            beyond |= Q(**{f"{order.column}__isnull": not backward})
        queryset = queryset.filter(beyond)
    column = OrderBy(
        F(order.column), descending, nulls_first=backward or None, nulls_last=not backward or None
    )
    return queryset.order_by(column, *_directed(descending, "pk"))


def _beyond(order: Order, descending: bool, cursor: Cursor) -> Q:
    if cursor.value is None:
        return Q(**{f"{order.column}__isnull": True, f"pk__{'lt' if descending else 'gt'}": cursor.pk})
    # One row comparison, which an index on both columns answers; spelt with OR, it would not.
    compare = LessThan if descending else GreaterThan
    return Q(compare(_Row(F(order.column), F("pk")), _Row(*map(Value, cursor))))


def _directed(descending: bool, *columns: str) -> list[str]:
    return [f"-{column}" if descending else column for column in columns]


def _as_text(order: Order) -> Cast:
    """A column may have times that no calendar of Python's has, such as infinity."""
    return Cast(order.column, TextField())


class _Row(Func):
    function = "ROW"
    output_field = BooleanField()  # rows have no field class; it is only ever compared
