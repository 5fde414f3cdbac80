"""A bar for whoever watches a command on a terminal; elsewhere nothing."""

import sys
from typing import TextIO

WIDTH = 32


class Bar:
    def __init__(self, unit: str, stream: TextIO | None = None) -> None:
        self.unit = unit
        self.stream = stream or sys.stderr
        self.is_shown = self.stream.isatty()

    def show(self, done: int, total: int, unit: str = "") -> None:
        """So many of so many; of an unknown total where that is zero."""
        if not self.is_shown:
            return
        filled = "█" * (WIDTH * min(done, total) // total) if total else ""
        of = f" of {total:,}" if total else ""
        self.stream.write(f"\r  {filled.ljust(WIDTH, '░')} {done:,}{of} {unit or self.unit}\x1b[K")
        self.stream.flush()

    def end(self) -> None:
        if self.is_shown:
            self.stream.write("\n")
            self.stream.flush()
