"""Who may see what: each role on each URL, in the dashboard and in the back office."""

import io
import logging
import re
from datetime import timedelta
from typing import NamedTuple
from uuid import uuid4

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db import connection
from django.test import Client
from django.urls import resolve, reverse
from procrastinate.contrib.django.models import ProcrastinateJob

from assets import bulk, dispositions, reviews
from assets.models import (
    Disposition,
    Extension,
    LibraryAsset,
    Operation,
    OperationItem,
    Review,
    SavedView,
    WorkspaceAsset,
)
from assets.views.compare import compare_url
from tests.factories import make_asset, make_assets
from tests.html import Page
from workspace.auth import OneStatementBackend

pytestmark = pytest.mark.django_db

PAGES = [
    "home", "gallery", "count", "detail", "settings_json", "embedded", "job", "user", "queries",
    "suggest_users", "suggest_jobs", "suggest_settings", "setting_values", "saved_views", "compare",
    "library", "library_detail", "library_embedded", "removed", "removed_entry",
    "operations", "operation", "operation_json", "operation_csv", "overview",
    "asset_file", "asset_preview", "library_file", "library_preview", "removed_preview",
    "export", "library_export", "removed_export",
]  # fmt: skip
WITHOUT_FILE = ["asset_file", "library_file"]  # the assets of these tests have none
ON_ASSETS = ["promote", "delete", "extend", "restore", "undo_extension"]
ON_OPERATIONS = ["start", "cancel", "retry", "undo"]
ON_FILES = ["files_zip"]  # in test_files_zip.py
ON_VIEWS = ["saved_view", "delete_view"]  # whose roles are in test_saved_views.py
REVIEWS = ["review", "review_many", "undo_review"]
ACTIONS = [*ON_ASSETS, *ON_OPERATIONS]  # by POST alone, as are reviews
BY_ID = [
    "detail", "settings_json", "embedded", "job", "user", "library_detail", "library_embedded",
    "asset_file", "asset_preview", "library_file", "library_preview",
]  # fmt: skip
BY_NUMBER = ["removed_entry", "removed_preview", "operation", "operation_json", "operation_csv"]
MODELS = ["profile", "job", "workspaceasset", "libraryasset"]
ROLES = ["staff", "reviewer", "admin"]
LOOKERS = ["staff", "reviewer"]


class Things(NamedTuple):
    """One of all that a page is about, made by somebody else."""

    asset: WorkspaceAsset
    saved: LibraryAsset
    entry: Disposition
    extension: Extension
    review: Review
    ready: Operation
    undoable: Operation
    failed: Operation


@pytest.fixture
def asset():
    return make_asset()


@pytest.fixture
def things(asset):
    maker = User.objects.create_user("maker")
    first, second = make_assets(2, expires_in=timedelta(hours=5))
    dispositions.delete([first.pk], actor=maker)
    dispositions.extend([second.pk], actor=maker)
    saved = LibraryAsset.objects.create(
        id=uuid4(), user=asset.user, asset_type="image", storage_path="nowhere.png", file_size_bytes=1,
        mime_type="image/png", original_prompt="a fox", model_used="sdxl",
    )  # fmt: skip
    return Things(
        asset=asset,
        saved=saved,
        entry=Disposition.objects.get(),
        extension=Extension.objects.get(),
        review=reviews.review([asset.pk], verdict="approved", reviewer=maker).written[0],
        ready=operation_over([asset], Operation.Action.DELETE, maker),
        undoable=run(operation_over(make_assets(2), Operation.Action.DELETE, maker)),
        failed=run(operation_over(make_assets(2), Operation.Action.PROMOTE, maker)),  # without a file
    )


def operation_over(assets, action, actor):
    return bulk.freeze_ticked([asset.pk for asset in assets], action=action, actor=actor)


def run(operation):
    bulk.start(operation, actor=operation.actor, confirmed=None, options={})
    bulk.advance(operation.pk)
    operation.refresh_from_db()
    return operation


