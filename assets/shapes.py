"""Statements that are written once for all selections alike: the ORM takes longer than the database.

Two selections are alike that have the same filters and differ by whose assets, which job's and which
model's they are. What stands in the statement of the one in these places is put in for the other.
"""

from collections.abc import Callable, Hashable
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, Self, TypeVar
from uuid import UUID

from django.http import QueryDict

from assets.fields import Owner
from assets.filters import AssetFilterSet

KEPT = 256  # statements of each process


class Statement(Protocol):
    """A named tuple with parameters, which are for selections alike all that differs."""

    params: list[Any]

    def _replace(self, *, params: list[Any]) -> Self: ...


S = TypeVar("S", bound=Statement)

# Values that no row has and nobody asks for.
_STAND_INS: dict[str, Any] = {
    "user": Owner(UUID("7d9b6a52-6f0e-4a8e-9d0f-3c1b5a7e2f40"), None),
    "job": UUID("c2f4e1d8-95a3-4b67-8e21-0d6f9b3a7c54"),
    "model": "the model that is asked for, e81f0c5b",
}
_SPELT_OUT = {"type", "expires"}  # of few values, so these are part of the shape

Shape = tuple[tuple[str, str], ...]


def written(filterset: AssetFilterSet, write: Callable[..., S], *about: Hashable) -> S:
    """What `write` makes of a selection and of what else it is told."""
    shape = _shape(filterset)
    if shape is None:
        return write(filterset, *about)
    kept = _kept(write, shape, about)
    later = filterset.now - kept.now
    given = filterset.form.cleaned_data
    values = {_in_sql(stand_in): _in_sql(given[name]) for name, stand_in in _STAND_INS.items()}

    def put_in(param: Any) -> Any:
        if isinstance(param, datetime):
            return param + later
        return values.get(param, param) if isinstance(param, str | UUID) else param

    return kept.statement._replace(params=[put_in(param) for param in kept.statement.params])


def _shape(filterset: AssetFilterSet) -> Shape | None:
    """None where a value does more to a statement than to stand in it."""
    names = filterset.names()
    if not filterset.is_valid() or not names <= _STAND_INS.keys() | _SPELT_OUT:
        return None
    given = filterset.form.cleaned_data
    told = ((name, "" if name in _STAND_INS else given[name]) for name in sorted(names))
    return (*told, ("sort", filterset.chosen_sort))


class _Kept(NamedTuple):
    statement: Any
    now: datetime  # from which all of its times are


@lru_cache(maxsize=KEPT)
def _kept(write: Callable[..., Statement], shape: Shape, about: tuple[Hashable, ...]) -> _Kept:
    example = AssetFilterSet(QueryDict())
    example.is_valid()
    example.form.cleaned_data |= {name: _STAND_INS.get(name, value) for name, value in shape}
    return _Kept(write(example, *about), example.now)


def _in_sql(value: Any) -> Any:
    return value.id if isinstance(value, Owner) else value
