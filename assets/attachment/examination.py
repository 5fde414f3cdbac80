"""All that there is to know before the dashboard works on a place: of its database, then of its stores."""

from collections.abc import Generator, Iterator

from django.db import Error, connection

from assets.attachment import (
    exposure,
    follower,
    preparation,
    privileges,
    samples,
    server,
    stores,
    tables,
    writes,
)
from assets.attachment.verdicts import Finding, findings, is_read_only, note, problem, said

SECTIONS = {
    "Connection": (*server.CHECKS, *follower.CHECKS),
    "The product's tables": (*tables.CHECKS, *writes.CHECKS),
    "What this role may do": privileges.CHECKS,
    "Who else could read what the dashboard writes": exposure.CHECKS,
    "Still to be done": preparation.CHECKS,
}
STORES = "Stores"


def examine(*, probe: bool) -> Generator[Finding, None, None]:
    """Changes nothing in the database; in the stores, one file is written and removed."""
    taken: list[samples.Sample] = []
    yield from _of_the_database(taken)
    for verdict in stores.listings():
        yield Finding(STORES, "list", verdict)
    for sample in taken:
        yield Finding(STORES, "files_of_rows", samples.verdict(sample))
    yield from _of_the_probe(probe)


def _of_the_database(taken: list[samples.Sample]) -> Iterator[Finding]:
    if obstacle := server.connect():
        yield Finding("Connection", "connect", obstacle)
        return
    try:
        with server.read_only():
            for section, checks in SECTIONS.items():
                yield from findings(section, checks)
            taken += samples.take()
    except Error as error:
        yield Finding(
            "Connection", "connect", problem(f"The connection was lost: {said(error)}.", "Try again.")
        )
    finally:
        connection.close()  # the stores may take their time


def _of_the_probe(is_asked: bool) -> Iterator[Finding]:
    if is_asked and not is_read_only():
        for verdict in stores.probe():
            yield Finding(STORES, "probe", verdict)
        return
    why = "--no-probe" if not is_asked else "READ_ONLY=1"
    untried = note(f"Writing, copying, reading parts and removing files were not tried, because of {why}.")
    yield Finding(STORES, "probe", untried)