def url_of(name, things):
    by_name = {
        "job": things.asset.job_id, "user": things.asset.user_id,
        "export": "csv", "library_export": "json", "removed_export": "jsonl",
        "library_detail": things.saved.pk, "library_embedded": things.saved.pk,
        "library_file": things.saved.pk, "library_preview": things.saved.pk, "removed_entry": things.entry.pk,
        "removed_preview": things.entry.pk, "restore": things.entry.pk,
        "undo_extension": things.extension.pk, "retry": things.failed.pk, "undo": things.undoable.pk,
        "operation": things.undoable.pk, "operation_json": things.undoable.pk,
        "operation_csv": things.undoable.pk, "start": things.ready.pk, "cancel": things.ready.pk,
    }  # fmt: skip
    about_asset = {
        "detail", "settings_json", "embedded", "asset_file", "asset_preview", "promote", "delete", "extend",
        "review",
    }  # fmt: skip
    if name == "undo_review":
        return reverse(name, args=[things.review.pk, things.review.pk])
    if name in about_asset:
        return reverse(name, args=[things.asset.pk])
    if name == "compare":
        return compare_url(WorkspaceAsset.objects.values_list("id", flat=True)[:2])
    return reverse(name, args=[by_name[name]] if name in by_name else [])


def every_url():
    from assets.urls import urlpatterns

    return {pattern.name for pattern in urlpatterns}


def everything():
    """All rows that anybody could change through the dashboard."""
    models = [WorkspaceAsset, LibraryAsset, Disposition, Extension, Operation, Review, SavedView]
    rows = {model.__name__: list(model.objects.order_by("pk").values()) for model in models}
    rows["items"] = list(OperationItem.objects.order_by("operation_id", "asset_id").values())
    rows["jobs"] = ProcrastinateJob.objects.count()
    return rows


def test_no_url_is_left_untested():
    assert every_url() == {*PAGES, *ACTIONS, *ON_VIEWS, *REVIEWS, *ON_FILES, "healthz"}


# Pages change nothing, so that each of these tests asks for all of them.


def test_nobody_sees_anything_without_logging_in(client, things):
    for name in PAGES:
        response = client.get(url_of(name, things))
        assert response.status_code == 302, name
        assert response["Location"].startswith("/accounts/login/?next="), name


@pytest.mark.parametrize("role", ROLES)
def test_each_role_sees_the_dashboard(client, things, request, role):
    client.force_login(request.getfixturevalue(role))
    for name in PAGES:
        expected = 404 if name in WITHOUT_FILE else 200
        assert client.get(url_of(name, things)).status_code == expected, name


def test_somebody_without_a_role_is_told_so(client, things):
    client.force_login(User.objects.create_user("stranger"))
    for name in PAGES:
        response = client.get(url_of(name, things))
        assert response.status_code == 403, name
        assert b"whose role does not include this" in response.content, name
        assert b"one of Staff, Reviewers or Admins" in response.content, name


def test_an_admin_is_not_sent_for_a_role_that_cannot_do_more(client, admin):
    client.force_login(admin)
    refusal = client.get("/admin/auth/user/")
    assert refusal.status_code == 403
    assert b"Reviewers" not in refusal.content


def test_a_refusal_is_one_line_in_the_log(client, things, monkeypatch):
    (console,) = (handler for handler in logging.getLogger().handlers if handler.name == "console")
    monkeypatch.setattr(console, "stream", io.StringIO())
    client.force_login(User.objects.create_user("stranger"))
    client.get("/assets/")
    client.get("/assets/", headers={"host": "elsewhere.example"})
    role, host = console.stream.getvalue().splitlines()
    assert role.endswith("django.request: Forbidden (Permission denied): /assets/")
    assert "Invalid HTTP_HOST header: 'elsewhere.example'" in host


def test_pages_are_only_read(client, admin, things):
    client.force_login(admin)
    for name in sorted({*PAGES} - {"operations", "saved_views", "compare", "files_zip"}):
        assert client.post(url_of(name, things)).status_code == 405, name


