"""Operations from the gallery to their end: what was shown is what is done, watched, stopped and undone."""

import re

import pytest
from django.core.cache import cache
from playwright.sync_api import expect

from assets import bulk
from assets.models import Disposition, LibraryAsset, Operation, WorkspaceAsset
from tests.factories import make_assets

OPERATION = re.compile(r"/operations/\d+/$")


@pytest.fixture
def chunks(monkeypatch):
    """Has operations take so many assets at once."""

    def take(number):
        monkeypatch.setattr(bulk, "CHUNK", dict.fromkeys(bulk.CHUNK, number))
        monkeypatch.setattr(bulk, "UNDO_CHUNK", number)

    return take


def expect_total(page, number):
    expect(page.locator("[data-total]")).to_have_attribute("data-total", str(number))


def expect_state(page, state):
    expect(page.locator("#operation")).to_have_attribute("data-state", state)


def expect_settled(page, number):
    expect(page.get_by_role("progressbar")).to_have_js_property("value", number)


def bar(page):
    return page.locator("#selection")


def select_all(page, number):
    page.get_by_role("button", name="Select page").first.click()
    bar(page).get_by_label(f"All {number} matching").check()


def choose(page, action):
    bar(page).locator(f'button[name="action"][value="{action}"]').click()
    expect(page).to_have_url(OPERATION)


def frozen(operation):
    return {str(pk) for pk in operation.items.values_list("asset_id", flat=True)}


def confirm(page):
    page.locator(".confirmation .actions button").first.click()


def start(page):
    confirm(page)
    expect_state(page, "running")


def undo(page):
    page.get_by_role("button", name=re.compile("^Undo")).click()
    expect_state(page, "undoing")


# --- From a selection to its end -----------------------------------------------


def test_all_that_match_are_deleted_stopped_half_way_resumed_and_undone(
    visit_as_admin, worker, chunks, forgive
):
    chunks(100)  # as many as a lane has
    make_assets(1_200, model_used="flux")
    make_assets(5, model_used="sdxl")
    page = visit_as_admin("/assets/?model=flux")
    select_all(page, "1,200")
    choose(page, "delete")
    expect(page.get_by_role("heading", name="Delete: 1,200 assets?")).to_be_visible()
    expect(page.locator("[data-operation-total]")).to_have_attribute("data-operation-total", "1200")
    assert WorkspaceAsset.objects.count() == 1_205

    # Only by its number.
    confirm(page)
    expect_state(page, "ready")
    expect(page.get_by_label("Type 1200 to confirm")).to_be_focused()
    page.get_by_label("Type 1200 to confirm").fill("1199")
    with page.expect_response(lambda response: response.status == 400):
        confirm(page)
    expect(page.get_by_role("alert")).to_contain_text("Type 1200 to confirm")
    expect_state(page, "ready")
    forgive(400)
    page.get_by_label("Type 1200 to confirm").fill("1200")
    start(page)

    # It moves, without a new page.
    expect_settled(page, 0)
    page.evaluate("window.sameDocument = true")
    worker.hold()
    worker.start()
    worker.let(4)
    expect_settled(page, 400)
    expect(page.locator("[data-done]")).to_have_text("400")
    expect(page.locator(".run")).to_contain_text("400 of 1,200")
    worker.let(2)
    expect_settled(page, 600)
    assert page.evaluate("window.sameDocument")

    # What is left when it is stopped, stays. A chunk that has begun comes to its end.
    page.get_by_role("button", name="Cancel").hover()
    page.mouse.down()
    with page.expect_response(OPERATION):  # the page renews itself, but not what is pressed
        pass
    page.mouse.up()
    expect_state(page, "cancelled")
    expect(page.locator("#operation")).to_contain_text("Stopping: what is under way is being finished.")
    expect(page.get_by_role("button", name="Go on")).to_have_count(0)
    worker.let(1)
    worker.end()
    expect_settled(page, 700)
    expect(page.get_by_role("button", name="Go on")).to_be_visible()
    assert WorkspaceAsset.objects.filter(model_used="flux").count() == 500
    page.get_by_role("link", name="To the gallery").click()
    expect_total(page, 505)

    page.go_back()
    page.get_by_role("button", name="Go on").click()
    expect_state(page, "running")
    worker.run()
    expect_state(page, "finished")
    expect_settled(page, 1_200)
    assert set(WorkspaceAsset.objects.values_list("model_used", flat=True)) == {"sdxl"}

    undo(page)
    worker.run()
    expect_state(page, "undone")
    expect(page.locator("#operation")).to_contain_text("1,200 of 1,200 brought back by admins.")
    expect(page.get_by_role("button", name=re.compile("^Undo"))).to_have_count(0)
    page.goto("/assets/?model=flux")
    expect_total(page, 1_200)
    assert WorkspaceAsset.objects.count() == 1_205
    assert Disposition.objects.filter(restored_at=None).count() == 0


