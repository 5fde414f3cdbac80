"""READ_ONLY=1: nothing of the product's is offered, done by hand, or done by the worker."""

import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection

from assets import bulk, clean_up, dispositions, purge, reconcile, tasks
from assets.models import CleanUp, Disposition, Job, LibraryAsset, Operation, Profile, WorkspaceAsset
from assets.read_only import ReadOnlyError
from tests.factories import make_asset
from tests.html import Page
from tests.test_access import ACTIONS, PAGES, REVIEWS, Things, asset, everything, things, url_of  # noqa: F401 (fixtures)

pytestmark = pytest.mark.django_db
OFFERS = re.compile(
    r'/(promote|delete|extend|restore|start|cancel|retry|undo)"|value="(promote|delete|extend)"'
)
LOOKED_AT = [
    "gallery", "detail", "job", "user", "compare", "library", "library_detail", "removed", "removed_entry",
    "operations", "operation", "overview", "queries",
]  # fmt: skip


@pytest.fixture
def superuser():
    return User.objects.create_superuser("root")


@pytest.fixture
def read_only(things: Things, settings):  # noqa: F811
    """After somebody has done what can be done, and one more has expired."""
    make_asset(expires_in=timedelta(hours=-1))
    settings.READ_ONLY = True
    return things


@pytest.mark.parametrize("role", ["admin", "superuser"])
def test_no_page_offers_what_would_be_refused(client, request, read_only, role):
    client.force_login(request.getfixturevalue(role))
    for name in LOOKED_AT:
        page = Page(client.get(url_of(name, read_only)))
        assert (page.status, OFFERS.findall(page.html)) == (200, []), name
        assert "Read only" in page.text
    ready = Page(client.get(f"/operations/{read_only.ready.pk}/"))
    assert OFFERS.findall(ready.html) == []
    back_office = Page(client.get("/admin/assets/workspaceasset/"))
    assert "delete_assets" not in back_office.html
    assert "Read only" in back_office.text


def test_the_page_of_a_running_operation_says_that_nothing_is_done_and_asks_for_no_news(
    client, admin, read_only, settings
):
    Operation.objects.filter(pk=read_only.ready.pk).update(state=Operation.State.RUNNING)
    client.force_login(admin)
    url, polls, told = f"/operations/{read_only.ready.pk}/", 'hx-trigger="every 1s"', "does nothing for this"
    page = Page(client.get(url))
    assert polls not in page.html
    assert 'http-equiv="refresh"' not in page.html
    assert told in page.text
    settings.READ_ONLY = False
    page = Page(client.get(url))
    assert polls in page.html
    assert told not in page.text


def test_the_pages_offer_it_otherwise(client, superuser, things):  # noqa: F811
    """Guards the test above."""
    client.force_login(superuser)
    for name in ("gallery", "detail", "job", "user", "removed", "removed_entry"):
        page = Page(client.get(url_of(name, things)))
        assert OFFERS.findall(page.html), name
        assert "Read only" not in page.text
    back_office = Page(client.get("/admin/assets/workspaceasset/"))
    assert "delete_assets" in back_office.html
    assert "Read only" not in back_office.text


@pytest.mark.parametrize("role", ["staff", "admin", "superuser"])
def test_every_action_is_refused_with_the_reason(client, request, read_only, role):
    client.force_login(request.getfixturevalue(role))
    before = everything()
    posts = [(url_of(name, read_only), {}) for name in ACTIONS]
    posts.append(("/operations/", {"action": "delete", "ids": [str(read_only.asset.pk)]}))
    for url, data in posts:
        page = Page(client.post(url, data))
        assert page.status == 403, url
        assert "This dashboard is read only" in page.text, url
    assert everything() == before


METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def test_no_method_on_any_url_writes_a_row_of_the_products_or_of_what_left(client, superuser, read_only):
    """Not even what is there already: by the transaction that wrote each row."""
    client.force_login(superuser)
    pk = str(read_only.asset.pk)
    form = {
        "action": "delete",
        "ids": pk,
        "confirm": "1",
        "verdict": "approved",
        "name": "mine",
        "filter": "",
    }
    in_the_back_office = {"action": "delete_selected", "_selected_action": pk, "post": "yes", "_save": "1"}
    before = written()
    asked = [(url_of(name, read_only), form) for name in sorted({*PAGES, *ACTIONS, *REVIEWS})]
    asked += [(f"/admin/assets/{end}", in_the_back_office) for end in back_office(read_only)]
    for url, content in asked:
        for method in METHODS:
            kind = "application/x-www-form-urlencoded"
            assert client.generic(method, url, urlencode(content), kind).status_code < 500, (method, url)
    assert written() == before


def back_office(things):  # noqa: F811
    rows = {"profile": things.asset.user_id, "job": things.asset.job_id, "libraryasset": things.saved.pk}
    rows |= {"workspaceasset": things.asset.pk, "disposition": things.entry.pk}
    for model, pk in rows.items():
        yield from (f"{model}/{end}" for end in ("", "add/", f"{pk}/change/", f"{pk}/delete/"))


def written():
    """Each row, and which transaction wrote it."""
    tables = [model._meta.db_table for model in (Profile, Job, WorkspaceAsset, LibraryAsset, Disposition)]
    with connection.cursor() as cursor:
        found = {}
        for table in tables:
            cursor.execute(f"SELECT xmin::text, ctid::text, row::text FROM {table} AS row ORDER BY ctid")
            found[table] = cursor.fetchall()
    return found


def test_the_worker_expires_and_purges_nothing_and_leaves_operations_as_they_are(read_only):
    Operation.objects.filter(pk=read_only.ready.pk).update(state=Operation.State.RUNNING)
    Disposition.objects.update(purge_after=read_only.entry.disposed_at)
    before = everything()
    tasks.expire_assets(timestamp=0)
    tasks.purge_files(timestamp=0)
    tasks.advance_operation(read_only.ready.pk)
    tasks.resume_operations(timestamp=0)
    assert everything() == before
    assert not CleanUp.objects.exists()
    assert WorkspaceAsset.objects.filter(pk=read_only.asset.pk).exists()


def test_whatever_writes_refuses_by_itself(read_only, admin):
    pk, entry, operation = read_only.asset.pk, read_only.entry.pk, read_only.ready
    before = everything()
    for write in [
        lambda: dispositions.promote([pk], actor=admin),
        lambda: dispositions.delete([pk], actor=admin),
        lambda: dispositions.extend([pk], actor=admin),
        lambda: dispositions.restore([entry], actor=admin),
        lambda: dispositions.undo_extensions({read_only.extension.pk: pk}),
        dispositions.expire,
        purge.purge,
        clean_up.expire,
        clean_up.purge,
        lambda: reconcile.reconcile(remove=True, limit=1),
        lambda: bulk.freeze_ticked([pk], action=Operation.Action.DELETE, actor=admin),
        lambda: bulk.freeze_filter("q=fox", action=Operation.Action.DELETE, actor=admin),
        lambda: bulk.start(operation, actor=admin, confirmed=None, options={}),
        lambda: bulk.advance(operation.pk),
    ]:
        with pytest.raises(ReadOnlyError, match="This dashboard is read only"):
            write()
    assert everything() == before


def test_the_demo_is_not_made(settings):
    settings.READ_ONLY = True
    with pytest.raises((ReadOnlyError, CommandError), match="read only"):
        call_command("demo")


def test_the_status_line_does_not_wait_for_a_clean_up(client, staff, read_only):
    client.force_login(staff)
    page = Page(client.get("/assets/"))
    assert "Read only: nothing expires, and no file is removed, from here" in page.text
    assert "clean-up" not in page.text
