"""Runs programs side by side, starts again what dies, and stops all of them together.

Each program leads a session and process group of its own, so that Ctrl-C in the terminal
reaches the supervisor alone, and ending a program ends what it started too.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from workspace import process_guard
from workspace.process_guard import end_groups, signal_groups

# ruff: noqa: S603  (running the programs it is given is its purpose)

FIRST_DELAY, LONGEST_DELAY, HEALTHY_AFTER = 0.5, 15.0, 30.0  # seconds
TICK = 0.1
STDOUT, STDERR = 1, 2

_writing = threading.Lock()


@dataclass(frozen=True)
class Program:
    """A command to keep running; `env` is added to our own environment."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


def supervise(programs: Iterable[Program], *, ready: Callable[[], object] | None = None) -> int:
    """Run the programs until SIGINT, SIGTERM or SIGHUP; return 0 if all of them then ended in time.

    `ready` is called in a thread once they are started, and may wait until they answer.
    """
    received = _collect_signals()
    guard = subprocess.Popen(process_guard.SCRIPT, stdin=subprocess.PIPE, start_new_session=True)
    children: list[_Child] = []
    try:
        children += (_Child(program, guard.stdin.fileno()) for program in programs)
        if ready:
            threading.Thread(target=ready, daemon=True).start()
        while not received:
            time.sleep(TICK)
            for child in children:
                child.tend()
    finally:
        stopped = _stop(children, received)
        guard.communicate()
    return 0 if stopped else 1


class _Child:
    def __init__(self, program: Program, guard: int) -> None:
        self.program, self.guard = program, guard
        self.delay = 0.0
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [*process_guard.SCRIPT, str(self.guard), *self.program.argv],
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self.program.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[self.guard],
            start_new_session=True,
        )
        self.relays = [_relay(self.process.stdout, STDOUT), _relay(self.process.stderr, STDERR)]
        self.started_at, self.due_at = time.monotonic(), None

    def tend(self) -> None:
        if self.due_at is None:
            if self.process.poll() is not None:
                self.postpone()
        elif time.monotonic() >= self.due_at:
            self.forget()
            self.start()

    def postpone(self) -> None:
        signal_groups([self.process.pid], signal.SIGTERM)  # what it left must not hold its port
        ran = time.monotonic() - self.started_at
        is_first = not self.delay or ran >= HEALTHY_AFTER
        self.delay = FIRST_DELAY if is_first else min(self.delay * 2, LONGEST_DELAY)
        self.due_at = time.monotonic() + self.delay
        how = f"{self.program.name} ended with status {self.process.returncode} after {ran:.1f} s"
        _write(STDERR, f"{how}; starting it again in {self.delay:g} s\n".encode())

    def forget(self) -> None:
        signal_groups([self.process.pid], signal.SIGKILL)
        process_guard.announce(self.guard, -self.process.pid)


def _collect_signals() -> list[int]:
    received: list[int] = []
    for wanted in process_guard.STOP_SIGNALS:
        if wanted != signal.SIGHUP or signal.getsignal(wanted) != signal.SIG_IGN:  # nohup ignores it
            signal.signal(wanted, lambda number, frame: received.append(number))
    return received


def _stop(children: Sequence[_Child], received: Sequence[int]) -> bool:
    def is_impatient() -> bool:
        for child in children:
            child.process.poll()  # a dead process that is not collected still counts in its group
        return signal.SIGINT in received[1:]

    stopped = end_groups([child.process.pid for child in children], is_impatient)
    for child in children:
        child.process.wait()
        for relay in child.relays:
            relay.join(timeout=1)  # a daemon that it started may hold the pipe
    return stopped


# Output: passed on in whole lines, so that those of two programs do not mix


def _relay(source: IO[bytes], target: int) -> threading.Thread:
    relay = threading.Thread(target=_pass_on, args=(source, target), daemon=True)
    relay.start()
    return relay


def _pass_on(source: IO[bytes], target: int) -> None:
    with source:
        for line in source:
            _write(target, line)


def _write(target: int, line: bytes) -> None:
    with _writing, contextlib.suppress(OSError):  # nobody may be listening, and the programs go on
        while line:
            line = line[os.write(target, line) :]
