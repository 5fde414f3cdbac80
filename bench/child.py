"""Worker processes of a benchmark, each with connections of its own: python -m bench.child WHAT [USER].

A child says "ready" when it is connected, begins when a line comes in, and answers with one of JSON.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import connection

from assets import bulk, dispositions
from assets.models import Operation
from bench import ROOT
from bench.ground import Stopwatch, actor


class Child:
    """One such process, seen by who started it."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-m", "bench.child", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._process.stdout.readline()

    def begin(self) -> None:
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def is_running(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def answer(self) -> dict[str, Any]:
        said, _ = self._process.communicate()
        if self._process.returncode:
            sys.exit("A worker of the benchmark failed; what it said is above.")
        return json.loads(said)


def expire() -> dict[str, Any]:
    return dispositions.expire()._asdict()


def delete(user: str) -> dict[str, Any]:
    """Freezes a delete of a user's assets and brings it to its end."""
    by = actor()
    with Stopwatch() as freezing:
        operation = bulk.freeze_filter(f"user={user}", action=Operation.Action.DELETE, actor=by)
        bulk.advance(operation.pk)
    operation.refresh_from_db()
    bulk.start(operation, actor=by, confirmed=operation.total, options={})
    with Stopwatch() as running:
        bulk.advance(operation.pk)
    operation.refresh_from_db()
    return {
        "done": operation.done,
        "state": operation.state,
        "freezing": freezing.seconds,
        "running": running.seconds,
        "peak_kib": _peak_kib(),
    }


def _peak_kib() -> int:
    try:
        # Linux lets a process inherit its parent's ru_maxrss; this is its own.
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(status["VmHWM"].split()[0])
    except (OSError, KeyError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak


DOES: dict[str, Callable[..., dict[str, Any]]] = {"expire": expire, "delete": delete}


def main(what: str, *arguments: str) -> None:
    connection.ensure_connection()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(json.dumps(DOES[what](*arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
