"""The workspace at a glance: what is there, what expires, what arrived and what left."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from assets import replica, tasks
from assets.access import VIEW_LEDGER, viewers_only
from assets.humanize import compact_text, instant_text, since_text, size_text
from assets.models import Disposition
from assets.models.upstream import usernames
from assets.overview import DAYS, Amount, Departures, Overview, Share, Span, overview, sum_of
from assets.views.cards import short_id

MOST_ROWS = 20  # of models
LATE = timedelta(hours=1)  # for which a count that is due may be under way

# --- The page ----------------------------------------------------------------------


@require_safe
@viewers_only
@replica.reads_from_replica
def overview_page(request: HttpRequest) -> HttpResponse:
    found = overview()
    if found is None:
        tasks.enqueue_first_refresh()
        return render(request, "assets/overview.html", {"overview": None})
    now = timezone.now()
    context = {
        "overview": found,
        "age": since_text(found.as_of, now),
        "as_of": instant_text(found.as_of),
        "is_late": found.due_at < now - LATE,
        "replica_trouble": replica.health.trouble,
        "figures": list(_figures(found)),
        "plots": _plots(found),
        "tables": _tables(found),
        "departures": _departures(found.departures) if request.user.has_perm(VIEW_LEDGER) else None,
    }
    return render(request, "assets/overview.html", context)


def gallery_url(**params: str | UUID) -> str:
    return f"{reverse('gallery')}?{urlencode(params)}"


def arrived_url(start: datetime, end: datetime) -> str:
    return gallery_url(created_after=_written(start), created_before=_written(end))


def expiring_url(start: datetime, end: datetime) -> str:
    return gallery_url(expires_after=_written(start), expires_before=_written(end), sort="expires_at")


def _written(instant: datetime) -> str:
    """With its offset, since an hour may come twice where clocks are changed."""
    return timezone.localtime(instant).isoformat(timespec="minutes").replace("+00:00", "Z")


# --- Figures -----------------------------------------------------------------------


class Figure(NamedTuple):
    label: str
    count: int
    size: str
    url: str


def _figures(found: Overview) -> Iterator[Figure]:
    yield _figure("In the workspace", found.total, reverse("gallery"))
    arrived, expiring = found.arrived_hours[-24:], found.expiring_hours[:24]
    yield _figure("Arrived in 24 h", _sum(arrived), arrived_url(arrived[0].start, arrived[-1].end))
    yield _figure("Expire in 24 h", _sum(expiring), expiring_url(expiring[0].start, expiring[-1].end))
    before = gallery_url(expires_before=_written(expiring[0].start), sort="expires_at")
    yield _figure("Expired, still here", found.expired, before)
    yield _figure("Never expire", found.never, gallery_url(expires="never"))


def _figure(label: str, amount: Amount, url: str) -> Figure:
    return Figure(label, amount.count, size_text(amount.bytes), url)


def _sum(spans: Iterable[Span]) -> Amount:
    return sum_of(span.amount for span in spans)


# --- Plots -------------------------------------------------------------------------

HEIGHT, TOP = 120, 22  # of the bars, and the room above them
LABEL_STEPS = 8  # bars that the name of a day is as wide as, where there is little room


class Bar(NamedTuple):
    """Lengths as SVG has them: across in percent, since a plot is as wide as its place."""

    left: str
    width: str
    middle: str
    top: float
    height: float
    when: str  # in full
    text: str  # all of it
    label: str  # under the axis
    is_minor: bool  # left out where there is little room
    count: int
    value: str  # above the bar
    size: str
    url: str


class Plot(NamedTuple):
    id: str
    title: str
    total: Amount
    lines: list[tuple[float, str]]
    bars: list[Bar]


def _plots(found: Overview) -> list[Plot]:
    wanted = (
        ("expiring-hours", "Expires by the hour", found.expiring_hours, expiring_url),
        ("expiring-days", "Expires by the day", found.expiring_days, expiring_url),
        ("arrived-hours", "Arrived by the hour", found.arrived_hours, arrived_url),
        ("arrived-days", "Arrived by the day", found.arrived_days, arrived_url),
    )
    return [_plot(*each) for each in wanted]


def _plot(name: str, title: str, spans: list[Span], url_of: Callable[[datetime, datetime], str]) -> Plot:
    most = max(span.amount.count for span in spans)
    has_scale = len(spans) > DAYS and most > 1  # where bars are so many that their numbers are not written
    top = round_up(most) if has_scale else most
    step = 100 / len(spans)
    bars = [_bar(span, number * step, step, top, url_of) for number, span in enumerate(spans)]
    lines = [(TOP, compact_text(top)), (TOP + HEIGHT / 2, compact_text(top / 2))] if has_scale else []
    return Plot(name, title, _sum(spans), lines, bars)


def _bar(span: Span, left: float, step: float, top: int, url_of: Callable[[datetime, datetime], str]) -> Bar:
    count = span.amount.count
    height = max(round(HEIGHT * count / top, 1), 1.5) if count else 0
    is_day = step > 100 / (DAYS + 1)
    label, is_minor = _day_label(span) if is_day else _hour_label(span)
    has_room = is_day or left + 3 * step < 100
    when, size = _when(span, is_day), size_text(span.amount.bytes)
    return Bar(
        left=f"{left + step * 0.12:.3f}%",
        width=f"{step * 0.76:.3f}%",
        middle=f"{left + step / 2 if is_day else left + step * 0.12:.3f}%",
        top=TOP + HEIGHT - height,
        height=height,
        when=when,
        text=f"{when}: {count:,} asset{'' if count == 1 else 's'}, {size}",
        label=label if has_room else "",
        is_minor=is_minor or (not is_day and left + LABEL_STEPS * step > 100),
        count=count,
        value=compact_text(count) if is_day else "",
        size=size,
        url=url_of(span.start, span.end) if count else "",
    )


def round_up(number: int) -> int:
    """The end of a scale, half of which is round too: 1, 2, 4, 6, 8, 10, 20 …"""
    power = 10 ** (len(str(number)) - 1)
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= number)


def _when(span: Span, is_day: bool) -> str:
    start, end = timezone.localtime(span.start), timezone.localtime(span.end)
    return f"{start:%a %d %b}" if is_day else f"{start:%a %d %b, %H:%M} to {end:%H:%M}"


def _day_label(span: Span) -> tuple[str, bool]:
    return f"{timezone.localtime(span.start):%a %d}", False


def _hour_label(span: Span) -> tuple[str, bool]:
    """Every sixth hour, and the day where it begins."""
    start = timezone.localtime(span.start)
    if start.hour == 0:
        return f"{start:%a %d}", False
    return (f"{start:%H:%M}", start.hour != 12) if start.hour % 6 == 0 else ("", False)


# --- Tables --------------------------------------------------------------------------


OTHERS = ("All others", "")  # a name without a link


class Line(NamedTuple):
    name: str
    url: str
    count: int
    percent: str  # of all assets
    width: str  # of the largest that is named
    size: str


class Table(NamedTuple):
    id: str
    title: str
    note: str
    lines: list[Line]


def _tables(found: Overview) -> list[Table]:
    names = usernames(share.key for share in found.users if share.key)
    models = _most(found.models)
    return [
        Table("types", "Types", "", _lines(found.types, found.total, _type_name)),
        Table("models", "Models", f"{found.models_count:,} in all", _lines(models, found.total, _model_name)),
        Table(
            "users",
            "Users with the most assets",
            f"{found.users_count:,} in all",
            _lines(found.users, found.total, lambda key: (names.get(key) or short_id(key), _user_url(key))),
        ),
    ]


def _most(shares: list[Share]) -> list[Share]:
    known = [share for share in shares if share.key is not None]
    others = sum_of(share.amount for share in shares if share not in known[:MOST_ROWS])
    return [*known[:MOST_ROWS], *([Share(None, others)] if others.count else [])]


def _lines(
    shares: Iterable[Share], total: Amount, name_of: Callable[[str | UUID], tuple[str, str]]
) -> list[Line]:
    shares = list(shares)
    largest = max((share.amount.count for share in shares if share.key is not None), default=1)
    return [
        _line(share, total, largest, *(name_of(share.key) if share.key is not None else OTHERS))
        for share in shares
    ]


def _line(share: Share, total: Amount, largest: int, name: str, url: str) -> Line:
    count = share.amount.count
    percent = 100 * count / total.count
    return Line(
        name,
        url,
        count,
        f"{percent:.1f}%" if percent >= 0.1 else "<0.1%",
        f"{100 * count / largest:.1f}%" if share.key is not None else "0%",
        size_text(share.amount.bytes),
    )


def _type_name(kind: str) -> tuple[str, str]:
    return _named(kind, "type")


def _model_name(model: str) -> tuple[str, str]:
    return _named(model, "model")


def _named(value: str, parameter: str) -> tuple[str, str]:
    """An empty one cannot be filtered by, and has no link."""
    return (value, gallery_url(**{parameter: value})) if value.strip() else ("(empty)", "")


def _user_url(user_id: UUID) -> str:
    return gallery_url(user=user_id)


# --- Departures ------------------------------------------------------------------------

HEADINGS = {Disposition.Action.EXTERNAL: "by others"}
CAME_BACK = "came back"


class Cell(NamedTuple):
    count: int
    width: str
    url: str


class Day(NamedTuple):
    name: str
    cells: list[Cell]


class DepartureTable(NamedTuple):
    columns: list[str]
    days: list[Day]


def _departures(found: list[Departures]) -> DepartureTable:
    most = max([1, *(count for day in found for count in (*day.by_action.values(), day.came_back))])
    columns = [*(HEADINGS.get(action, action.label) for action in Disposition.Action), CAME_BACK]
    return DepartureTable(columns, [Day(_day_name(day), list(_cells(day, most))) for day in found])


def _day_name(day: Departures) -> str:
    return f"{timezone.localtime(day.start):%a %d %b}"


def _cells(day: Departures, most: int) -> Iterator[Cell]:
    for action in Disposition.Action.values:
        count = day.by_action.get(action, 0)
        yield _cell(day, count, most, action=action)
    yield _cell(day, day.came_back, most, state="restored")


def _cell(day: Departures, count: int, most: int, **filters: str) -> Cell:
    bounds = {"disposed_after": _written(day.start), "disposed_before": _written(day.end)}
    url = f"{reverse('removed')}?{urlencode(filters | bounds)}"
    return Cell(count, f"{100 * count / most:.1f}%", url if count else "")
