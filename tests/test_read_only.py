"""READ_ONLY=1: nothing of the product's is offered, done by hand, or done by the worker."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from assets import bulk, clean_up, dispositions, purge, reconcile, tasks
from assets.models import CleanUp, Disposition, Operation, WorkspaceAsset
from assets.read_only import ReadOnlyError
from tests.factories import make_asset
from tests.html import Page
from tests.test_access import ACTIONS, Things, asset, everything, things, url_of  # noqa: F401 (fixtures)

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
    assert "delete_assets" not in client.get("/admin/assets/workspaceasset/").content.decode()


def test_the_pages_offer_it_otherwise(client, superuser, things):  # noqa: F811
    """Guards the test above."""
    client.force_login(superuser)
    for name in ("gallery", "detail", "job", "user", "removed", "removed_entry"):
        page = Page(client.get(url_of(name, things)))
        assert OFFERS.findall(page.html), name
        assert "Read only" not in page.text
    assert "delete_assets" in client.get("/admin/assets/workspaceasset/").content.decode()


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
