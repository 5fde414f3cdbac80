"""Tells in a header what a page took, and how much of that the database did."""

import time
from collections.abc import Callable
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse


class TimingMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        statements = _Statements()
        begun = time.perf_counter()
        with connection.execute_wrapper(statements):
            response = self.get_response(request)
        total = time.perf_counter() - begun
        response["Server-Timing"] = (
            f"total;dur={total * 1000:.3f}, sql;dur={statements.seconds * 1000:.3f},"
            f" statements;dur={statements.number}"
        )
        return response


class _Statements:
    """Around each statement of a connection."""

    def __init__(self) -> None:
        self.number, self.seconds = 0, 0.0

    def __call__(self, execute: Callable, sql: str, params: Any, many: bool, context: dict) -> Any:
        begun = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.number += 1
            self.seconds += time.perf_counter() - begun
