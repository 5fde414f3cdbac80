"""Every kind of page: by the rules of axe, on wide and narrow screens, light and dark."""

from uuid import UUID

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from playwright.sync_api import expect

from assets import bulk, dispositions, rollups
from assets.models import Disposition, Operation, WorkspaceAsset
from assets.reviews import review
from tests.factories import make_assets

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# Each width and each theme once: a theme changes colours alone, which take axe most of its time.
LOOKS = ((WIDE, "light"), (NARROW, "dark"))
OTHER_LOOKS = ((WIDE, "dark"), (NARROW, "light"))
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
    "comparison": "/assets/compare/?id={png.id}&id={webp.id}&id={mp4.id}&id={nsfw.id}&all=1",
    "comparison of two": "/assets/compare/?id={png.id}&id={webp.id}",
    "overview before its first count": "/overview/",
    "queries": "/queries/",
    "views": "/views/",
    "settings that occur": "/assets/settings/?user=ada",
    "count": "/assets/count/?model=flux",
    "not found": f"/assets/{UUID(int=1)}/",
}
DEPARTURE_PAGES = {
    "library": "/library/",
    "library without a match": "/library/?title=zebra",
    "library detail": "/library/{png.id}/",
    "removed": "/removed/",
    "removed with errors": "/removed/?actor=nobody&colour=red",
    "removed entry": "/removed/{deletion.id}/",
    "removed entry of a saved one": "/removed/{promotion.id}/",
    "removed entry of one that came back": "/removed/{return_.id}/",
    "operations": "/operations/",
}
OPERATIONS = ("preparing", "ready", "typed", "keep", "running", "cancelled", "failures", "undoing", "undone")
ADMIN_PAGES = {"admin index": "/admin/", "admin changelist": "/admin/assets/workspaceasset/"}


@pytest.fixture
def departures(workspace, admin):
    """Of the workspace, some were saved, deleted and brought back."""
    dispositions.promote([workspace.png.id], actor=admin)
    dispositions.delete([workspace.webp.id, workspace.mp4.id], actor=admin)
    entries = {entry.asset_id: entry for entry in Disposition.objects.all()}
    workspace.promotion = entries[workspace.png.id]
    workspace.deletion = entries[workspace.webp.id]
    workspace.return_ = entries[workspace.mp4.id]
    dispositions.restore([workspace.return_.id], actor=admin)
    _operation("failures", workspace, admin)
    return workspace


def _operation(name, workspace, admin):
    """An operation of each kind to be looked at."""
    if name == "typed":
        make_assets(1_001, workspace.ada, workspace.foxes)
        return bulk.freeze_filter("user=ada", action=Operation.Action.DELETE, actor=admin)
    if name == "keep":
        return bulk.freeze_job(workspace.foxes.id, keep=[workspace.png.id], actor=admin)
    if name == "failures":
        ids = [workspace.missing.id, workspace.jpeg.id, workspace.nsfw.id]
        return _run(
            bulk.freeze_ticked(ids, action=Operation.Action.PROMOTE, actor=admin), admin, gone=ids[-1]
        )
    operation = bulk.freeze_filter("", action=Operation.Action.DELETE, actor=admin)
    if name == "preparing":
        Operation.objects.filter(pk=operation.pk).update(state=Operation.State.PREPARING)
    if name in {"running", "cancelled"}:
        bulk.start(operation, actor=admin, confirmed=None, options={})
    if name == "cancelled":
        bulk.cancel(operation)
    if name in {"undoing", "undone"}:
        _run(operation, admin)
        bulk.undo(operation, actor=admin)
    if name == "undone":
        bulk.advance(operation.pk)
    return operation


def _run(operation, admin, gone=None):
    bulk.start(operation, actor=admin, confirmed=None, options={})
    if gone:
        dispositions.delete([gone], actor=admin)
    bulk.advance(operation.pk)
    operation.refresh_from_db()
    return operation


AXE = Axe().axe_script


def violations(page, rules_off=(), looks=LOOKS):
    """What axe finds, on both widths and in both themes, as lines to read."""
    options = {"resultTypes": ["violations"], "rules": {rule: {"enabled": False} for rule in rules_off}}
    found = []
    page.wait_for_load_state()
    page.evaluate(AXE)
    for viewport, scheme in looks:
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        page.evaluate(SETTLED)
        results = page.evaluate("options => axe.run(options)", options)["violations"]
        found += [
            f"{viewport['width']} {scheme} {result['id']} {node['html'][:200]} {node['failureSummary']}"
            for result in results
            for node in result["nodes"]
        ]
    return found


def overflow(page):
    """How far the page is wider than a phone, or than a small one: 1280 pixels at four times their size."""
    found = []
    for viewport in (NARROW, NARROW | {"width": 320}):
        page.set_viewport_size(viewport)
        found.append(page.evaluate("document.scrollingElement.scrollWidth - innerWidth"))
    return max(found)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_and_fits_a_phone(visit, forgive, workspace, name):
    page = visit(PAGES[name].format_map(vars(workspace)))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    forgive(404)
    assert violations(page) == []
    assert overflow(page) <= 0


@pytest.mark.parametrize("looks", [LOOKS, OTHER_LOOKS], ids=["one way", "the other way round"])
def test_the_overview_is_accessible_and_fits_a_phone(visit, departures, looks):
    rollups.refresh()
    page = visit("/overview/")
    page.locator("summary", has_text="As a table").first.click()
    assert violations(page, looks=looks) == []
    assert overflow(page) <= 0


