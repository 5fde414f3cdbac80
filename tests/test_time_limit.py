"""The time that a page's statements may take together, with statements that really are slow."""

import re
import time
from contextlib import suppress
from html import unescape
from urllib.parse import parse_qs

import pytest
from django.core.cache import cache
from django.db import connection
from django.template.loader import render_to_string
from django.utils.module_loading import import_string
from psycopg.errors import DivisionByZero

from tests.factories import make_asset
from workspace.time_limit import TimeLimit

pytestmark = pytest.mark.django_db(transaction=True)


LIMIT = 60  # seconds, which a busy machine does not reach by itself


class Clock:
    """What requests go by; it can be put forward."""

    def __init__(self):
        self.ahead = 0

    def monotonic(self):
        return time.monotonic() + self.ahead

    def advance(self, seconds):
        self.ahead += seconds


@pytest.fixture
def clock(settings, monkeypatch):
    """Told from the first statement on: here no connection has a limit of its own."""
    clock = Clock()
    settings.REQUEST_TIMEOUT = LIMIT
    monkeypatch.setattr("workspace.time_limit.QUICK", 0)
    monkeypatch.setattr("workspace.time_limit.time", clock)
    return clock


def sleep(seconds, times=1):
    with connection.cursor() as cursor:
        for _ in range(times):
            cursor.execute("SELECT pg_sleep(%s)", [seconds])


def be_slow(monkeypatch, seconds, times=1, place="assets.views.gallery.rail_context", clock=None):
    """With a clock, next to nothing is left of the limit by then."""
    real = import_string(place)

    def slow(*args, **kwargs):
        if clock:
            clock.advance(LIMIT - 0.2)
        sleep(seconds, times)
        return real(*args, **kwargs)

    monkeypatch.setattr(place, slow)


def timeout_of_session():
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return cursor.fetchone()[0]


def ways(response):
    """The label of each link of the answer, and the parameters it leads to."""
    found = re.findall(r'<a class="button" href="[^"?]*\?([^"]*)">(.*?)</a>', response.content.decode())
    return {unescape(label): parse_qs(unescape(query)) for query, label in found}


def test_statements_that_are_each_short_have_one_limit_together(client, staff, settings, clock, monkeypatch):
    settings.REQUEST_TIMEOUT = 2
    be_slow(monkeypatch, 0.3, times=20)
    client.force_login(staff)
    started = time.monotonic()
    response = client.get("/assets/")
    assert response.status_code == 503
    assert 2 <= time.monotonic() - started < 5
    assert "stopped after 2 second" in response.content.decode()
    assert timeout_of_session() == "0"


def test_a_statement_that_fits_in_what_is_left_is_not_cut(client, staff, clock, monkeypatch):
    be_slow(monkeypatch, 0.3)
    client.force_login(staff)
    assert client.get("/assets/").status_code == 200
    assert timeout_of_session() == "0"


def test_a_connection_that_cannot_forget_the_limit_is_given_up(client, staff, clock, monkeypatch):
    def break_transaction():
        for statement in ("BEGIN", "SELECT 1 / 0"):
            with suppress(DivisionByZero):
                connection.connection.execute(statement)

    rendered = render_to_string
    monkeypatch.setattr(
        "django.shortcuts.loader.render_to_string",
        lambda *args, **kwargs: (rendered(*args, **kwargs), break_transaction())[0],
    )
    client.force_login(staff)
    assert client.get("/assets/").status_code == 200
    assert timeout_of_session() == "0"


def test_a_quick_page_tells_the_database_nothing(client, staff, monkeypatch):
    told = []
    monkeypatch.setattr("workspace.time_limit.QUICK", 60)
    monkeypatch.setattr(TimeLimit, "_run", lambda limit, connection, statement: told.append(statement))
    client.force_login(staff)
    assert client.get("/assets/").status_code == 200
    assert told == []


def test_an_export_goes_on_after_the_limit(client, staff, clock, monkeypatch):
    for _ in range(4):
        make_asset()
    monkeypatch.setattr("assets.export.ROWS_AT_ONCE", 1)
    monkeypatch.setattr("assets.views.export._hang_up", lambda: clock.advance(0.4 * LIMIT) or sleep(0.1))
    client.force_login(staff)
    response = client.get("/assets/export.jsonl")
    assert len(b"".join(response.streaming_content).splitlines()) == 4
    assert timeout_of_session() == "0"


def test_an_export_hands_its_connection_back_without_what_was_left(client, staff, clock, monkeypatch):
    make_asset()
    handed_back = []
    monkeypatch.setattr("assets.views.export._hang_up", lambda: handed_back.append(timeout_of_session()))
    client.force_login(staff)
    response = client.get("/assets/export.jsonl")
    assert len(b"".join(response.streaming_content).splitlines()) == 1
    assert handed_back == ["0"]


