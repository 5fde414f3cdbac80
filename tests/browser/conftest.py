"""A real browser on a live server, and a workspace with files. What it complains of fails the test."""

import asyncio
import os
import re
import shutil
import threading
from functools import cache, wraps
from threading import Semaphore, Thread
from types import SimpleNamespace
from urllib.parse import urlsplit
from urllib.request import urlopen
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connections
from playwright._impl._sync_base import SyncBase
from playwright.sync_api import Locator, expect

from tests import stores
from tests.cleaning import empty_queue
from tests.samples import halves, picture, video

expect.set_options(timeout=10_000)
PATIENCE = 90  # seconds for anything that has no limit of its own

# A violation of the policy reaches the console in words of ours, wherever it happens.
REPORT_VIOLATIONS = """
    document.addEventListener("securitypolicyviolation", (event) =>
        console.error(`CSP ${event.violatedDirective} ${event.blockedURI}`));
"""


# --- The browser -------------------------------------------------------------


# Pages of the browser's own, which take half of what a window costs, and what Playwright's list has,
# since a later list replaces an earlier one.
NOT_WANTED = (
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "AvoidUnnecessaryBeforeUnloadCheckSync"),
    *("DestroyProfileOnBrowserClose", "HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable", "LensOverlay"),
    *("MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning", "OptimizationHints", "AimEnabled"),
    *("AvoidCorsURLLoaderRestartOnRedirect", "NetworkTimeServiceQuerying", "PreconnectToSearch"),
)