def test_what_is_not_there_is_a_page_of_ours(client, staff):
    client.force_login(staff)
    for name in [*BY_ID, *BY_NUMBER]:
        response = client.get(reverse(name, args=[999_999 if name in BY_NUMBER else uuid4()]))
        assert response.status_code == 404, name
        assert b"An asset may have expired" in response.content, name


@pytest.mark.parametrize("number", [0, 2**63, 10**30])
def test_numbers_that_no_row_can_have_are_not_found(client, admin, number):
    client.force_login(admin)
    for name in BY_NUMBER:
        assert client.get(reverse(name, args=[number])).status_code == 404, name
    for name in ("restore", "undo_extension", *ON_OPERATIONS):
        assert client.post(reverse(name, args=[number])).status_code == 404, name
    for span in ([0, number], [number, number]):
        assert client.post(reverse("undo_review", args=span)).status_code == 404


# --- Who may act -------------------------------------------------------------------

CREATES = [
    {"action": "delete", "select": "all", "filter": ""},
    {"action": "promote", "select": "all", "filter": ""},
    {"action": "extend", "select": "all", "filter": ""},
    {"action": "keep"},
    {"action": "nonsense"},
    {},
]


def test_nobody_does_anything_without_logging_in(client, things):
    before = everything()
    for name in [*ACTIONS, *REVIEWS, "operations"]:
        response = client.post(url_of(name, things), CREATES[0])
        assert response.status_code == 302, name
        assert response["Location"].startswith("/accounts/login/?next="), name
        assert everything() == before, name


@pytest.mark.parametrize("role", [*LOOKERS, "stranger"])
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "script"])
def test_those_who_only_look_can_do_nothing_by_url(client, things, request, role, headers):
    stranger = role == "stranger"
    client.force_login(User.objects.create_user(role) if stranger else request.getfixturevalue(role))
    before = everything()
    for name in ACTIONS:
        assert client.post(url_of(name, things), headers=headers).status_code == 403, name
    for wanted in CREATES:
        data = wanted | {"ids": [things.asset.pk], "job": things.asset.job_id}
        assert client.post("/operations/", data, headers=headers).status_code == 403, wanted
    assert everything() == before


VERDICT = {"verdict": "approved", "note": "good"}


@pytest.mark.parametrize("role", ["staff", "stranger"])
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "script"])
def test_only_reviewers_and_admins_give_verdicts(client, things, request, role, headers):
    stranger = role == "stranger"
    client.force_login(User.objects.create_user(role) if stranger else request.getfixturevalue(role))
    before = everything()
    for name in REVIEWS:
        data = VERDICT | {"ids": [things.asset.pk]}
        assert client.post(url_of(name, things), data, headers=headers).status_code == 403, name
    assert everything() == before


@pytest.mark.parametrize("role", ["reviewer", "admin"])
@pytest.mark.parametrize("name", ["review", "review_many"])
def test_reviewers_and_admins_give_verdicts(client, things, request, role, name):
    client.force_login(request.getfixturevalue(role))
    data = VERDICT | {"ids": [things.asset.pk]}
    assert client.post(url_of(name, things), data).status_code == 302
    assert reviews.verdicts([things.asset.pk])[things.asset.pk].verdict == "approved"


def test_nobody_takes_back_the_verdict_of_another(client, admin, things):
    client.force_login(admin)
    before = everything()
    assert client.post(url_of("undo_review", things)).status_code == 404
    assert everything() == before


@pytest.mark.parametrize("name", [*ACTIONS, "operations"])
def test_admins_can_do_all_of_it(client, admin, things, name):
    client.force_login(admin)
    before = everything()
    assert client.post(url_of(name, things), CREATES[0]).status_code == 302
    # An asset without a file cannot be saved, and is not.
    assert (everything() == before) == (name == "promote")


def test_acting_takes_a_post(client, admin, things):
    client.force_login(admin)
    before = everything()
    for name in [*ACTIONS, *REVIEWS]:
        for send in (client.get, client.head, client.put, client.delete):
            assert send(url_of(name, things)).status_code == 405, name
        assert everything() == before, name


