"""A real browser on a live server, and a workspace with files. What it complains of fails the test."""

import os
import shutil
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from playwright.sync_api import expect

from tests.samples import halves, picture, video

expect.set_options(timeout=10_000)

# A violation of the policy reaches the console in words of ours, wherever it happens.
REPORT_VIOLATIONS = """
    document.addEventListener("securitypolicyviolation", (event) =>
        console.error(`CSP ${event.violatedDirective} ${event.blockedURI}`));
"""


# --- The browser -------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _queries_beside_an_event_loop(django_db_setup):
    """Playwright leaves a loop running, in which Django refuses queries unless it is told not to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    chromium = shutil.which("chromium")
    if not chromium:
        missing = "There is no chromium here: on Debian, apt install chromium."
        if os.environ.get("CI"):
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    quiet = ["--disable-background-networking", "--disable-component-update", "--no-first-run"]
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return browser_type_launch_args | {"executable_path": chromium, "args": [*quiet, *sandbox]}


@pytest.fixture(scope="session")
def base_url(live_server):
    return live_server.url


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    shown = {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light", "locale": "en-GB"}
    return browser_context_args | shown


@pytest.fixture
def complaints():
    """What the browser complained of. A test that means to provoke something takes it off the list."""
    found = []
    yield found
    assert found == []


@pytest.fixture
def context(context, complaints, live_server):
    ours = urlsplit(live_server.url).netloc

    def check_host(request):
        url = urlsplit(request.url)
        if url.scheme not in {"data", "blob"} and url.netloc != ours:
            complaints.append(f"a request to {request.url}")

    def check_console(message):
        if message.type in {"error", "warning"}:
            complaints.append(f"{message.text} ({message.page.url if message.page else 'no page'})")

    context.add_init_script(REPORT_VIOLATIONS)
    context.on("request", check_host)
    context.on("console", check_console)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.set_default_timeout(10_000)
    return context


# --- People ------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _roles(transactional_db):
    """Tests with a live server empty the database after them, the groups of a migration included."""
    from django.contrib.auth.models import Group, Permission

    for name, codenames in import_module("assets.migrations.0002_roles").ROLES.items():
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.set(Permission.objects.filter(codename__in=codenames))


@pytest.fixture
def enter(client, live_server):
    """Logs a person in, in some browser context, by the cookie of a session."""

    def log_in(context, person):
        client.force_login(person)
        name = settings.SESSION_COOKIE_NAME
        context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])

    return log_in


@pytest.fixture
def visit(page, enter, staff):
    """Opens a page as Staff."""
    enter(page.context, staff)

    def open_page(url="/assets/"):
        page.goto(url)
        return page

    return open_page


# --- Files -------------------------------------------------------------------


@cache
def content_of(suffix):
    if suffix == ".mp4":
        return video(images=[halves(320, 240)] * 30, rate=10)
    return picture(suffix, 320, 240)


MIME_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".mp4": "video/mp4"}


@pytest.fixture
def stored_asset(transactional_db):
    """Makes an asset whose file is there."""
    from tests.factories import make_asset

    def make(suffix=".png", **values):
        content = content_of(suffix)
        path = storages["workspace"].save(f"{uuid4()}/0{suffix}", ContentFile(content))
        values = {"width": 320, "height": 240} | values
        if suffix == ".mp4":
            values = {"asset_type": "video", "duration_seconds": 3} | values
        return make_asset(
            temp_storage_path=path, file_size_bytes=len(content), mime_type=MIME_TYPES[suffix], **values
        )

    return make


@pytest.fixture
def workspace(stored_asset):
    """Two users, a job of each, and an asset of every kind."""
    from tests.factories import make_asset, make_job, make_user

    ada, ben = make_user("ada"), make_user("ben")
    foxes = make_job(ada, original_prompt="red foxes", status="completed")
    ships = make_job(ben, original_prompt="blue ships", status="completed")
    fox = {"user": ada, "job": foxes}
    ship = {"user": ben, "job": ships, "original_prompt": "a blue ship at sea", "model_used": "flux"}
    return SimpleNamespace(
        ada=ada,
        ben=ben,
        foxes=foxes,
        ships=ships,
        png=stored_asset(".png", **fox),
        jpeg=stored_asset(".jpg", **fox),
        webp=stored_asset(".webp", **ship),
        mp4=stored_asset(".mp4", **ship),
        nsfw=stored_asset(".png", **fox, generation_settings={"content_mode": "nsfw", "steps": 20}),
        missing=make_asset(ship["user"], ships, temp_storage_path=f"{uuid4()}/0.png", model_used="flux"),
    )


@pytest.fixture
def many(transactional_db):
    """Seventy assets without files: more than a page. As the gallery shows them, newest first."""
    from assets.models import WorkspaceAsset
    from tests.factories import make_assets

    make_assets(70)
    return [
        str(pk) for pk in WorkspaceAsset.objects.order_by("-created_at", "-id").values_list("id", flat=True)
    ]