def test_assets_are_saved_with_their_files_and_the_library_shows_them(visit_as_admin, worker, workspace):
    page = visit_as_admin("/assets/?user=ada")
    select_all(page, 3)
    choose(page, "promote")
    expect(page.get_by_role("heading", name="Save to the library: 3 assets?")).to_be_visible()
    page.get_by_label("Tags, divided by commas").fill("fox, winter")
    start(page)
    worker.run()
    expect_state(page, "finished")
    expect(page.locator("[data-done]")).to_have_text("3")
    saved = {workspace.png.id, workspace.jpeg.id, workspace.nsfw.id}
    assert set(LibraryAsset.objects.values_list("id", flat=True)) == saved

    page.get_by_role("navigation", name="Main").get_by_role("link", name="Library").click()
    expect_total(page, 3)
    for preview in page.locator("[data-asset-id] img").all():
        preview.scroll_into_view_if_needed()
        expect(preview).not_to_have_js_property("naturalWidth", 0)
    page.locator(f'[data-asset-id="{workspace.png.id}"] .card-link').click()
    expect(page.locator(".stage img")).to_have_js_property("naturalWidth", 320)
    expect(page.get_by_role("article")).to_contain_text("winter")
    expect(page.get_by_role("article")).to_contain_text(workspace.png.temp_storage_path)

    page.get_by_role("button", name="Return to workspace").click()
    expect(page.locator(".toast")).to_contain_text("Back in the workspace")
    page.goto("/assets/?user=ada")
    expect_total(page, 1)
    assert LibraryAsset.objects.count() == 2


def test_what_fails_is_said_stays_and_can_be_tried_again(visit_as_admin, worker, workspace):
    page = visit_as_admin("/assets/?model=flux")
    select_all(page, 3)
    choose(page, "promote")
    start(page)
    worker.run()
    expect_state(page, "finished")
    expect(page.locator("[data-done]")).to_have_text("2")
    failed = page.locator('[data-result="failed"]')
    expect(failed).to_have_count(1)
    expect(failed).to_contain_text(str(workspace.missing.id))
    page.get_by_role("button", name="Try the failed again").click()
    expect_state(page, "running")
    worker.run()
    expect_state(page, "finished")
    expect(failed).to_have_count(1)
    assert set(WorkspaceAsset.objects.filter(model_used="flux")) == {workspace.missing}


def test_an_extension_of_many_is_done_and_undone(visit_as_admin, worker, many):
    before = dict(WorkspaceAsset.objects.values_list("id", "expires_at"))
    page = visit_as_admin()
    select_all(page, 70)
    choose(page, "extend")
    start(page)
    worker.run()
    expect_state(page, "finished")
    after = dict(WorkspaceAsset.objects.values_list("id", "expires_at"))
    assert all(after[pk] > before[pk] for pk in before)
    undo(page)
    worker.run()
    expect_state(page, "undone")
    assert dict(WorkspaceAsset.objects.values_list("id", "expires_at")) == before


def test_one_goes_on_in_the_gallery_while_it_runs(visit_as_admin, many):
    page = visit_as_admin("/assets/?model=sdxl")
    select_all(page, 70)
    choose(page, "delete")
    cache.clear()  # the line about what is under way is renewed only now and then
    page.get_by_role("button", name="Start, and back to the gallery").click()
    expect(page).to_have_url(re.compile(r"/assets/\?model=sdxl$"))
    expect(page.get_by_text("1 operation under way")).to_be_visible()
    page.locator(".toast").get_by_role("link").click()
    expect_state(page, "running")


