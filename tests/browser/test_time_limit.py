"""A list that takes too long, in the page that asked for a part of it."""

from django.db import connection
from playwright.sync_api import expect


def test_a_filter_that_takes_too_long_says_so_in_place(visit, workspace, settings, monkeypatch, forgive):
    page = visit()
    page.evaluate("window.sameDocument = true")

    def slow(*args):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(6)")

    forgive(503)
    settings.REQUEST_TIMEOUT = 2
    with monkeypatch.context() as patch:
        patch.setattr("workspace.time_limit.QUICK", 0)
        patch.setattr("assets.views.gallery.rail_context", slow)
        page.get_by_role("searchbox").fill("blue ship")
        page.get_by_role("searchbox").press("Enter")
        expect(page.get_by_role("heading", name="This took too long")).to_be_visible()
        assert page.evaluate("window.sameDocument")
    settings.REQUEST_TIMEOUT = 60
    page.get_by_role("link", name="without the prompt words").click()
    expect(page.locator("[data-total]")).to_have_attribute("data-total", "6")
