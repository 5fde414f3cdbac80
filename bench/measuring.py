"""Asks each side each request in turn, round by round, so that noise hits all of them alike."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench import floors
from bench.asking import Answer, NoAnswerError, Raw, Site, Statement, stop_stock
from bench.ground import Progress
from bench.requests import Request
from bench.serving import Visitor

ENOUGH = {"ours": 12.0, "floor": 12.0, "stock": 6.0}  # seconds for one request, all rounds together
MOVED = 2  # rows may expire between two looks at what expires next


class NotTheSameError(Exception):
    """A page that shows other rows than its floor, which then is no floor of it."""


@dataclass
class Measured:
    request: Request
    floor: list[Statement]
    ours: list[Answer] = field(default_factory=list)
    floors: list[Answer] = field(default_factory=list)
    stock: list[Answer] = field(default_factory=list)
    stock_is_too_slow: bool = False

    def told(self) -> dict[str, Any]:
        """Milliseconds, for people and for the file."""
        ours = self.ours
        return {
            "name": self.request.name,
            "path": self.request.path,
            "touches_more": self.request.touches_more,
            "ours": _percentiles([answer.ms for answer in ours]),
            "sql": _percentiles([answer.sql_ms for answer in ours]),
            "beyond_sql": _percentiles([answer.server_ms - answer.sql_ms for answer in ours]),
            "statements": min(answer.statements for answer in ours),
            "shows": len(_shown(ours[-1])),
            "gave_up": sum(answer.has_given_up for answer in ours),
            "floor": _percentiles([answer.ms for answer in self.floors]),
            "stock": _percentiles([answer.ms for answer in self.stock]),
            "stock_is_too_slow": self.stock_is_too_slow,
        }


def _percentiles(times: Sequence[float]) -> dict[str, float] | None:
    if not times:
        return None
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return {"p50": round(statistics.median(ordered), 2), "p95": round(p95, 2), "times": len(ordered)}


class Sides:
    def __init__(self, ours: Site, raw: Raw, stock: Site, bare: psycopg.Connection) -> None:
        self.ours, self.raw, self.stock, self.bare = ours, raw, stock, bare

    def prepare(self, request: Request, visitor: Visitor) -> Measured:
        """The statements of its floor, once it is sure that page and floor show the same."""
        floor = floors.of_person(visitor.session_key, visitor.user_id)
        if request.lists:
            rows = self.raw.rows(request.lists)
            floor += [request.lists, *floors.around_cards(rows[:-1] or rows)]
            _check_same(request, rows, self.ours.ask(request.path))
        floor += request.beside
        self.raw.ask(floor)
        return Measured(request, floor)

    def measure(self, wanted: Sequence[Measured], rounds: int) -> None:
        progress = Progress("rounds", rounds)
        for done in range(1, rounds + 1):
            for measured in wanted:
                self._ask_all(measured)
            progress.show(done)

    def _ask_all(self, measured: Measured) -> None:
        if _spent(measured.ours) < ENOUGH["ours"]:
            measured.ours.append(self.ours.ask(measured.request.path))
        if _spent(measured.floors) < ENOUGH["floor"]:
            measured.floors.append(self.raw.ask(measured.floor))
        is_stock_asked = measured.request.stock and not measured.stock_is_too_slow
        if is_stock_asked and _spent(measured.stock) < ENOUGH["stock"]:
            try:
                measured.stock.append(self.stock.ask(measured.request.stock))
            except NoAnswerError:
                measured.stock_is_too_slow = True
                stop_stock(self.bare)


def _spent(answers: Sequence[Answer]) -> float:
    return sum(answer.ms for answer in answers) / 1000


def _check_same(request: Request, rows: Sequence[tuple], answer: Answer) -> None:
    expected = {str(row[0]) for row in rows}
    shown = _shown(answer)
    if answer.has_given_up or 'id="result_list"' in answer.body:  # the admin tells no ids in this way
        return
    if len(shown - expected) > MOVED or len(shown) < len(expected) - 1 - MOVED:
        raise NotTheSameError(
            f"{request.name}: {request.path} shows {len(shown)} assets,"
            f" of which {len(shown & expected)} are among the {len(expected)} of its floor"
        )


def _shown(answer: Answer) -> set[str]:
    """The ids of the assets that a page of ours shows."""
    return set(re.findall(r'data-asset-id="([0-9a-f-]{36})"', answer.body))
