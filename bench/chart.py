"""The chart of the README: three sides of each request on a logarithmic scale, told apart by shape too."""

import math
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from bench.asking import PATIENCE
from bench.bars import LARGE, SMALL, Runs
from bench.results import number

LEFT, RIGHT, TOP, ROW, BOTTOM = 176, 24, 64, 22, 40
WIDTH = 860
LEAST, MOST = 0.1, 100_000.0  # milliseconds
STYLE = """
  .page { fill: #ffffff } text { font: 12px system-ui, sans-serif; fill: #1c2230 } .quiet { fill: #5b6475 }
  .grid { stroke: #dfe3ea } .span { stroke: #b9c1ce } .floor { fill: #5b6475 } .ours { fill: #1f63d6 }
  .stock { fill: #b4540a }
  @media (prefers-color-scheme: dark) {
    .page { fill: #12161d } text { fill: #e8ecf3 } .quiet { fill: #9aa5b8 } .grid { stroke: #29313d }
    .span { stroke: #475263 } .floor { fill: #9aa5b8 } .ours { fill: #7fb0ff } .stock { fill: #ffab66 }
  }
"""
SIDES = {"floor": "bare SQL", "ours": "this dashboard, over HTTP", "stock": "stock Django admin, over HTTP"}


def draw(path: Path, runs: Runs) -> None:
    rows = max(map(int, runs), key=lambda size: (size in (SMALL, LARGE), size))
    path.write_text(_svg(rows, runs[str(rows)]["requests"]))


def _svg(rows: int, requests: list[Mapping[str, Any]]) -> str:
    height = TOP + ROW * len(requests) + BOTTOM
    title = f"Median milliseconds of each request at {rows:,} rows"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        f' aria-label="{title}">',
        f"<title>{title}</title><style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
        f'<text x="16" y="24" font-weight="600">{title}, logarithmic</text>',
        *_legend(),
        *_grid(height),
    ]
    for index, request in enumerate(requests):
        parts += _row(request, TOP + ROW * index + ROW / 2)
    return "\n".join([*parts, "</svg>\n"])


def _legend() -> Iterator[str]:
    for side, label in SIDES.items():
        x = {"floor": 24, "ours": 112, "stock": 302}[side]
        yield f'{_mark(side, x, 44)}<text class="quiet" x="{x + 10}" y="48">{label}</text>'


def _grid(height: int) -> Iterator[str]:
    for power in range(round(math.log10(LEAST)), round(math.log10(MOST)) + 1):
        x = _x(10.0**power)
        label = f"{10.0**power:g} ms" if power < 3 else f"{10 ** (power - 3)} s"
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP}" y2="{height - BOTTOM}"/>'
        yield f'<text class="quiet" x="{x}" y="{height - BOTTOM + 18}" text-anchor="middle">{label}</text>'


def _row(request: Mapping[str, Any], y: float) -> Iterator[str]:
    """A line from the least to the most of the three, and their marks on it."""
    yield f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(request["name"], quote=False)}</text>'
    times = {side: request[side]["p50"] for side in SIDES if request[side]}
    if request["stock_is_too_slow"]:
        times["stock"] = PATIENCE * 1000
    places = [_x(time) for time in times.values()]
    yield f'<line class="span" x1="{min(places)}" x2="{max(places)}" y1="{y}" y2="{y}"/>'
    for side, time in times.items():
        is_least = side == "stock" and request["stock_is_too_slow"]
        said = f"more than {PATIENCE} s" if is_least else f"{number(time)} ms"
        yield f"<g><title>{SIDES[side]}: {escape(said)}</title>{_mark(side, _x(time), y)}</g>"


def _x(milliseconds: float) -> float:
    share = math.log10(max(milliseconds, LEAST) / LEAST) / math.log10(MOST / LEAST)
    return round(LEFT + min(share, 1) * (WIDTH - LEFT - RIGHT), 1)


def _mark(side: str, x: float, y: float) -> str:
    if side == "ours":
        return f'<circle class="ours" cx="{x}" cy="{y}" r="5"/>'
    if side == "floor":
        return f'<rect class="floor" x="{x - 1.5}" y="{y - 6}" width="3" height="12"/>'
    return f'<path class="stock" d="M{x} {y - 6}l6 6-6 6-6-6z"/>'