def test_the_address_of_a_button_says_so_when_it_is_opened(client, admin, things):
    client.force_login(admin)
    for name in [*ACTIONS, *REVIEWS, "logout"]:
        shown = client.get(reverse(name) if name == "logout" else url_of(name, things))
        assert "the address of a button" in Page(shown).text, name
        assert "POST" in shown["Allow"], name


def test_somebody_who_is_logged_out_already_can_log_out(client):
    assert client.post("/accounts/logout/")["Location"] == "/accounts/login/"


def test_the_list_of_operations_takes_nothing_but_get_and_post(client, admin):
    client.force_login(admin)
    assert client.put("/operations/").status_code == 405
    assert client.delete("/operations/").status_code == 405
    assert client.head("/operations/").status_code == 200


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "script"])
def test_a_forged_post_does_nothing(admin, things, headers):
    forger = Client(enforce_csrf_checks=True)
    forger.force_login(admin)
    before = everything()
    for name in [*ACTIONS, *REVIEWS, "operations", "compare"]:
        assert forger.post(url_of(name, things), CREATES[0], headers=headers).status_code == 403, name
    changelist = reverse("admin:assets_workspaceasset_changelist")
    chosen = {"action": "delete_assets", "_selected_action": [things.asset.pk]}
    assert forger.post(changelist, chosen).status_code == 403
    assert everything() == before


def test_a_post_with_the_token_of_the_page_is_no_forgery(admin, things):
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(admin)
    page = careful.get(url_of("detail", things)).content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
    response = careful.post(url_of("delete", things), {"csrfmiddlewaretoken": token})
    assert response.status_code == 302
    assert not WorkspaceAsset.objects.filter(pk=things.asset.pk).exists()


# --- What a page offers ------------------------------------------------------------


def offered(page):
    """Where the forms of a page, and buttons that go elsewhere, would post to."""
    forms = re.findall(r"<form\b[^>]*>", page.html)
    posts = [form for form in forms if 'method="post"' in form]
    found = [re.search(r' action="([^"]+)"', form) for form in posts]
    buttons = re.findall(r'formaction="([^"]+)"', page.html)
    return {resolve(url).url_name for url in [*(match[1] for match in found if match), *buttons]}


def offered_to_all(url):
    """Whoever sees cards may compare them, have their files, and name a filter that is understood."""
    has_cards = url.startswith(("/assets/?", "/jobs/", "/users/")) or url == "/assets/"
    names = {"compare", "files_zip"} if has_cards else set()
    return names | ({"saved_views"} if url in {"/assets/", "/assets/?view=table"} else set())


def pages_with_actions(things):
    yield from ("/assets/", "/assets/?view=table", "/assets/?expires=2h")
    for name in ("detail", "job", "user", "library", "library_detail", "removed", "removed_entry"):
        yield url_of(name, things)
    yield "/operations/"
    for operation in (things.ready, things.undoable, things.failed):
        yield reverse("operation", args=[operation.pk])


@pytest.fixture
def saved_lately(things):
    """So that the library's page could offer a way back."""
    row = {"job_id": str(uuid4())}
    Disposition.objects.create(
        asset_id=things.saved.pk, action="promoted", row=row, purge_after=things.entry.purge_after
    )


@pytest.mark.parametrize("role", LOOKERS)
def test_those_who_only_look_are_offered_nothing_that_is_refused(client, things, saved_lately, request, role):
    client.force_login(request.getfixturevalue(role))
    reviewing = {"review", "review_many"} if role == "reviewer" else set()
    for url in pages_with_actions(things):
        shown = Page(client.get(url))
        assert shown.status == 200
        assert offered(shown) - reviewing == {"logout", *offered_to_all(url)}, url
        assert not re.search(r'data-verb=|data-undo=|<button[^>]* name="action"', shown.html), url


def test_those_who_only_look_may_watch_an_operation_that_runs(client, staff, things):
    client.force_login(staff)
    for state in Operation.State.values:
        Operation.objects.filter(pk=things.undoable.pk).update(state=state)
        assert offered(Page(client.get(url_of("operation", things)))) == {"logout"}, state


