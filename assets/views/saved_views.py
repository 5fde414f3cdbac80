"""Saved views: filters of the gallery that somebody named, for themselves or for everybody."""

from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from assets.access import DELETE_SHARED_VIEWS, own_view_or_404, viewers_only
from assets.filters import DEFAULT_SORT, AssetFilterSet
from assets.forms import NewViewForm, ViewForm
from assets.models import SavedView
from assets.views.toasts import after_login, toast

MOST = 50  # of one person; and of those that others share


class ViewLink(NamedTuple):
    id: int
    name: str
    url: str
    filters: list[tuple[str, str]]
    is_own: bool
    is_shared: bool
    is_active: bool
    owner: str


@after_login("saved_views")
@require_http_methods(["GET", "HEAD", "POST"])
@viewers_only
def saved_views(request: HttpRequest) -> HttpResponse:
    """All that a person sees; by POST, one more."""
    if request.method != "POST":
        return _list(request)
    form = NewViewForm(request.POST)
    if not form.is_valid():
        return _list(request, errors=form.messages(), draft=form)
    name, query = form.cleaned_data["name"], form.cleaned_data["filter"]
    names = set(SavedView.objects.filter(owner=request.user).values_list("name", flat=True))
    if name not in names and len(names) >= MOST:
        return _list(request, errors=[f"You have {MOST} views already: delete one first."], draft=form)
    values = {"query": query, "shared_at": Now() if form.cleaned_data["shared"] else None}
    view, is_new = SavedView.objects.get_or_create(owner=request.user, name=name, defaults=values)
    if not is_new and not form.cleaned_data["replace"]:
        error = f"You have a view named “{name}”: nothing was changed."
        return _list(request, errors=[error], draft=form, may_replace=True)
    if not is_new:
        SavedView.objects.filter(pk=view.pk).update(**values)
    toast(request, f"{'Saved' if is_new else 'Replaced'} the view “{name}”")
    return redirect(_url(query))


@after_login("saved_views")
@require_POST
@viewers_only
def saved_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Renames one's own view, and shares it or keeps it to oneself."""
    view = own_view_or_404(request.user, pk)
    form = ViewForm(request.POST)
    if not form.is_valid():
        return _list(request, errors=form.messages())
    name = form.cleaned_data["name"]
    shared_at = (view.shared_at or Now()) if form.cleaned_data["shared"] else None
    try:
        with transaction.atomic():
            found = SavedView.objects.filter(pk=pk).update(name=name, shared_at=shared_at)
    except IntegrityError:
        error = f"You have another view named “{name}”: nothing was changed."
        return _list(request, errors=[error])
    if not found:
        return _list(request, errors=[f"The view “{view.name}” has been deleted meanwhile."])
    toast(request, f"“{name}” is {'shared with everybody' if shared_at else 'your own'}")
    return redirect("saved_views")


@after_login("saved_views")
@require_POST
@viewers_only
def delete_view(request: HttpRequest, pk: int) -> HttpResponse:
    view = own_view_or_404(request.user, pk, or_with=DELETE_SHARED_VIEWS)
    view.delete()
    toast(request, f"Deleted the view “{view.name}”; its assets are untouched")
    return redirect("saved_views")


def rail_context(user: User, filterset: AssetFilterSet) -> dict[str, Any]:
    """What the rail shows of them, by one query."""
    return {
        "saved_views": links(user, filterset.query()),
        "view_filter": filterset.query() if filterset.is_valid() else None,
    }


def links(user: User, active: str | None = None) -> list[ViewLink]:
    current = None if active is None else _selection(active)
    return [
        ViewLink(
            id=view.pk,
            name=view.name,
            url=_url(view.query),
            filters=_described(view.query),
            is_own=view.owner_id == user.pk,
            is_shared=view.shared_at is not None,
            is_active=_selection(view.query) == current,
            owner=view.owner_name,
        )
        for view in SavedView.objects.all().by_name(user, MOST)
    ]


def _list(
    request: HttpRequest,
    *,
    errors: list[str] | None = None,
    draft: NewViewForm | None = None,
    may_replace: bool = False,
) -> HttpResponse:
    views = links(request.user)
    context = {
        "own": [view for view in views if view.is_own],
        "shared": [view for view in views if not view.is_own],
        "errors": errors or [],
        "draft": draft if draft and "filter" in draft.cleaned_data else None,
        "draft_filters": _described(draft.cleaned_data.get("filter", "")) if draft else [],
        "may_replace": may_replace,
        "may_delete_shared": request.user.has_perm(DELETE_SHARED_VIEWS),
    }
    return render(request, "assets/saved_views.html", context, status=400 if errors else 200)


def _url(query: str) -> str:
    return f"{reverse('gallery')}?{query}"


def _selection(query: str) -> list[tuple[str, str]]:
    """What a query string selects and in which order, however it is written and laid out."""
    plain = {("sort", DEFAULT_SORT)}
    return sorted(pair for pair in parse_qsl(query) if pair[0] != "view" and pair not in plain)


def _described(query: str) -> list[tuple[str, str]]:
    return [_in_words(name, value) for name, value in parse_qsl(query)]


def _in_words(name: str, value: str) -> tuple[str, str]:
    known = AssetFilterSet.base_filters.get(name)
    if not known:
        return name, value
    return known.label, dict(known.extra.get("choices", ())).get(value, value)
