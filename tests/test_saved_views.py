"""Saved views: one's own and shared ones, on the rail and on their page."""

import re

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assets.models import SavedView
from assets.views import saved_views
from tests.factories import make_asset, make_user
from tests.html import Page

pytestmark = pytest.mark.django_db

VIEWS = "/views/"


@pytest.fixture
def other():
    person = User.objects.create_user("other")
    person.groups.add(Group.objects.get(name="Staff"))
    return person


def saved(owner, name="Foxes", query="q=fox", *, shared=False):
    now = "2026-11-20T00:00:00Z" if shared else None
    return SavedView.objects.create(owner=owner, name=name, query=query, shared_at=now)


def rail(client, url="/assets/"):
    """The views that the rail offers, and those of them that are marked."""
    shown = Page(client.get(url))
    found = re.findall(
        r'<li><a href="([^"]*)"( aria-current="true")?><span>(.*?)</span>', shown.html.split("<form id=")[0]
    )
    return [name for _, _, name in found], [name for _, mark, name in found if mark]


def state():
    return list(SavedView.objects.order_by("pk").values_list("owner__username", "name", "query"))


@pytest.mark.parametrize("role", ["staff", "reviewer", "admin"])
def test_each_role_saves_the_filter_that_it_sees(client, request, role):
    client.force_login(person := request.getfixturevalue(role))
    make_user("ada")
    shown = Page(client.get("/assets/?user=ada&after=null~1&sort=expires_at&q="))
    offered = re.search(r'name="filter" value="([^"]*)"', shown.html)[1].replace("&amp;", "&")
    response = client.post(VIEWS, {"name": " Ada, soonest ", "filter": offered})
    assert response["Location"] == "/assets/?user=ada&sort=expires_at"
    assert state() == [(person.username, "Ada, soonest", "user=ada&sort=expires_at")]
    assert "Saved the view “Ada, soonest”" in Page(client.get(response["Location"])).text


def test_a_cursor_is_not_saved(client, staff):
    client.force_login(staff)
    client.post(VIEWS, {"name": "a", "filter": "type=image&after=x&before=&page=2"})
    assert state() == []  # there is no filter named page
    client.post(VIEWS, {"name": "a", "filter": "type=image&after=x&before="})
    assert [query for _, _, query in state()] == ["type=image"]


@pytest.mark.parametrize(
    ("name", "query", "sentence"),
    [
        ("", "", "Write a name for the view."),
        ("  ", "", "Write a name for the view."),
        ("a\0b", "", "Null characters are not allowed."),
        ("x" * 81, "", "at most 80 characters"),
        ("a", "colour=red", "There is no filter named “colour”."),
        ("a", "user=nobody", "There is no user named “nobody”."),
        ("a", "q=a%00b", "This filter is not understood, so it is not saved."),
        ("a", "\0", "Null characters are not allowed."),
        ("a", "q=" + "x" * 10_000, "at most 10000 characters"),
    ],
)
def test_what_cannot_be_saved_is_told_so(client, staff, name, query, sentence):
    client.force_login(staff)
    shown = Page(client.post(VIEWS, {"name": name, "filter": query}))
    assert shown.status == 400
    assert sentence in shown.text
    assert state() == []


def test_a_name_that_one_has_already_asks_and_loses_nothing(client, staff):
    client.force_login(staff)
    saved(staff, "Foxes", "q=fox")
    shown = Page(client.post(VIEWS, {"name": "Foxes", "filter": "q=red+fox", "shared": "on"}))
    assert shown.status == 400
    assert "You have a view named “Foxes”: nothing was changed." in shown.text
    assert 'name="filter" value="q=red%20fox"' in shown.html
    assert 'name="replace"' in shown.html
    assert state() == [("staff", "Foxes", "q=fox")]
    client.post(VIEWS, {"name": "Foxes", "filter": "q=red+fox", "shared": "on", "replace": "1"})
    assert state() == [("staff", "Foxes", "q=red%20fox")]
    assert SavedView.objects.get().shared_at is not None


def test_two_people_have_views_of_the_same_name(client, staff, other):
    saved(other, "Foxes", "q=fox")
    client.force_login(staff)
    client.post(VIEWS, {"name": "Foxes", "filter": "q=red"})
    assert state() == [("other", "Foxes", "q=fox"), ("staff", "Foxes", "q=red")]
    assert rail(client)[0] == ["Foxes"]


def test_the_rail_has_ones_own_and_the_shared_and_marks_what_is_shown(client, staff, other):
    saved(staff, "Steps", "setting=steps%3D30&setting=scene_id&type=image&view=table")
    saved(other, "Secret")
    saved(other, "Newest", "", shared=True)
    saved(staff, "Own", "sort=expires_at&seed=0", shared=True)
    client.force_login(staff)
    assert rail(client) == (["Own", "Steps", "Newest"], ["Newest"])
    assert rail(client, "/assets/?sort=-created_at")[1] == ["Newest"]
    assert rail(client, "/assets/?type=image&setting=scene_id&setting=steps%3D30&after=")[1] == ["Steps"]
    assert rail(client, "/assets/?seed=0&sort=expires_at&view=grid")[1] == ["Own"]
    assert rail(client, "/assets/?seed=0")[1] == []
    assert "Secret" not in client.get("/assets/").content.decode()