@pytest.mark.parametrize("name", ["gallery grid", "image", "comparison"])
def test_a_page_is_accessible_the_other_way_round(visit, workspace, name):
    page = visit(PAGES[name].format_map(vars(workspace)))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert violations(page, looks=OTHER_LOOKS) == []


@pytest.mark.parametrize("name", DEPARTURE_PAGES)
def test_a_page_about_what_left_is_accessible_and_fits_a_phone(visit_as_admin, departures, name):
    page = visit_as_admin(DEPARTURE_PAGES[name].format_map(vars(departures)))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert violations(page) == []
    assert overflow(page) <= 0


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_accessible_and_fits_a_phone_in_each_state(visit_as_admin, workspace, admin, name):
    operation = _operation(name, workspace, admin)
    page = visit_as_admin(f"/operations/{operation.pk}/")
    page.route(page.url, lambda route: route.fulfill(status=204))  # it is looked at as it is now
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert violations(page) == []
    assert overflow(page) <= 0


def test_a_refused_confirmation_is_accessible_and_fits_a_phone(visit_as_admin, forgive, workspace, admin):
    operation = _operation("typed", workspace, admin)
    page = visit_as_admin(f"/operations/{operation.pk}/")
    page.get_by_label("Type 1004 to confirm").fill("7")
    page.get_by_role("button", name="Delete: 1,004 assets").click()
    expect(page.get_by_role("alert")).to_be_visible()
    forgive(400)
    assert violations(page) == []
    assert overflow(page) <= 0


@pytest.mark.parametrize("view", ["grid", "table"])
def test_an_open_selection_and_toasts_are_accessible_and_fit_a_phone(visit_as_admin, admin, workspace, view):
    for asset, verdict in ((workspace.jpeg, "approved"), (workspace.mp4, "flagged")):
        review([asset.pk], verdict=verdict, note="n" * 300, reviewer=admin)
    page = visit_as_admin(f"/assets/?view={view}")
    for asset, key in ((workspace.png, "Delete"), (workspace.missing, "s"), (workspace.webp, "e")):
        page.locator(f'[data-asset-id="{asset.id}"] .card-link').focus()
        page.keyboard.press(key)
        expect(page.locator(".toast:last-child")).to_contain_text(
            {"s": "Not saved", "e": "It expires in 7 days now", "Delete": "Deleted"}[key]
        )
    page.locator(".toast").last.hover()  # they stay as long as the pointer is there
    page.locator(".tick input:enabled").first.check()
    expect(page.locator("#selection")).to_be_visible()
    page.locator("#selection").get_by_text("Review").click()
    assert violations(page) == []
    assert overflow(page) <= 0
    expect(page.get_by_role("alert")).to_be_visible()


def test_the_job_and_its_selection_are_accessible_and_fit_a_phone(visit_as_admin, workspace):
    page = visit_as_admin(f"/jobs/{workspace.foxes.id}/")
    page.locator(".tick input").first.click()
    expect(page.get_by_role("button", name="Save these, delete the rest")).to_be_visible()
    assert violations(page) == []
    assert overflow(page) <= 0


def test_an_asset_with_its_verbs_is_accessible_and_fits_a_phone(visit_as_admin, admin, workspace):
    review([workspace.png.pk], verdict="flagged", note="n" * 300, reviewer=admin)
    page = visit_as_admin(f"/assets/{workspace.png.id}/?model=flux")
    page.get_by_text("Save with a title or tags").click()
    assert violations(page) == []
    assert overflow(page) <= 0


ODD_SETTINGS = {
    "steps": 30, "worker_reported_steps": 28, "seed": 5, "negative_prompt": "blurry, " * 400, "sampler": None,
    "x" * 300: "y" * 900, "": "", "\u202ertl": "\u202eabc", "<b>": "<script>alert(1)</script>",
    "loras": [{"path": "film", "deep": {"a": {"b": {"c": {"d": {"e": {"f": ["z" * 900]}}}}}}}, [], {}],
}  # fmt: skip


def test_odd_settings_with_everything_open_are_accessible_and_fit_a_phone(visit, workspace):
    WorkspaceAsset.objects.filter(id=workspace.png.id).update(generation_settings=ODD_SETTINGS)
    page = visit(f"/assets/{workspace.png.id}/")
    for summary in page.locator(".inspector summary").all():
        summary.click()
    expect(page.locator("#copy-diffusers")).to_be_visible()
    assert violations(page) == []
    assert overflow(page) <= 0


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


def test_the_refusal_is_accessible_and_fits_a_phone(page, enter, forgive, transactional_db):
    enter(page.context, User.objects.create_user("stranger"))
    page.goto("/assets/")
    expect(page.get_by_role("heading", name="Not allowed")).to_be_visible()
    forgive(403)
    assert violations(page) == []
    assert overflow(page) <= 0


@pytest.mark.parametrize("name", ADMIN_PAGES)
def test_the_back_office_is_accessible(page, enter, admin, workspace, name):
    enter(page.context, admin)
    page.goto(ADMIN_PAGES[name])
    expect(page.locator("#content h1")).to_be_visible()
    # The stock search field of a list has only its title and its help text.
    assert violations(page, rules_off=["label-title-only"]) == []
