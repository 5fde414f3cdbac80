"""What became of each asset of an operation, and the sums of that; in the transaction that did it."""

from collections import Counter

from django.db.models import F, QuerySet

from assets.models import Operation
from assets.outcomes import Outcomes, State, rows


class Superseded(Exception):  # noqa: N818 (nothing went wrong)
    """The operation is being undone, or was: what is not done by now is not done any more."""


# Only of what is not settled yet: whoever comes second, after an interruption, changes nothing.
_SETTLE = """
    WITH outcome AS (
        SELECT * FROM unnest(%(ids)s::uuid[], %(states)s::text[], %(reasons)s::text[])
            AS row (id, state, reason)
    ), settled AS (
        UPDATE assets_operationitem AS item SET state = outcome.state, reason = outcome.reason
        FROM outcome
        WHERE item.operation_id = %(operation)s AND item.asset_id = outcome.id AND item.state = %(before)s
        RETURNING item.state
    )
    SELECT state, count(*) FROM settled GROUP BY state
"""


def record(operation: Operation, outcomes: Outcomes) -> None:
    """Raises Superseded once the operation is being undone, by which all that goes with it is rolled back."""
    undone = [Operation.State.UNDOING, Operation.State.UNDONE]
    settled = _settle(operation, outcomes, before=State.PENDING)
    if not _add(settled, Operation.objects.filter(pk=operation.pk).exclude(state__in=undone)):
        raise Superseded


def record_undone(operation: Operation, outcomes: Outcomes) -> None:
    """An asset that cannot be undone stays done, and says why."""
    undone = {
        pk: outcome._replace(state=State.UNDONE)
        if outcome.state == State.DONE
        else outcome._replace(state=State.DONE, reason=f"Not undone: {outcome.reason}")
        for pk, outcome in outcomes.items()
    }
    settled = _settle(operation, undone, before=State.DONE)
    settled[State.DONE] -= settled.total()
    _add(settled, Operation.objects.filter(pk=operation.pk))


def _settle(operation: Operation, outcomes: Outcomes, *, before: State) -> Counter[str]:
    params = {
        "operation": operation.pk,
        "ids": list(outcomes),
        "states": [outcome.state.value for outcome in outcomes.values()],
        "reasons": [outcome.reason for outcome in outcomes.values()],
        "before": before,
    }
    return Counter(dict(rows(_SETTLE, params)))


def _add(settled: Counter[str], operations: QuerySet[Operation]) -> bool:
    """By a statement of its own, which sees what other lanes have added when it has waited for them."""
    counted = (State.DONE, State.GONE, State.FAILED, State.UNDONE)
    return bool(operations.update(**{state.value: F(state.value) + settled[state] for state in counted}))