def test_a_confirmation_that_is_put_away_does_nothing(visit_as_admin, many):
    page = visit_as_admin()
    select_all(page, 70)
    choose(page, "delete")
    page.get_by_role("button", name="Put away").click()
    expect(page.locator(".toast")).to_contain_text("Put away: nothing was done.")
    expect_total(page, 70)
    assert Operation.objects.get().state == "cancelled"


# --- What is selected ----------------------------------------------------------


def test_ticks_on_two_pages_are_all_of_the_operation_and_then_cleared(visit_as_admin, many):
    page = visit_as_admin()
    for index in (0, 5):
        page.locator(".tick input").nth(index).click()
    page.get_by_role("link", name="Next").click()
    expect(page.locator("[data-asset-id]")).to_have_count(10)
    page.locator(".tick input").nth(3).click()
    expect(page.locator("[data-selected]")).to_have_text("3")
    choose(page, "delete")
    expect(page.get_by_role("heading", name="Delete: 3 assets?")).to_be_visible()
    assert frozen(Operation.objects.get()) == {many[0], many[5], many[63]}
    page.goto("/assets/")
    expect(bar(page)).to_be_hidden()
    expect(page.locator(".tick input:checked")).to_have_count(0)


def test_a_selection_that_is_refused_stays_ticked(visit_as_admin, forgive, many):
    page = visit_as_admin()
    page.locator(".tick input").first.click()
    page.locator(".tick input").nth(1).click()
    bar(page).get_by_label("All 70 matching").check()
    page.locator('#selection input[name="filter"]').evaluate("field => (field.value = 'colour=red')")
    bar(page).locator('button[value="delete"]').click()
    expect(page.get_by_role("heading", name="Nothing is selected")).to_be_visible()
    expect(page.locator("main")).to_contain_text("Nothing has been done.")
    forgive(400)
    assert not Operation.objects.exists()
    page.goto("/assets/")
    expect(page.locator("[data-selected]")).to_have_text("2")
    expect(page.locator(".tick input:checked")).to_have_count(2)


def test_ticks_stay_while_another_operation_is_looked_at(visit_as_admin, admin, many):
    other = bulk.freeze_ticked([many[9]], action=Operation.Action.DELETE, actor=admin)
    page = visit_as_admin()
    page.locator(".tick input").first.click()
    page.goto(f"/operations/{other.pk}/")
    expect_state(page, "ready")
    page.goto("/assets/")
    expect(page.locator("[data-selected]")).to_have_text("1")


def test_a_tick_taken_back_after_a_failed_try_is_not_of_the_operation(visit_as_admin, many):
    page = visit_as_admin()
    page.locator(".tick input").first.click()
    page.get_by_role("link", name="Next").click()
    expect(page.locator("[data-asset-id]")).to_have_count(10)
    page.locator(".tick input").first.click()
    page.route("**/operations/", lambda route: route.fulfill(status=204))  # the page stays as it is
    with page.expect_response("**/operations/"):
        bar(page).locator('button[value="delete"]').click()
    page.unroute("**/operations/")
    page.get_by_role("link", name="Previous").click()
    expect(page.locator("[data-asset-id]")).to_have_count(60)
    page.locator(".tick input").first.click()
    expect(page.locator("[data-selected]")).to_have_text("1")
    choose(page, "delete")
    assert frozen(Operation.objects.get()) == {many[60]}


