"""READ_ONLY=1: nothing of the product's is written, no file removed; the dashboard's own tables go on."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

REASON = "This dashboard is read only: nothing is saved, deleted, extended, brought back or added here."

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class ReadOnlyError(PermissionDenied):
    """A page answers it with 403, a command with its sentence."""

    def __init__(self) -> None:
        super().__init__(REASON)


def refuse_if_read_only() -> None:
    if settings.READ_ONLY:
        raise ReadOnlyError


def writes(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Refuses, where the dashboard is read only, before anything is begun."""

    @wraps(function)
    def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        refuse_if_read_only()
        return function(*args, **kwargs)

    return guarded


def context(request: HttpRequest) -> dict[str, bool]:
    return {"read_only": settings.READ_ONLY}