def test_admins_are_offered_what_they_may_do(client, admin, things, saved_lately):
    client.force_login(admin)
    expected = {
        "/assets/": {"operations", "review_many", "compare", "saved_views", "files_zip"},
        url_of("job", things): {"operations", "review_many", "compare", "files_zip"},
        url_of("detail", things): {"promote", "extend", "delete", "review"},
        url_of("library_detail", things): {"restore", "review"},
        url_of("removed", things): {"restore"},
        url_of("removed_entry", things): {"restore"},
        reverse("operation", args=[things.ready.pk]): {"start", "cancel"},
        reverse("operation", args=[things.undoable.pk]): {"undo"},
        reverse("operation", args=[things.failed.pk]): {"retry"},
    }
    for url, names in expected.items():
        assert offered(Page(client.get(url))) == {"logout", *names}, url


@pytest.fixture
def saver(client):
    """Somebody who may save and nothing else."""
    person = User.objects.create_user("saver")
    person.groups.add(Group.objects.get(name="Staff"))
    person.user_permissions.add(Permission.objects.get(codename="promote_workspaceasset"))
    client.force_login(person)
    return person


@pytest.mark.parametrize(("role", "is_told"), [("staff", False), ("reviewer", True), ("admin", True)])
def test_whoever_can_undo_is_told_the_key(client, request, role, is_told):
    client.force_login(request.getfixturevalue(role))
    assert (b"<kbd>u</kbd>" in client.get("/assets/").content) == is_told


def test_one_verb_does_not_bring_the_others(client, saver, things):
    shown = Page(client.get("/assets/"))
    assert re.findall(r'name="action" value="(\w+)"', shown.html) == ["promote"]
    assert re.findall(r'data-verb="(\w+)"', shown.html) == ["promote"]
    assert offered(Page(client.get(url_of("detail", things)))) == {"logout", "promote"}
    assert offered(Page(client.get(url_of("operation", things)))) == {"logout"}
    for name in ("delete", "extend", "restore", "undo_extension", "start", "cancel", "undo"):
        assert client.post(url_of(name, things)).status_code == 403, name
    ids = {"ids": [things.asset.pk], "job": things.asset.job_id}
    for action, status in {"promote": 302, "delete": 403, "extend": 403, "keep": 403, "": 403}.items():
        assert client.post("/operations/", ids | {"action": action}).status_code == status, action


def test_undoing_what_one_did_takes_the_permission_to_bring_back(client, saver, things):
    saver.user_permissions.add(Permission.objects.get(codename="delete_workspaceasset"))
    assert offered(Page(client.get(url_of("operation", things)))) == {"logout"}
    before = everything()
    assert client.post(url_of("undo", things)).status_code == 403
    assert everything() == before


@pytest.mark.django_db(transaction=True)
def test_a_page_without_a_database_says_that_it_does_not_answer(client, staff, monkeypatch):
    client.force_login(staff)
    client.raise_request_exception = False
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "HOST", "/nowhere")
        answer, health = client.get("/assets/"), client.get("/healthz")
    assert (answer.status_code, answer["Retry-After"], health.status_code) == (503, "10", 503)
    assert "The database does not answer" in answer.text
    assert client.get("/assets/").status_code == 200


def test_healthz_answers_without_logging_in(client):
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


# --- Permissions of the groups -----------------------------------------------------

