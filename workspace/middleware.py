"""What stands between the server and the views."""

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from psycopg.errors import QueryCanceled

from assets.replica import READS, is_configured, remember_writes
from assets.views.too_broad import too_broad
from workspace.refusals import denied, reason_of
from workspace.time_limit import time_limit

TO_ANSWER = 2  # seconds, once the limit is reached


class TimeLimitMiddleware:
    """Limits the time that a page's statements take, and answers with advice where it is reached.

    A change has the whole limit for each of its statements: it is not broken off between two of them. What
    is streamed, such as an export, goes on for as long as it takes.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method not in READS:
            return self.get_response(request)
        with time_limit(settings.REQUEST_TIMEOUT) as request.time_limit:
            return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if denied(exception):
            return render(request, "denied.html", {"reason": f"{reason_of(exception)}."}, status=503)
        if not isinstance(exception, OperationalError) or not isinstance(exception.__cause__, QueryCanceled):
            return None
        if request.method not in READS:
            return render(request, "busy.html", status=503)
        request.time_limit.allow(TO_ANSWER)
        return too_broad(request)


class ButtonsMiddleware:
    """Says so where somebody opens, by reloading or going back, what only a button asks for."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code != 405 or request.method not in READS:
            return response
        page = render(request, "405.html", status=405)
        page["Allow"] = response["Allow"]
        return page


class ReadsAfterWritesMiddleware:
    """Whoever has just changed something sees it in the lists, wherever those are read from."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not is_configured():
            raise MiddlewareNotUsed
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        return response if request.method in READS else remember_writes(response)