@pytest.mark.parametrize("way", ["facet", "chip", "search", "back"])
def test_all_means_the_filter_that_is_shown_now(visit_as_admin, workspace, way):
    page = visit_as_admin("/assets/?user=ben" if way == "chip" else "/assets/")
    page.evaluate("window.sameDocument = true")
    page.locator(".tick input").first.click()
    bar(page).locator('[name="select"]').check()
    if way == "facet":
        page.get_by_role("region", name="Type").get_by_role("link", name="video").click()
        query, number = "type=video", 1
    elif way == "chip":
        page.get_by_role("link", name="Remove User ben").click()
        query, number = "", 6
    elif way == "search":
        page.get_by_role("searchbox").fill("blue ship")
        page.get_by_role("searchbox").press("Enter")
        query, number = "q=blue%20ship", 2
    else:
        page.get_by_role("region", name="Type").get_by_role("link", name="video").click()
        expect_total(page, 1)
        page.go_back()
        query, number = "", 6
    expect_total(page, number)
    assert page.evaluate("window.sameDocument")  # it was filtered by htmx, not loaded anew
    # What was ticked of another filter is not ticked of this.
    expect(bar(page).locator('[name="select"]')).not_to_be_checked()
    bar(page).get_by_label(f"All {number} matching").check()
    choose(page, "delete")
    expect(page.locator("[data-operation-total]")).to_have_attribute("data-operation-total", str(number))
    operation = Operation.objects.get()
    assert (operation.filter, operation.total) == (query, number)
    shown = {
        "type=video": {workspace.mp4.id},
        "q=blue%20ship": {workspace.webp.id, workspace.mp4.id},
        "": set(WorkspaceAsset.objects.values_list("id", flat=True)),
    }
    assert frozen(operation) == {str(pk) for pk in shown[query]}


def test_nothing_can_be_selected_by_a_filter_that_is_not_understood(visit_as_admin, workspace):
    page = visit_as_admin()
    page.locator(".tick input").first.click()
    page.get_by_label("Seed").fill("seven")
    page.get_by_label("Seed").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Seed: Write a whole number.")
    expect(bar(page).locator('[name="select"]')).to_have_count(0)
    expect(page.locator("[data-selected]")).to_have_text("1")


def test_what_arrives_after_the_confirmation_is_not_touched(visit_as_admin, worker, many):
    page = visit_as_admin("/assets/?model=sdxl")
    select_all(page, 70)
    choose(page, "delete")
    [late] = make_assets(1)
    start(page)
    worker.run()
    expect_state(page, "finished")
    expect(page.locator("[data-done]")).to_have_text("70")
    assert list(WorkspaceAsset.objects.all()) == [late]


def test_some_of_a_job_are_saved_and_the_rest_is_deleted(visit_as_admin, worker, workspace):
    page = visit_as_admin(f"/jobs/{workspace.foxes.id}/")
    page.locator(f'[data-asset-id="{workspace.png.id}"] .tick input').click()
    expect(bar(page).locator('[name="select"]')).to_have_count(0)
    page.get_by_role("button", name="Save these, delete the rest").click()
    expect(page).to_have_url(OPERATION)
    figures = page.locator(".figures")
    expect(figures.locator("div", has_text=re.compile("^Save"))).to_contain_text("1")
    expect(figures.locator("div", has_text=re.compile("^Delete"))).to_contain_text("2")
    start(page)
    worker.run()
    expect_state(page, "finished")
    assert list(LibraryAsset.objects.values_list("id", flat=True)) == [workspace.png.id]
    assert not WorkspaceAsset.objects.for_job(workspace.foxes.id).exists()
    assert WorkspaceAsset.objects.for_job(workspace.ships.id).count() == 3
    page.goto(f"/jobs/{workspace.foxes.id}/")
    expect(page.get_by_text("None of its assets are in the workspace")).to_be_visible()


# --- Who may -------------------------------------------------------------------


@pytest.mark.parametrize("role", ["staff", "reviewer"])
def test_who_may_not_act_watches_without_buttons(page, enter, request, admin, many, role):
    operation = bulk.freeze_filter("model=sdxl", action=Operation.Action.DELETE, actor=admin)
    enter(page.context, request.getfixturevalue(role))
    page.goto(f"/operations/{operation.pk}/")
    expect(page.get_by_text("It waits for somebody who may confirm it.")).to_be_visible()
    expect(page.locator("#operation form")).to_have_count(0)
    bulk.start(operation, actor=admin, confirmed=None, options={})
    page.reload()
    expect_state(page, "running")
    expect(page.locator("#operation form")).to_have_count(0)
    bulk.advance(operation.pk)
    expect_state(page, "finished")
    expect(page.locator("#operation form")).to_have_count(0)
