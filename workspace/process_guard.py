"""Ends process groups, above all when the process that watched over them is gone.

The guard reads the groups from a pipe that only the supervisor holds open. When the pipe
closes it ends those that are left, so even SIGKILL to the supervisor leaves nothing running.
Each program starts as this script too, announces its group, and then becomes itself.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence

GRACE = 10.0  # seconds between SIGTERM and SIGKILL
TICK = 0.1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SCRIPT = (sys.executable, "-I", __file__)


def end_groups(groups: Iterable[int], is_impatient: Callable[[], bool] = lambda: False) -> bool:
    """End the process groups; return whether SIGTERM was enough."""
    living, deadline = signal_groups(groups, signal.SIGTERM), time.monotonic() + GRACE
    while living and not is_impatient() and time.monotonic() < deadline:
        time.sleep(TICK)
        living = signal_groups(living, 0)
    return not signal_groups(living, signal.SIGKILL)


def signal_groups(groups: Iterable[int], number: int) -> list[int]:
    """Send a signal and return the groups that were there to receive it."""
    return [group for group in groups if _reaches(group, number)]


def _reaches(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS forbids it for a group of dead processes
        return False
    return True


def announce(pipe: int, group: int) -> None:
    """Tell the guard of a group, or with a minus sign that a group has ended."""
    with contextlib.suppress(BrokenPipeError):  # without a guard the programs run nevertheless
        os.write(pipe, b"%d\n" % group)


def guard(lines: Iterable[str]) -> None:
    """Collect the groups until the pipe closes, then end them."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in lines:
        group = int(line)
        groups.add(group) if group > 0 else groups.discard(-group)
    end_groups(groups)


def become(pipe: int, argv: Sequence[str]) -> None:
    """Announce this process and turn it into the program."""
    announce(pipe, os.getpid())  # done here because the supervisor might be killed before it could
    os.close(pipe)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the program would inherit that
    os.execvp(argv[0], argv)  # noqa: S606


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:]) if len(sys.argv) > 1 else guard(sys.stdin)
