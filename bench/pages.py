"""How fast pages are, beside bare SQL and the stock admin over the same table: python -m bench.pages.

ROWS is the size of the table, 1,000,000 unless it is said; ROUNDS is how often each request is made, at most.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from bench import DATA_DIR, ROOT, results
from bench.asking import Raw, Site
from bench.bars import LARGE, SMALL, judge
from bench.chart import draw
from bench.ground import Stopwatch, connect, count
from bench.load import load
from bench.measuring import Sides
from bench.requests import requests
from bench.serving import OURS, STOCK, memory_mib, refuse_taken_ports, served, visitor
from bench.table import build

ROUNDS = 60
LEAST_ROWS = 1_000
LEGEND = """\
p50 and p95 are of whole pages over HTTP. SQL is their time in the database, floor that of the same by hand,
ratio the one to the other; beyond SQL is the rest of the server's time. Faster is than the stock admin.
"""
LOAD, LOAD_OF_TRIAL = {"seconds": 6, "turns": 3}, {"seconds": 2, "turns": 1}


def main() -> int:
    rows = int(os.environ.get("ROWS") or SMALL)
    if rows < LEAST_ROWS:
        sys.exit(f"ROWS is too small to measure anything: {LEAST_ROWS} at least.")
    refuse_taken_ports()  # before a table is built, which may take long
    with Stopwatch() as watch:
        made_at = build(rows)
        with served() as server:
            run = _measure(rows, server)
    _keep(rows, {"table_made_at": made_at.isoformat(timespec="seconds"), **run})
    sys.stdout.write(f"In {watch.seconds / 60:.0f} minutes; times need a quiet machine.\n")
    return 0


def _measure(rows: int, server: subprocess.Popen) -> dict[str, Any]:
    admin = visitor("bench-admin", group="Admins")
    superuser = visitor("bench-superuser", is_superuser=True)
    bare = connect()
    sides = Sides(Site(OURS, admin.cookie), Raw(), Site(STOCK, superuser.cookie), bare)
    wanted = [sides.prepare(request, admin) for request in requests(rows)]
    sides.measure(wanted, int(os.environ.get("ROUNDS") or ROUNDS))
    return {
        "rows": count(bare, "SELECT count(*) FROM workspace_assets"),
        "machine": results.machine(bare),
        "requests": [measured.told() for measured in wanted],
        "load": load(OURS, admin.cookie, **(LOAD if rows >= SMALL else LOAD_OF_TRIAL)),
        "memory_mib": memory_mib(server),
    }


def _keep(rows: int, run: Mapping[str, Any]) -> None:
    """The two sizes that have bars are kept with the project; any other is a trial."""
    is_trial = rows not in (SMALL, LARGE)
    path = (DATA_DIR if is_trial else ROOT / "bench") / "results.json"
    runs = results.add(path, rows, run)
    bars = judge(runs)
    results.write(path, runs, bars)
    draw(DATA_DIR / "bench.svg" if is_trial else ROOT / "docs" / "bench.svg", runs)
    if not is_trial:
        results.tell_in_readme(ROOT / "README.md", runs, bars)
    sys.stdout.write(f"\n{rows:,} rows, milliseconds\n\n{results.table(run)}\n\n{LEGEND}\n")
    if is_trial:
        sys.stdout.write(f"This was a trial: the bars are meant for {SMALL:,} rows and {LARGE:,}.\n")
    sys.stdout.write(f"{results.told(bars)}\n\n")
    sys.stdout.write(f"Also in {path}. ")


if __name__ == "__main__":
    sys.exit(main())
