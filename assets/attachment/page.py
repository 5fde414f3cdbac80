"""Verdicts as text for a terminal, as JSON, and as SQL for psql."""

import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from assets.attachment.verdicts import Finding, Level, Verdict, counted

Paint = Callable[[Level, str], str]

LABEL = 11  # characters, of the longest level
INDENT = " " * (LABEL + 4)
_WORST_FIRST = (Level.PROBLEM, Level.WARNING, Level.UNKNOWN, Level.NOTE, Level.OK)
_PLURALS = {Level.OK: "ok", Level.UNKNOWN: "cannot tell"}


def plain(text: str) -> str:
    """In one line, without what a terminal would act on: names in a database are anybody's."""
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()


def entry(verdict: Verdict, width: int, paint: Paint) -> str:
    label = paint(verdict.level, verdict.level.ljust(LABEL))
    lines = [f"  {label}  {_wrapped(verdict.so, width)}"]
    if verdict.do:
        lines.append(f"{INDENT}{_wrapped(f'→ {verdict.do}', width)}")
    lines += [f"{INDENT}  {plain(statement)}" for statement in verdict.sql]  # in one piece, to be copied
    return "\n".join(lines)


def _wrapped(text: str, width: int) -> str:
    hanging = "  " if text.startswith("→") else ""
    lines = textwrap.wrap(
        plain(text),
        width - len(INDENT),
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"\n{INDENT}".join(lines)


def summary(found: Iterable[Finding]) -> str:
    number = Counter(finding.verdict.level for finding in found)
    parts = [
        f"{number[level]} {_PLURALS[level]}" if level in _PLURALS else counted(number[level], level)
        for level in _WORST_FIRST
        if number[level]
    ]
    return ", ".join(parts)


def as_json(found: Iterable[Finding]) -> list[dict[str, Any]]:
    return [
        {
            "section": finding.section,
            "check": finding.check,
            "level": finding.verdict.level,
            "so": finding.verdict.so,
            "do": finding.verdict.do,
            "sql": list(finding.verdict.sql),
        }
        for finding in found
    ]


def as_sql(found: Iterable[Finding]) -> Iterator[str]:
    """What owners may run, under comments that say why."""
    for finding in found:
        verdict = finding.verdict
        if verdict.sql:
            yield f"-- {plain(verdict.so)}"
            yield f"-- {plain(verdict.do)}"
            yield from (plain(statement) for statement in verdict.sql)
            yield ""
