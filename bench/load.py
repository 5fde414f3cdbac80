"""Requests a second at eight connections: by wrk, or without it by threads of a child process."""

import re
import shutil
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from typing import Any

from bench.serving import HOST

CONNECTIONS = 8
FIRST, BARE = "/assets/", "/bench/bare/"


def load(port: int, cookie: str, *, seconds: int, turns: int) -> dict[str, Any]:
    """The first page, and the same from memory, one after the other; the best turn of each counts."""
    tool = "wrk" if shutil.which("wrk") else "python"
    press = _by_wrk if tool == "wrk" else _by_threads
    found: dict[str, list[tuple[float, int]]] = {FIRST: [], BARE: []}
    for _ in range(turns):
        for path, pressed in found.items():
            pressed.append(press(port, path, cookie, seconds))
    rates = {path: max(rate for rate, _ in pressed) for path, pressed in found.items()}
    return {
        "tool": tool,
        "connections": CONNECTIONS,
        "first_page": rates[FIRST],
        "bare": rates[BARE],
        "errors": sum(errors for pressed in found.values() for _, errors in pressed),
    }


def _by_wrk(port: int, path: str, cookie: str, seconds: int) -> tuple[float, int]:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s"]
    command += ["-H", f"Cookie: {cookie}", f"http://{HOST}:{port}{path}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    rate = re.search(r"Requests/sec:\s*([\d.]+)", said)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    errors = int(refused[1]) if refused else 0
    return float(rate[1]) if rate else 0.0, errors + (sum(map(int, broken.groups())) if broken else 0)


def _by_threads(port: int, path: str, cookie: str, seconds: int) -> tuple[float, int]:
    command = [sys.executable, "-m", "bench.load", str(port), path, cookie, str(seconds)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 (our own module)
    rate, errors = said.split()
    return float(rate), int(errors)


def _press(port: int, path: str, cookie: str, seconds: float) -> tuple[float, int]:
    statuses: list[int] = []
    deadline = time.monotonic() + seconds

    def ask() -> None:
        connection = HTTPConnection(HOST, port, timeout=10)
        while time.monotonic() < deadline:
            try:
                connection.request("GET", path, headers={"Cookie": cookie})
                response = connection.getresponse()
                response.read()
                statuses.append(response.status)
            except OSError:
                connection.close()
                statuses.append(0)

    threads = [threading.Thread(target=ask) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses.count(200) / seconds, len(statuses) - statuses.count(200)


if __name__ == "__main__":
    port, path, cookie, seconds = sys.argv[1:]
    sys.stdout.write(" ".join(map(str, _press(int(port), path, cookie, float(seconds)))))