VIEW = {f"view_{model}" for model in [*MODELS, "disposition", "operation"]}
DISPOSE = {
    "delete_workspaceasset", "promote_workspaceasset", "extend_workspaceasset", "restore_disposition",
    "delete_savedview",
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


VERBS = {"save_to_library": "promote", "delete_assets": "delete", "extend_expiry": "extend"}


def choose(client, asset, action, *, model="workspaceasset", query="", across="1"):
    data = {"action": action, "_selected_action": [asset.pk], "select_across": across, "index": "0"}
    return client.post(reverse(f"admin:assets_{model}_changelist") + query, data)


@pytest.mark.parametrize("role", LOOKERS)
@pytest.mark.parametrize("action", [*VERBS, "delete_selected"])
def test_those_who_only_look_can_do_nothing_in_the_back_office(client, asset, request, role, action):
    client.force_login(request.getfixturevalue(role))
    before = everything()
    for across in ("0", "1"):
        assert choose(client, asset, action, across=across).status_code in (200, 302, 403)
    assert everything() == before
    shown = Page(client.get(reverse("admin:assets_workspaceasset_changelist")))
    assert 'name="action"' not in shown.html


@pytest.mark.parametrize(("action", "verb"), VERBS.items())
def test_the_back_office_confirms_what_admins_choose_before_anything_is_done(
    client, admin, asset, action, verb
):
    client.force_login(admin)
    make_assets(2)
    response = choose(client, asset, action, across="0")
    operation = Operation.objects.get()
    assert response["Location"] == reverse("operation", args=[operation.pk])
    assert (operation.action, operation.state, operation.total) == (verb, "ready", 1)
    assert operation.actor == admin
    assert WorkspaceAsset.objects.count() == 3


@pytest.mark.parametrize(
    ("query", "total"), [("", 3), ("?type=video", 2), ("?q=fox", 3), ("?expires=2h", 0), ("?created=2h", 0)]
)
def test_all_in_the_back_office_are_those_of_its_filter(client, admin, asset, query, total):
    client.force_login(admin)
    make_assets(2, asset_type="video")
    choose(client, asset, "delete_assets", query=query)
    assert [operation.total for operation in Operation.objects.all()] == [total]


@pytest.mark.parametrize("action", VERBS)
def test_more_than_a_request_has_time_for_is_left_to_the_gallery(client, admin, monkeypatch, action):
    client.force_login(admin)
    monkeypatch.setattr(bulk, "FREEZE_AT_ONCE", 3)
    [asset, *_] = make_assets(4)
    choose(client, asset, action)
    assert not Operation.objects.exists()
    shown = client.get(reverse("admin:assets_workspaceasset_changelist")).content.decode()
    assert "more than 3 assets" in shown
    assert "“All matching”" in shown
    choose(client, asset, action, query=f"?q={asset.pk}")
    assert Operation.objects.get().total == 1


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("action", ["delete_selected", "no_such_action"])
def test_the_back_office_knows_no_other_way_to_delete(client, admin, things, model, action):
    client.force_login(admin)
    before = everything()
    chosen = things.saved if model == "libraryasset" else things.asset
    choose(client, chosen, action, model=model)
    assert everything() == before


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


# --- By one statement ----------------------------------------------------------------


def test_what_is_granted_or_taken_away_counts_at_the_next_request(client, staff):
    def may():
        return client.get(reverse("gallery")).status_code == 200

    client.force_login(staff)
    assert may()
    staff.groups.clear()
    assert not may()
    staff.user_permissions.add(Permission.objects.get(codename="view_workspaceasset"))
    assert may()
    User.objects.update(is_active=False)
    assert not may()


@pytest.mark.parametrize("state", ["is_staff", "is_superuser"])
def test_permissions_by_one_statement_are_those_that_django_knows_of(admin, state):
    setattr(admin, state, True)
    admin.save()
    admin.user_permissions.add(*Permission.objects.filter(codename__in=["add_user", "view_workspaceasset"]))
    person = OneStatementBackend().get_user(admin.pk)
    assert person.get_all_permissions() == ModelBackend().get_all_permissions(admin) != set()
    assert person.has_module_perms("auth")


def test_another_password_ends_all_other_sessions(client, staff):
    client.force_login(staff)
    staff.set_password("another good password")
    staff.save()
    assert client.get(reverse("gallery")).status_code == 302


def test_sessions_outlive_a_change_of_the_secret_key_that_names_the_old_one(client, staff, settings):
    client.force_login(staff)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "x" * 50
    assert client.get(reverse("gallery")).status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert client.get(reverse("gallery")).status_code == 200, "signed anew by the request before"
    settings.SECRET_KEY = "y" * 50
    assert client.get(reverse("gallery")).status_code == 302


def test_who_is_not_known_may_do_nothing():
    assert AnonymousUser().get_all_permissions() == set()
    assert OneStatementBackend().get_user(2**31 - 1) is None
