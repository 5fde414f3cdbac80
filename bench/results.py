"""What was measured: a file that keeps one run of each size, a table for people, a section of the README."""

import json
import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from bench.asking import PATIENCE
from bench.bars import LARGE, SMALL, Bar, Runs, times_faster

FORM = 2  # of what is told of a run: to be raised with it
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def add(path: Path, rows: int, run: Mapping[str, Any]) -> dict[str, Any]:
    """The runs of the file that tell as much, with this one in the place of an earlier one of its size."""
    runs = json.loads(path.read_text())["runs"] if path.exists() else {}
    alike = {size: known for size, known in runs.items() if known.get("form") == FORM}
    both = {**alike, str(rows): {"form": FORM, **run}}
    return dict(sorted(both.items(), key=lambda item: int(item[0])))


def write(path: Path, runs: Runs, bars: Iterable[Bar]) -> None:
    found = {"runs": runs, "bars": [bar._asdict() for bar in bars]}
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def machine(bare: psycopg.Connection) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],  # ours and that of others
        "python": platform.python_version(),
        "postgresql": bare.execute("SHOW server_version").fetchone()[0].split()[0],
    }


# --- For people ------------------------------------------------------------------


def table(run: Mapping[str, Any]) -> str:
    """One line for each request; milliseconds."""
    lines = [("", "p50", "p95", "SQL", "floor", "ratio", "beyond SQL", "statements", "stock p50", "faster")]
    lines += [_line(request) for request in run["requests"]]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in lines
    )


def _line(request: Mapping[str, Any]) -> tuple[str, ...]:
    sql, floor = request["sql"]["p50"], request["floor"]["p50"]
    return (
        request["name"],
        number(request["ours"]["p50"]),
        number(request["ours"]["p95"]),
        number(sql),
        number(floor),
        f"{sql / floor:.1f}",
        number(request["beyond_sql"]["p50"]),
        str(request["statements"]),
        *_beside(request),
    )


def _beside(request: Mapping[str, Any]) -> tuple[str, str]:
    """The stock admin's time, and how many times faster ours is."""
    if request["stock_is_too_slow"]:
        return f"> {PATIENCE} s", f"> {times_faster(request)[0]:,.0f} ×"
    if not request["stock"]:
        return "", ""
    return number(request["stock"]["p50"]), f"{times_faster(request)[0]:,.0f} ×"


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def told(bars: Iterable[Bar]) -> str:
    said = {None: "not measured", True: "met", False: "MISSED"}
    return "\n".join(f"{said[bar.met].ljust(12)}  {bar.name}: {bar.detail}" for bar in bars)


# --- The README --------------------------------------------------------------------


def tell_in_readme(readme: Path, runs: Runs, bars: Iterable[Bar]) -> None:
    text = readme.read_text()
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if found and ended:
        readme.write_text(f"{before}{BEGIN}\n{_section(runs, list(bars))}\n{END}{after}")


def _section(runs: Runs, bars: list[Bar]) -> str:
    sizes = [size for size in map(str, (SMALL, LARGE)) if size in runs] or list(runs)
    latest = runs[sizes[-1]]["machine"]
    made = datetime.fromisoformat(latest["at"])
    missed = [bar for bar in bars if bar.met is False]
    parts = [
        f"Measured on {made.day} {made:%B %Y} on {latest['cores']} cores with PostgreSQL"
        f" {latest['postgresql']} and Python {latest['python']}. Milliseconds over HTTP, p50 and in brackets"
        " p95; SQL is that of the page, beside its floor: the same by hand, as prepared statements.",
        "\n".join(_markdown(runs, sizes)),
        f"{len(bars) - len(missed)} of {len(bars)} bars are met."
        if missed
        else f"All of {len(bars)} bars are met.",
        "\n".join(f"- {_mark(bar)} {bar.name}: {bar.detail}" for bar in bars),
    ]
    return "\n\n".join(parts)


def _mark(bar: Bar) -> str:
    return {None: "not measured:", True: "met:", False: "**missed**:"}[bar.met]


def _markdown(runs: Runs, sizes: list[str]) -> list[str]:
    """A table with the sizes side by side, and the other sides at the largest."""
    heads = [f"{int(size) / 1_000_000:g} M rows" for size in sizes]
    last = heads[-1]
    head = ["", *heads, f"SQL, {last}", f"floor, {last}", f"stock admin, {last}", "faster"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    found = [{request["name"]: request for request in runs[size]["requests"]} for size in sizes]
    for name, request in found[-1].items():
        ours = [_both(each[name]["ours"]) if name in each else "" for each in found]
        sides = [number(request["sql"]["p50"]), number(request["floor"]["p50"]), *_beside(request)]
        lines.append([name, *ours, *sides])
    return [f"| {' | '.join(line)} |" for line in lines]


def _both(times: Mapping[str, float]) -> str:
    return f"{number(times['p50'])} ({number(times['p95'])})"
