"""How fast assets leave, stay and come back: python -m bench.lifecycle.

ROWS is the size of the largest operation, 1,000,000 unless it is said; all else shrinks with it.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg

from bench import keeping, leaving
from bench.ground import Stopwatch, connect, fill, reset
from bench.report import Finding, table, write


def main() -> int:
    rows = int(os.environ.get("ROWS") or 1_000_000)
    if rows < 10_000:
        sys.exit("ROWS is too small to measure anything: 10000 at least.")
    bare = connect()
    with Stopwatch() as watch:
        reset(bare)
        findings: list[Finding] = []
        path = Path(__file__).with_suffix(".json")
        for finding in _measure(bare, rows):
            findings.append(finding)
            write(path, findings, rows=rows, bare=bare)
        reset(bare)
    sys.stdout.write(f"\n{table(findings)}\n\nIn {watch.seconds / 60:.0f} minutes; also in {path}\n")
    sys.stdout.write(
        f"{os.cpu_count()} cores, load at the end {os.getloadavg()[2]:.1f}: times need a quiet machine.\n"
    )
    return 0


def _measure(bare: psycopg.Connection, rows: int) -> Iterator[Finding]:
    fill(bare, rows // 5, label="rows that stay")
    bare.execute("VACUUM ANALYZE workspace_assets")
    yield from leaving.against_bare(bare, rows // 10)
    yield from leaving.by_workers(bare, rows // 10)
    yield from keeping.saving(bare, rows // 2_000)
    yield from leaving.memory(bare, rows)
    yield from keeping.extending_and_undoing(bare, rows // 10)
    yield from keeping.purging(bare, rows // 50)


if __name__ == "__main__":
    sys.exit(main())
