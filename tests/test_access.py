"""Who may see what: each role on each URL, in the dashboard and in the back office."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse

from tests.factories import make_asset

pytestmark = pytest.mark.django_db

PAGES = [
    "home", "gallery", "count", "detail", "settings_json", "job", "user", "queries",
    "suggest_users", "suggest_jobs",
    "asset_file", "asset_preview",
]  # fmt: skip
MODELS = ["profile", "job", "workspaceasset", "libraryasset"]
ROLES = ["staff", "reviewer", "admin"]


@pytest.fixture
def asset():
    return make_asset()


def url_of(name, asset):
    keys = {
        "detail": asset.id, "settings_json": asset.id, "job": asset.job_id, "user": asset.user_id,
        "asset_file": asset.id, "asset_preview": asset.id,
    }  # fmt: skip
    return reverse(name, args=[keys[name]] if name in keys else [])


def every_url():
    from assets.urls import urlpatterns

    return {pattern.name for pattern in urlpatterns}


def test_no_url_is_left_untested():
    assert every_url() == {*PAGES, "healthz", "library_file", "library_preview"}


@pytest.mark.parametrize("name", PAGES)
def test_nobody_sees_anything_without_logging_in(client, asset, name):
    response = client.get(url_of(name, asset))
    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/?next=")


@pytest.mark.parametrize("name", ["library_file", "library_preview"])
def test_library_media_are_private(client, name):
    assert client.get(reverse(name, args=[uuid4()])).status_code == 302


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", PAGES)
def test_each_role_sees_the_dashboard(client, asset, request, role, name):
    client.force_login(request.getfixturevalue(role))
    expected = 404 if name == "asset_file" else 200  # this asset has no file
    assert client.get(url_of(name, asset)).status_code == expected


@pytest.mark.parametrize("name", PAGES)
def test_somebody_without_a_role_is_told_so(client, asset, name):
    client.force_login(User.objects.create_user("stranger"))
    response = client.get(url_of(name, asset))
    assert response.status_code == 403
    assert b"whose role does not include this" in response.content


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_only_read(client, admin, asset, name):
    client.force_login(admin)
    assert client.post(url_of(name, asset)).status_code == 405


@pytest.mark.parametrize("name", ["detail", "settings_json", "job", "user", "asset_file", "asset_preview"])
def test_what_is_not_there_is_a_page_of_ours(client, staff, name):
    client.force_login(staff)
    response = client.get(reverse(name, args=[uuid4()]))
    assert response.status_code == 404
    assert b"An asset may have expired" in response.content


def test_healthz_answers_without_logging_in(client):
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


# --- Permissions of the groups -----------------------------------------------------

VIEW = {f"view_{model}" for model in [*MODELS, "disposition", "operation"]}
DISPOSE = {
    "delete_workspaceasset", "promote_workspaceasset", "extend_workspaceasset", "restore_disposition",
}  # fmt: skip


@pytest.mark.parametrize(
    ("group", "permissions"),
    [
        ("Staff", VIEW),
        ("Reviewers", VIEW | {"review_workspaceasset"}),
        ("Admins", VIEW | {"review_workspaceasset"} | DISPOSE),
    ],
)
def test_groups_hold_exactly_their_permissions(group, permissions):
    held = Group.objects.get(name=group).permissions.values_list("codename", flat=True)
    assert set(held) == permissions


# --- The back office ---------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("model", MODELS)
def test_product_tables_are_read_only_in_the_back_office(client, asset, request, role, model):
    client.force_login(request.getfixturevalue(role))
    changelist = reverse(f"admin:assets_{model}_changelist")
    assert client.get(changelist).status_code == 200
    assert client.get(reverse(f"admin:assets_{model}_add")).status_code == 403
    assert client.post(
        changelist, {"action": "delete_selected", "_selected_action": [asset.id]}
    ).status_code in (302, 403, 200)
    pk = {"workspaceasset": asset.id, "job": asset.job_id, "profile": asset.user_id}.get(model)
    if pk:
        assert client.post(reverse(f"admin:assets_{model}_delete", args=[pk])).status_code == 403
        assert (
            client.post(reverse(f"admin:assets_{model}_change", args=[pk]), {"status": "x"}).status_code
            == 403
        )
        assert client.get(reverse(f"admin:assets_{model}_change", args=[pk])).status_code == 200
    asset.refresh_from_db()


def test_the_back_office_is_closed_to_others(client):
    client.force_login(User.objects.create_user("stranger"))
    assert client.get("/admin/").status_code == 302


# --- Logging in --------------------------------------------------------------------


def test_logging_in_leads_to_where_one_wanted_to_go(client, staff):
    response = client.post(
        "/accounts/login/?next=/queries/",
        {"username": "staff", "password": "a good password", "next": "/queries/"},
    )
    assert response["Location"] == "/queries/"


def test_logging_in_never_leads_elsewhere(client, staff):
    answer = {"username": "staff", "password": "a good password", "next": "https://elsewhere.example/"}
    assert client.post("/accounts/login/", answer)["Location"] == "/assets/"


def test_five_wrong_passwords_close_the_door_even_to_the_right_one(client, staff):
    for _ in range(5):
        client.post("/accounts/login/", {"username": "staff", "password": "wrong"})
    response = client.post("/accounts/login/", {"username": "staff", "password": "a good password"})
    assert response.status_code == 429
    assert b"Too many tries" in response.content


def test_another_name_is_not_locked_with_it(client, staff, reviewer):
    for _ in range(6):
        client.post("/accounts/login/", {"username": "staff", "password": "wrong"})
    right = {"username": "reviewers", "password": "a good password"}
    assert client.post("/accounts/login/", right).status_code == 302


# --- Headers -----------------------------------------------------------------------


@pytest.mark.parametrize("url", ["/assets/", "/accounts/login/", "/admin/", "/no-such-page/"])
def test_every_page_has_a_strict_policy(client, staff, url):
    if "login" not in url:
        client.force_login(staff)
    policy = client.get(url)["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
