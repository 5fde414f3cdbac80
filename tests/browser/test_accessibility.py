"""Every kind of page: by the rules of axe, on wide and narrow screens, light and dark."""

from uuid import UUID

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import expect

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SETTLED = "Promise.allSettled(document.getAnimations().map(animation => animation.finished)).then(() => 0)"

PAGES = {
    "gallery grid": "/assets/?model=flux",
    "gallery table": "/assets/?view=table",
    "gallery with errors": "/assets/?seed=seven&colour=red",
    "gallery without a match": "/assets/?q=zebra",
    "image": "/assets/{png.id}/?user=ada",
    "video": "/assets/{mp4.id}/",
    "missing file": "/assets/{missing.id}/",
    "file that is missing": "/media/assets/{missing.id}/file",
    "job": "/jobs/{foxes.id}/",
    "user": "/users/{ada.id}/",
    "queries": "/queries/",
    "count": "/assets/count/?model=flux",
    "not found": f"/assets/{UUID(int=1)}/",
}
ADMIN_PAGES = {"admin index": "/admin/", "admin changelist": "/admin/assets/workspaceasset/"}


def violations(page, rules_off=()):
    """What axe finds, on both widths in both themes, as lines to read."""
    options = {"resultTypes": ["violations"], "rules": {rule: {"enabled": False} for rule in rules_off}}
    found = []
    for viewport in (WIDE, NARROW):
        page.set_viewport_size(viewport)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.evaluate(SETTLED)
            results = Axe().run(page, options=options).response["violations"]
            found += [
                f"{viewport['width']} {scheme} {result['id']} {node['html'][:200]} {node['failureSummary']}"
                for result in results
                for node in result["nodes"]
            ]
    return found


def overflow(page):
    """How far the page is wider than a phone."""
    page.set_viewport_size(NARROW)
    return page.evaluate("document.scrollingElement.scrollWidth - innerWidth")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_and_fits_a_phone(visit, complaints, workspace, name):
    page = visit(PAGES[name].format_map(vars(workspace)))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    _forgive_status(complaints, 404)
    assert violations(page) == []
    assert overflow(page) <= 0


def _forgive_status(complaints, status):
    """The browser reports a page that is meant to be refused as a fault."""
    complaints[:] = [text for text in complaints if f"status of {status}" not in text]


def test_the_empty_workspace_is_accessible_and_fits_a_phone(visit):
    page = visit()
    expect(page.get_by_role("heading", name="Nothing here")).to_be_visible()
    assert violations(page) == []
    assert overflow(page) <= 0


def test_pages_with_everything_open_are_accessible_and_fit_a_phone(visit, workspace):
    page = visit()
    page.locator(".tick input").first.click()
    for menu in ("#queries-menu", "#person-menu", "#sort-menu"):
        page.locator(f"{menu} summary").click()
        expect(page.locator(f"{menu} .menu-body")).to_be_visible()
        assert violations(page) == []
        assert overflow(page) <= 0
        page.keyboard.press("Escape")
        page.set_viewport_size(WIDE)
    page.keyboard.press("?")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.set_viewport_size(WIDE)
    page.get_by_role("combobox", name="User").click()
    expect(page.get_by_role("option", name="ada")).to_be_visible()
    page.keyboard.press("ArrowDown")
    assert violations(page) == []


def test_the_login_is_accessible_and_fits_a_phone(page, transactional_db):
    page.goto("/accounts/login/")
    assert violations(page) == []
    assert overflow(page) <= 0
    page.get_by_label("Name").fill("nobody")
    page.get_by_label("Password").fill("nothing")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page) == []
    assert overflow(page) <= 0


def test_the_refusal_is_accessible_and_fits_a_phone(page, enter, complaints, transactional_db):
    enter(page.context, User.objects.create_user("stranger"))
    page.goto("/assets/")
    expect(page.get_by_role("heading", name="Not allowed")).to_be_visible()
    _forgive_status(complaints, 403)
    assert violations(page) == []
    assert overflow(page) <= 0


@pytest.mark.parametrize("name", ADMIN_PAGES)
def test_the_back_office_is_accessible(page, enter, admin, workspace, name):
    enter(page.context, admin)
    page.goto(ADMIN_PAGES[name])
    expect(page.locator("#content h1")).to_be_visible()
    # The stock search field of a list has only its title and its help text.
    assert violations(page, rules_off=["label-title-only"]) == []
