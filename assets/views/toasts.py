"""Short messages over the page, with a way back where there is one."""

import json
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse_lazy
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.text import format_lazy


def toast(
    request: HttpRequest,
    text: str,
    *,
    level: int = messages.SUCCESS,
    undo: str = "",
    link: str = "",
    label: str = "",
) -> None:
    """Shows a message on this page or the next; `undo` is where a POST takes it back."""
    context = {"text": text, "undo": undo, "link": link, "label": label}
    messages.add_message(request, level, render_to_string("assets/_toast.html", context))


def answer(request: HttpRequest, *, otherwise: str, stays: bool = False, **events: Any) -> HttpResponse:
    """The toasts themselves where a script asked, with events for it; else the page that is to come next."""
    if request.htmx:
        response = render(request, "assets/_toasts.html")
        response["HX-Trigger"] = json.dumps(events)
        return response
    return redirect(otherwise if stays else next_url(request, otherwise))


def after_login(page: str) -> Callable:
    """Leads whoever posts without a session on to this page, since the view's own URL answers no GET."""

    def mark(view: Callable) -> Callable:
        # As LoginRequiredMiddleware reads them.
        view.login_url = format_lazy("{}?next={}", reverse_lazy("login"), reverse_lazy(page))
        view.redirect_field_name = None
        return view

    return mark


def next_url(request: HttpRequest, otherwise: str) -> str:
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    # A bare word would be taken for the name of a view.
    return wanted if safe and wanted.startswith("/") else otherwise