def test_a_change_is_not_broken_off_between_its_statements(client, admin, clock, monkeypatch):
    asset = make_asset()
    be_slow(monkeypatch, 0.3, times=2, place="assets.dispositions.delete", clock=clock)
    client.force_login(admin)
    assert client.post(f"/assets/{asset.id}/delete").status_code == 302


def test_the_answer_names_what_was_asked_for_and_leads_to_less(client, staff, clock, settings, monkeypatch):
    be_slow(monkeypatch, 5, clock=clock)
    client.force_login(staff)
    response = client.get(
        "/assets/?q=fox+%3Cb%3E&setting=steps%3E3&setting=a%3D1&model=sdxl&sort=-file_size_bytes&after=1~2"
    )
    text = response.content.decode()
    for asked in ("Prompt words: fox &lt;b&gt;", "Setting: steps&gt;3", "Setting: a=1", "Model: sdxl"):
        assert asked in text
    assert "Sort: Largest first" in text
    found = ways(response)
    given = {
        "q": ["fox <b>"],
        "setting": ["steps>3", "a=1"],
        "model": ["sdxl"],
        "sort": ["-file_size_bytes"],
    }
    assert found["only videos"] == given | {"type": ["video"]}
    assert found["without the prompt words"] == {key: given[key] for key in given if key != "q"}
    assert found["without the settings"] == {key: given[key] for key in given if key != "setting"}
    assert found["newest first"] == {key: given[key] for key in given if key != "sort"}
    assert found["created within the last day"].keys() == {*given, "created_after"}
    monkeypatch.undo()
    settings.REQUEST_TIMEOUT = 60
    for query in found.values():
        page = client.get("/assets/", query)
        assert page.status_code == 200
        assert 'role="alert"' not in page.content.decode()


def test_what_was_asked_for_is_not_offered_again(client, staff, clock, monkeypatch):
    be_slow(monkeypatch, 5, clock=clock)
    client.force_login(staff)
    for bound in ("created_after", "created_before"):  # of which either may leave nothing of the last day
        assert ways(client.get(f"/assets/?type=video&{bound}=2026-01-01")) == {}


def test_the_order_that_an_index_has_of_a_filter_is_offered_first(client, staff, clock, monkeypatch):
    be_slow(monkeypatch, 5, clock=clock)
    client.force_login(staff)

    def first_way(query):
        clock.ahead = 0
        return next(iter(ways(client.get(f"/assets/?{query}")).items()))

    assert first_way("expires=24h") == ("expiring first", {"expires": ["24h"], "sort": ["expires_at"]})
    largest = {"size_max": ["9"], "sort": ["-file_size_bytes"]}
    assert first_way("size_max=9&sort=created_at") == ("largest first", largest)
    assert first_way("expires_before=2026-01-01&sort=expires_at")[0] == "created within the last hour"


@pytest.mark.parametrize(
    "query", ["q=%00", "setting=%ED%A0%80&odd=1&type=&model=" + "x" * 5000], ids=["NUL", "surrogate"]
)
def test_the_answer_bears_any_question(client, staff, clock, monkeypatch, query):
    be_slow(monkeypatch, 5, clock=clock)
    client.force_login(staff)
    assert client.get(f"/assets/?{query}").status_code == 503


def test_other_pages_and_the_admin_say_so_as_well(client, admin, clock, monkeypatch):
    client.force_login(admin)
    be_slow(monkeypatch, 5, place="assets.views.library.render", clock=clock)
    assert "only images" in ways(client.get("/library/?q=fox"))
    clock.ahead = 0
    late = lambda *_: clock.advance(LIMIT - 0.2) or sleep(5)  # noqa: E731
    monkeypatch.setattr("assets.admin.WorkspaceAssetAdmin.get_queryset", late)
    response = client.get("/admin/assets/workspaceasset/?q=fox")
    assert response.status_code == 503
    assert "Without search and filters" in response.content.decode()


def test_models_that_no_index_tells_apart_do_not_stop_the_gallery(client, staff, monkeypatch):
    make_asset(model_used="sdxl")
    cache.clear()
    monkeypatch.setattr("assets.models.upstream._LOOSE_SCAN", "SELECT pg_sleep(9)::text AS value, '{column}'")
    monkeypatch.setattr("assets.models.upstream.LOOSE_SCAN_IN", 0.1)
    client.force_login(staff)
    response = client.get("/assets/?model=sdxl")
    assert (response.status_code, response.content.count(b"data-asset-id")) == (200, 1)
    cache.clear()
