"""What a benchmark found, as a table for people and as JSON."""

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg


@dataclass(frozen=True)
class Finding:
    name: str
    unit: str
    ours: float
    against: float | None = None
    against_what: str = ""
    ratio: float | None = None  # of ours to the other
    bar: str = ""  # "" where there is none
    met: bool | None = None


def table(findings: Iterable[Finding]) -> str:
    lines = [("", "ours", "against", "ratio", "bar", "")]
    for each in findings:
        against = "" if each.against is None else f"{_number(each.against)} {each.unit} ({each.against_what})"
        ratio = "" if each.ratio is None else f"{each.ratio:.2f}"
        met = {None: "", True: "met", False: "MISSED"}[each.met]
        lines.append((each.name, f"{_number(each.ours)} {each.unit}", against, ratio, each.bar, met))
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _number(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 or number == int(number) else f"{number:.2f}"


def write(path: Path, findings: Iterable[Finding], *, rows: int, bare: psycopg.Connection) -> None:
    found = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "load": [round(load, 1) for load in os.getloadavg()],  # ours and that of others
            "python": platform.python_version(),
            "postgresql": bare.execute("SHOW server_version").fetchone()[0],
        },
        "rows": rows,
        "findings": [asdict(each) for each in findings],
    }
    path.write_text(json.dumps(found, indent=2) + "\n")