@pytest.fixture(scope="session", autouse=True)
def _queries_beside_an_event_loop(django_db_setup):
    """Playwright leaves a loop running, in which Django refuses queries unless it is told not to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield


@pytest.fixture(scope="session", autouse=True)
def _limited_calls():
    """Playwright waits for ever for the end of a script, a download or a browser that does not answer."""
    wait_for = SyncBase._sync

    async def limited(call):
        async with asyncio.timeout(PATIENCE):
            return await call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SyncBase, "_sync", lambda asked, call: wait_for(asked, limited(call)))
        yield


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    # The shell has no windows to draw, which saves half of what a new context costs.
    chromium = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if not chromium:
        missing = "There is no chromium here: on Debian, apt install chromium-headless-shell."
        if os.environ.get("CI"):
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    quiet = ["--disable-background-networking", "--disable-component-update", "--no-first-run"]
    quiet += [f"--disable-features={','.join(NOT_WANTED)}"]
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
def answered(transactional_db, live_server):
    """Waits, before the database is emptied, until the live server is done with what was asked of it."""
    yield
    with urlopen(f"{live_server.url}/healthz", timeout=PATIENCE):  # whoever came before has a thread by now
        pass
    for thread in threading.enumerate():
        if "process_request_thread" in thread.name:
            thread.join(timeout=30)
            assert not thread.is_alive(), "the live server does not come to an end of its answers"


@pytest.fixture
def new_context(answered, new_context):
    """Closed before the wait for the last answers."""
    return new_context


# --- Hands -------------------------------------------------------------------

ACTS = ["check", "click", "dblclick", "fill", "focus", "hover", "press", "press_sequentially", "uncheck"]
KEYS = ["down", "press", "type"]


def _wait_for_scripts(page):
    """A key or click before the scripts of a page, or of a part that has just come, would be lost."""
    page.wait_for_load_state()
    page.locator(".htmx-swapping, .htmx-settling, .htmx-added").first.wait_for(state="detached")


@pytest.fixture(scope="session", autouse=True)
def _patient_hands():
    """Whoever acts on something waits until its page is ready for it, as a person does."""

    def patient(act):
        @wraps(act)
        def wait_and_act(locator, *args, **kwargs):
            locator.wait_for(state="attached")
            _wait_for_scripts(locator.page)
            return act(locator, *args, **kwargs)

        return wait_and_act

    with pytest.MonkeyPatch.context() as patch:
        for name in ACTS:
            patch.setattr(Locator, name, patient(getattr(Locator, name)))
        yield


@pytest.fixture
def page(page, monkeypatch):
    def patient(act):
        def wait_and_act(key):
            _wait_for_scripts(page)
            act(key)

        return wait_and_act

    for name in KEYS:
        monkeypatch.setattr(page.keyboard, name, patient(getattr(page.keyboard, name)))
    return page


# --- What it complains of ----------------------------------------------------


@pytest.fixture
def expected():
    """Words of complaints that the test means to provoke."""
    return []


@pytest.fixture
def complaints(expected, transactional_db):
    """What the browser complained of."""
    found = []
    yield found
    unexpected = [text for text in found if not any(words in text for words in expected)]
    assert [text for text in unexpected if not _is_of_one_that_left(text)] == []


FILE_404 = re.compile(r"status of 404.* /media/assets/([0-9a-f-]{36})/(?:preview|file) ", re.DOTALL)


def _is_of_one_that_left(complaint):
    """Pictures and videos load when they are seen: by then the test may have deleted their asset.

    Asked when the test is over: where messages come in, a loop runs, beside which Django would open a
    connection of its own that nobody closes.
    """
    from assets.models import Disposition

    asked = FILE_404.search(complaint)
    return bool(asked) and Disposition.objects.filter(asset_id=asked[1]).exists()


@pytest.fixture
def context(context, complaints, live_server):
    ours = {urlsplit(live_server.url).netloc, stores.host()}

    def check_host(request):
        url = urlsplit(request.url)
        if url.scheme not in {"data", "blob"} and url.netloc not in ours:
            complaints.append(f"a request to {request.url}")

    def check_console(message):
        if message.type in {"error", "warning"}:
            path, page = urlsplit(message.location["url"]).path, message.page
            complaints.append(f"{message.text} {path} ({page.url if page else 'no page'})")

    context.add_init_script(REPORT_VIOLATIONS)
    context.on("request", check_host)
    context.on("console", check_console)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.set_default_timeout(10_000)
    context.set_default_navigation_timeout(30_000)  # the first one finds everything cold
    return context


@pytest.fixture
def forgive(expected):
    """The browser reports a page that is meant to be refused as a fault, now or in a moment."""

    def forgive_status(status):
        expected.extend((f"status of {status}", f"Response Status Error Code {status}"))  # also htmx's words

    return forgive_status


# --- People ------------------------------------------------------------------


@pytest.fixture
def enter(client, live_server):
    """Logs a person in, in some browser context, by the cookie of a session."""

    def log_in(context, person):
        client.force_login(person)
        name = settings.SESSION_COOKIE_NAME
        context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])

    return log_in


def _visits(page, enter, person):
    enter(page.context, person)

    def open_page(url="/assets/"):
        page.goto(url)
        return page

    return open_page


@pytest.fixture
def visit(page, enter, staff):
    """Opens a page as Staff."""
    return _visits(page, enter, staff)


@pytest.fixture
def visit_as_admin(page, enter, admin):
    return _visits(page, enter, admin)


# --- A worker ----------------------------------------------------------------


class Worker:
    """A real worker on the real queue, in a thread. Told so, it goes on by as many chunks as it is let."""

    def __init__(self):
        self.gate = None
        self.thread = None

    def hold(self):
        self.gate = Semaphore(0)

    def let(self, chunks):
        self.gate.release(chunks)

    def pass_gate(self):
        if self.gate:
            assert self.gate.acquire(timeout=30), "the test let no chunk go on for half a minute"

    def start(self):
        self.thread = Thread(target=self._work)
        self.thread.start()

    def _work(self):
        from procrastinate.contrib.django import app

        # An app of its own, since the live server goes on to use the other in the meantime.
        ours = app.with_connector(app.connector.get_worker_connector())
        ours.periodic_registry = type(ours.periodic_registry)()  # what runs by the clock is not wanted here
        ours.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)

    def end(self):
        self.thread.join(timeout=60)
        assert not self.thread.is_alive(), "the worker does not come to an end"

    def run(self):
        """All that waits in the queue."""
        self.gate = None
        self.start()
        self.end()


@pytest.fixture
def worker(transactional_db, monkeypatch):
    from assets import bulk

    empty_queue()
    worker, act, advance = Worker(), bulk._act, bulk.advance

    def act_when_let(*args):
        worker.pass_gate()
        act(*args)

    def advance_and_hang_up(*args, **kwargs):
        try:
            return advance(*args, **kwargs)
        finally:
            connections.close_all()  # of this thread, so that the database can be dropped

    monkeypatch.setattr(bulk, "_act", act_when_let)
    monkeypatch.setattr(bulk, "advance", advance_and_hang_up)
    yield worker
    if worker.thread:
        if worker.gate:
            worker.let(10_000)
        worker.end()


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