def test_the_rail_is_bounded_and_takes_one_query(client, staff, other, monkeypatch):
    monkeypatch.setattr(saved_views, "MOST", 3)
    client.force_login(staff)
    for number in range(5):
        if number < 3:
            saved(staff, f"mine {number}")
        saved(other, f"theirs {number}", shared=True)
    assert len(rail(client)[0]) == 6
    with CaptureQueriesContext(connection) as queries:
        client.get("/assets/")
    assert sum("assets_savedview" in query["sql"] for query in queries) == 1
    shown = Page(client.post(VIEWS, {"name": "one more", "filter": ""}))
    assert "You have 3 views already: delete one first." in shown.text
    assert client.post(VIEWS, {"name": "mine 0", "filter": "", "replace": "1"}).status_code == 302


def test_an_owner_renames_shares_and_keeps_to_oneself(client, staff):
    client.force_login(staff)
    view, taken = saved(staff, "Foxes"), saved(staff, "Ships")
    url = reverse("saved_view", args=[view.pk])
    client.post(url, {"name": "Red foxes", "shared": "on"})
    view.refresh_from_db()
    first_shared = view.shared_at
    assert (view.name, view.query) == ("Red foxes", "q=fox")
    assert first_shared is not None
    client.post(url, {"name": "Foxes", "shared": "on"})
    view.refresh_from_db()
    assert view.shared_at == first_shared
    shown = Page(client.post(url, {"name": taken.name}))
    assert "You have another view named “Ships”: nothing was changed." in shown.text
    assert Page(client.post(url, {"name": "a\0"})).status == 400
    client.post(url, {"name": "Foxes"})
    view.refresh_from_db()
    assert (view.name, view.shared_at) == ("Foxes", None)


def test_a_view_that_is_deleted_meanwhile_is_not_said_to_be_changed(client, staff, monkeypatch):
    client.force_login(staff)
    view = saved(staff)
    monkeypatch.setattr(
        saved_views, "own_view_or_404", lambda *args: SavedView.objects.all().delete() and view
    )
    shown = Page(client.post(reverse("saved_view", args=[view.pk]), {"name": "Red foxes"}))
    assert shown.status == 400
    assert "The view “Foxes” has been deleted meanwhile." in shown.text


@pytest.mark.parametrize("role", ["staff", "reviewer", "admin"])
def test_what_others_keep_to_themselves_is_not_there(client, request, other, role):
    client.force_login(request.getfixturevalue(role))
    view = saved(other)
    for name in ("saved_view", "delete_view"):
        assert client.post(reverse(name, args=[view.pk]), {"name": "x"}).status_code == 404
        assert client.post(reverse(name, args=[10**30]), {"name": "x"}).status_code == 404
    assert "Foxes" not in client.get(VIEWS).content.decode()
    assert state() == [("other", "Foxes", "q=fox")]


@pytest.mark.parametrize(("role", "status"), [("staff", 403), ("reviewer", 403), ("admin", 302)])
def test_what_others_share_only_admins_delete_and_nobody_edits(client, request, other, role, status):
    client.force_login(request.getfixturevalue(role))
    view = saved(other, shared=True)
    edit, delete = (reverse(name, args=[view.pk]) for name in ("saved_view", "delete_view"))
    page = client.get(VIEWS).content.decode()
    assert "Foxes" in page
    assert f'action="{edit}"' not in page
    assert (delete in page) == (status == 302)
    assert client.post(edit, {"name": "x"}).status_code == 403
    assert client.post(delete).status_code == status
    assert SavedView.objects.exists() == (status == 403)


def test_an_owner_deletes(client, staff):
    client.force_login(staff)
    view = saved(staff)
    assert client.post(reverse("delete_view", args=[view.pk]))["Location"] == VIEWS
    assert state() == []


def test_only_those_who_may_look_and_only_by_an_honest_post(client, staff):
    view = saved(staff)
    urls = [VIEWS, reverse("saved_view", args=[view.pk]), reverse("delete_view", args=[view.pk])]
    forger = Client(enforce_csrf_checks=True)
    forger.force_login(staff)
    for url in urls:
        client.logout()
        assert client.post(url, {"name": "x"})["Location"].endswith("/accounts/login/?next=/views/")
        client.force_login(User.objects.get_or_create(username="stranger")[0])
        assert client.post(url, {"name": "x"}).status_code == 403
        assert forger.post(url, {"name": "x"}).status_code == 403
    client.force_login(staff)
    for url in urls[1:]:
        for send in (client.get, client.head, client.put, client.delete):
            assert send(url).status_code == 405
    assert state() == [("staff", "Foxes", "q=fox")]


def test_a_view_that_is_no_longer_understood_opens_with_the_reason(client, staff):
    client.force_login(staff)
    make_asset(make_user("ada"))
    view = saved(staff, "Gone", "user=gone")
    shown = Page(client.get(f"/assets/?{view.query}"))
    assert (shown.total, shown.errors) == (0, ["User: There is no user named “gone”."])
    assert "Save this view" not in shown.text
    assert "User gone" in Page(client.get(VIEWS)).text


def test_names_and_filters_that_look_like_html_stay_text(client, staff):
    client.force_login(staff)
    response = client.post(VIEWS, {"name": "<b>x</b>", "filter": "q=%3Cscript%3Ealert(1)"})
    for url in (VIEWS, response["Location"]):
        html = client.get(url).content.decode()
        assert "<b>x" not in html
        assert "<script>alert" not in html


def test_the_page_says_choices_in_the_words_of_the_gallery(fetch, staff):
    saved(staff, query="expires=24h&verdict=none&steps=3")
    assert "Expires within 24 hours · Verdict neither · steps 3" in fetch(VIEWS).text
