"""The lanes of a large operation: each a range of its assets' ids, for a worker of its own."""

from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from assets.models import Operation
from assets.outcomes import rows

LANES = 12  # for three workers, of four places each
SHARED_ABOVE = 1_000  # assets; fewer are done sooner by one worker than by many

# Equal shares, whatever the ids are made of.
_BOUNDS = """
    SELECT percentile_disc(%(shares)s::float8[]) WITHIN GROUP (ORDER BY asset_id)
    FROM assets_operationitem WHERE operation_id = %(operation)s
"""


class Lane(NamedTuple):
    number: int = 0
    after: UUID | None = None
    up_to: UUID | None = None

    def of(self, items: QuerySet) -> QuerySet:
        """Those of its assets."""
        bounds = {"asset_id__gt": self.after, "asset_id__lte": self.up_to}
        return items.filter(**{name: bound for name, bound in bounds.items() if bound})


WHOLE = Lane()


def bounds_of(operation: Operation, verbs: dict[str, int]) -> list[str]:
    """Where the lanes of a frozen selection meet; with two verbs, one must not overtake the other."""
    if len(verbs) != 1 or sum(verbs.values()) <= SHARED_ABOVE:
        return []
    shares = [number / LANES for number in range(1, LANES)]
    [[bounds]] = rows(_BOUNDS, {"operation": operation.pk, "shares": shares})
    return list(map(str, bounds))


def lanes_of(operation: Operation) -> list[Lane]:
    """Only what runs has several: what is prepared or undone is seen to by one worker."""
    if operation.state != Operation.State.RUNNING:
        return [WHOLE]
    edges = [None, *map(UUID, operation.summary.get("bounds", [])), None]
    return [Lane(number, *edges) for number, edges in enumerate(pairwise(edges))]
