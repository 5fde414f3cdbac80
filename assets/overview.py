"""Statistics of the whole table and of the ledger, from what was counted in the background."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import add
from typing import NamedTuple
from uuid import UUID

from django.db.models import Subquery

from assets.models import Refresh, Rollup
from assets.models.upstream import WorkspaceAssetQuerySet
from assets.rollups import HOUR, days_after, midnight_of

Kind = Rollup.Kind
HOURS, DAYS = 48, 7
MOST_COUNTED = 10_000  # of one user's assets, while a page waits


@dataclass(frozen=True)
class Amount:
    count: int = 0
    bytes: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.count + other.count, self.bytes + other.bytes)


@dataclass(frozen=True)
class Span:
    """What happens in an hour or a day, from its start and before its end."""

    start: datetime
    end: datetime
    amount: Amount


@dataclass(frozen=True)
class Share:
    """What one of the types, models or users has; without a key, all that are not told apart."""

    key: str | UUID | None
    amount: Amount


@dataclass(frozen=True)
class Departures:
    """Of a day: how many left by each action, and how many of them have come back."""

    start: datetime
    end: datetime
    by_action: dict[str, int]
    came_back: int


@dataclass(frozen=True)
class Overview:
    as_of: datetime
    due_at: datetime  # when it is counted again
    total: Amount
    expired: Amount  # before the hour of the count
    never: Amount
    users_count: int
    models_count: int
    types: list[Share]
    models: list[Share]
    users: list[Share]
    expiring_hours: list[Span]
    expiring_days: list[Span]
    arrived_hours: list[Span]
    arrived_days: list[Span]
    departures: list[Departures]


@dataclass(frozen=True)
class UserTotals:
    """What a user has: counted just now, or as of the last count; capped, it is more than the total."""

    total: Amount
    types: list[Share]
    as_of: datetime | None = None
    is_capped: bool = False


class Row(NamedTuple):
    kind: str
    hour: datetime | None
    asset_type: str | None
    model_used: str | None
    user_id: UUID | None
    action: str | None
    count: int
    bytes: int


def overview() -> Overview | None:
    """None until the first count has come to its end. All numbers are of one count: rows of one statement."""
    refresh = Refresh.objects.exclude(as_of=None).first()
    if refresh is None:
        return None
    rows = defaultdict(list)
    for values in Rollup.objects.exclude(kind=Kind.USER).values_list(*Row._fields):
        row = Row(*values)
        rows[row.kind].append(row)
    return _overview(refresh, rows)


def _overview(refresh: Refresh, rows: dict[str, list[Row]]) -> Overview:
    as_of = refresh.as_of
    today = midnight_of(as_of)
    hour = as_of - (as_of - today) % HOUR
    arrived, expires = _by_hour(rows[Kind.ARRIVED]), _by_hour(rows[Kind.EXPIRES])
    past = sum_of(amount for start, amount in expires.items() if start < hour)
    return Overview(
        as_of=as_of,
        due_at=refresh.due_at,
        total=_total(rows[Kind.MODEL]),
        expired=past + _total(rows[Kind.EXPIRED_BEFORE]),
        never=_total(rows[Kind.EXPIRES_NEVER]),
        users_count=_total(rows[Kind.USERS]).count,
        models_count=_total(rows[Kind.MODELS]).count,
        types=_shares(rows[Kind.MODEL], lambda row: row.asset_type),
        models=_shares(rows[Kind.MODEL], lambda row: row.model_used),
        users=_shares(rows[Kind.TOP_USER], lambda row: row.user_id),
        expiring_hours=_hours(expires, hour),
        expiring_days=_days(expires, today),
        arrived_hours=_hours(arrived, hour - (HOURS - 1) * HOUR),
        arrived_days=_days(arrived, days_after(today, 1 - DAYS)),
        departures=_departures(rows, days_after(today, 1 - DAYS)),
    )


# --- One user ----------------------------------------------------------------------


def user_totals(user_id: UUID, assets: WorkspaceAssetQuerySet, *, exact: bool = False) -> UserTotals:
    if exact:
        return _totals([tuple(row.values()) for row in assets.totals_by_type()])
    counted = _as_counted(user_id)
    if counted and counted.total.count > MOST_COUNTED:
        return counted
    first = _totals(assets.totals_of_first(MOST_COUNTED + 1))
    if first.total.count <= MOST_COUNTED:
        return first
    return counted or UserTotals(Amount(MOST_COUNTED), [], is_capped=True)


def _totals(rows: Iterable[tuple[str | None, int, int]], as_of: datetime | None = None) -> UserTotals:
    types = [Share(key, Amount(count, int(size))) for key, count, size in rows]
    return UserTotals(sum_of(share.amount for share in types), types, as_of)


def _as_counted(user_id: UUID) -> UserTotals | None:
    as_of = Subquery(Refresh.objects.values("as_of")[:1])
    rows = Rollup.objects.filter(kind=Kind.USER, user_id=user_id).order_by("asset_type")
    found = list(rows.values_list("asset_type", "count", "bytes", as_of))
    return _totals([row[:3] for row in found], found[0][3]) if found else None


# --- Sums ------------------------------------------------------------------------


def sum_of(amounts: Iterable[Amount]) -> Amount:
    return reduce(add, amounts, Amount())


def _total(rows: Iterable[Row]) -> Amount:
    return sum_of(_amount(row) for row in rows)


def _amount(row: Row) -> Amount:
    return Amount(row.count, int(row.bytes))


def _by_hour(rows: Iterable[Row]) -> dict[datetime, Amount]:
    found: dict[datetime, Amount] = defaultdict(Amount)
    for row in rows:
        found[row.hour] += _amount(row)
    return found


def _hours(found: dict[datetime, Amount], first: datetime) -> list[Span]:
    by_hour: dict[datetime, Amount] = defaultdict(Amount)
    for start, amount in found.items():
        by_hour[start - (start - first) % HOUR] += amount
    starts = [first + number * HOUR for number in range(HOURS)]
    return [Span(start, start + HOUR, by_hour.get(start, Amount())) for start in starts]


def _days(found: dict[datetime, Amount], first: datetime) -> list[Span]:
    return [Span(start, end, _within(found, start, end)) for start, end in _bounds(first)]


def _bounds(first: datetime) -> list[tuple[datetime, datetime]]:
    return [(days_after(first, number), days_after(first, number + 1)) for number in range(DAYS)]


def _within(found: dict[datetime, Amount], start: datetime, end: datetime) -> Amount:
    return sum_of(amount for hour, amount in found.items() if start <= hour < end)


def _shares(rows: Iterable[Row], key_of: Callable[[Row], str | UUID | None]) -> list[Share]:
    """The largest first, and last all others."""
    found: dict[str | UUID | None, Amount] = defaultdict(Amount)
    for row in rows:
        found[key_of(row)] += _amount(row)
    shares = [Share(key, amount) for key, amount in found.items()]
    return sorted(shares, key=lambda share: (share.key is None, -share.amount.count, str(share.key)))


def _departures(rows: dict[str, list[Row]], first: datetime) -> list[Departures]:
    """Day by day, the latest first."""
    by_action = defaultdict(list)
    for row in rows[Kind.LEFT]:
        by_action[row.action].append(row)
    left = {action: _by_hour(found) for action, found in by_action.items()}
    back = _by_hour(rows[Kind.CAME_BACK])
    return [
        Departures(
            start,
            end,
            {action: _within(found, start, end).count for action, found in left.items()},
            _within(back, start, end).count,
        )
        for start, end in reversed(_bounds(first))
    ]
