"""Everything by links and forms, in a browser that runs no script."""

import re

import pytest
from playwright.sync_api import expect

from assets.models import Disposition, LibraryAsset, Operation, WorkspaceAsset


def log_in(new_context, name):
    page = new_context(java_script_enabled=False).new_page()
    page.goto("/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill("a good password")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
    return page


@pytest.fixture
def plain(new_context, staff):
    return log_in(new_context, "staff")


@pytest.fixture
def plain_admin(new_context, admin):
    return log_in(new_context, "admins")


def expect_total(page, number):
    expect(page.locator("[data-total]")).to_have_attribute("data-total", str(number))


def test_searching_and_filtering_work_by_form(workspace, plain):
    plain.goto("/assets/")
    plain.get_by_role("searchbox").fill("blue ship")
    plain.get_by_role("searchbox").press("Enter")
    expect_total(plain, 2)
    plain.get_by_label("MIME type").fill("video/mp4")
    plain.get_by_role("button", name="Apply").click()
    expect_total(plain, 1)
    expect(plain.get_by_role("alert")).to_have_count(0)


def test_facets_chips_sort_and_view_work_by_link(workspace, plain):
    plain.goto("/assets/")
    plain.get_by_role("region", name="Model").get_by_role("link", name="flux").click()
    expect_total(plain, 3)
    plain.get_by_role("link", name="Remove Model flux").click()
    expect_total(plain, 6)
    plain.locator("#sort-menu summary").click()
    plain.get_by_role("link", name="Oldest first").click()
    plain.get_by_role("link", name="Table").click()
    expect(plain).to_have_url(re.compile(r"\?sort=created_at&view=table$"))
    expect(plain.get_by_role("row")).to_have_count(7)


def test_pages_and_details_work_by_link(many, plain):
    plain.goto("/assets/")
    plain.get_by_role("link", name="Next").click()
    expect(plain.locator("[data-asset-id]")).to_have_count(10)
    plain.locator(".card-link").first.click()
    expect(plain.get_by_role("article")).to_have_attribute("data-asset-id", many[60])
    plain.get_by_role("link", name="Next").click()
    expect(plain.get_by_role("article")).to_have_attribute("data-asset-id", many[61])
    plain.get_by_role("link", name="Gallery", exact=True).last.click()
    expect_total(plain, 70)


def test_queries_and_logging_out_work(workspace, plain):
    plain.locator("#queries-menu summary").click()
    plain.get_by_role("link", name="All common queries").click()
    expect(plain.get_by_role("heading", name="Common queries")).to_be_visible()
    plain.locator("#person-menu summary").click()
    plain.get_by_role("button", name="Log out").click()
    expect(plain).to_have_url(re.compile(r"/accounts/login/"))


# --- Acting --------------------------------------------------------------------


def tick(page, *assets):
    for asset in assets:
        page.locator(f'[data-asset-id="{asset.id}"] .tick input').check()


def expect_state(page, state):
    expect(page.locator("#operation")).to_have_attribute("data-state", state)


def test_ticked_assets_are_deleted_after_a_confirmation_and_undone(workspace, plain_admin, worker):
    plain_admin.goto("/assets/")
    tick(plain_admin, workspace.png, workspace.mp4)
    plain_admin.locator("#selection").get_by_role("button", name="Delete").click()
    expect(plain_admin.get_by_role("heading", name="Delete: 2 assets?")).to_be_visible()
    plain_admin.get_by_role("button", name="Delete: 2 assets").click()
    expect_state(plain_admin, "running")
    worker.run()
    expect_state(plain_admin, "finished")  # the page renews itself
    expect(plain_admin.locator("[data-done]")).to_have_text("2")
    assert not WorkspaceAsset.objects.filter(id__in=[workspace.png.id, workspace.mp4.id]).exists()
    plain_admin.get_by_role("link", name="To the gallery").click()
    expect_total(plain_admin, 4)
    plain_admin.go_back()
    plain_admin.get_by_role("button", name=re.compile("^Undo")).click()
    expect_state(plain_admin, "undoing")
    worker.run()
    expect_state(plain_admin, "undone")
    assert WorkspaceAsset.objects.count() == 6


def test_all_that_match_are_saved_by_form(workspace, plain_admin, worker):
    plain_admin.goto("/assets/?user=ada")
    expect(plain_admin.get_by_text("0 selected")).to_be_hidden()  # what is ticked is not counted
    plain_admin.get_by_label("All 3 matching").check()
    expect(plain_admin.get_by_role("button", name="Compare")).to_have_count(0)
    plain_admin.locator("#selection").get_by_role("button", name="Save").click()
    plain_admin.get_by_label("Title").fill("Foxes")
    plain_admin.get_by_role("button", name="Save to the library: 3 assets").click()
    expect_state(plain_admin, "running")
    worker.run()
    expect_state(plain_admin, "finished")
    plain_admin.goto("/library/?title=Foxes")
    expect_total(plain_admin, 3)


def test_deleting_without_a_tick_selects_nothing(workspace, plain_admin):
    plain_admin.goto("/assets/")
    plain_admin.locator("#selection").get_by_role("button", name="Delete").click()
    expect(plain_admin.get_by_role("heading", name="Nothing is selected")).to_be_visible()
    assert not Operation.objects.exists()


def test_some_of_a_job_are_kept_by_form(workspace, plain_admin, worker):
    plain_admin.goto(f"/jobs/{workspace.foxes.id}/")
    tick(plain_admin, workspace.png)
    plain_admin.get_by_role("button", name="Save these, delete the rest").click()
    plain_admin.get_by_role("button", name=re.compile("^Save some, delete the rest")).click()
    expect_state(plain_admin, "running")
    worker.run()
    expect_state(plain_admin, "finished")
    assert list(LibraryAsset.objects.values_list("id", flat=True)) == [workspace.png.id]
    assert not WorkspaceAsset.objects.for_job(workspace.foxes.id).exists()


@pytest.mark.parametrize(
    ("button", "text"),
    [("Save", "Saved to the library"), ("Delete", "Deleted"), ("Extend", "It expires in 7 days now")],
)
def test_one_asset_is_acted_on_and_undone_by_the_button_in_the_message(workspace, plain_admin, button, text):
    asset = workspace.mp4
    row = WorkspaceAsset.objects.filter(pk=asset.pk).values().get()
    plain_admin.goto(f"/assets/{asset.id}/?model=flux")
    plain_admin.locator("[data-verbs]").get_by_role("button", name=button).click()
    message = plain_admin.locator(".toast")
    expect(message).to_contain_text(text)
    assert WorkspaceAsset.objects.filter(pk=asset.pk).values().first() != row
    message.get_by_role("button", name="Undo").click()
    expect(message).to_have_count(1)
    expect(message).not_to_contain_text(text)
    assert WorkspaceAsset.objects.filter(pk=asset.pk).values().get() == row
    assert not LibraryAsset.objects.exists()


def test_what_was_removed_is_restored_on_its_page(workspace, plain_admin):
    plain_admin.goto(f"/assets/{workspace.png.id}/")
    plain_admin.locator("[data-verbs]").get_by_role("button", name="Delete").click()
    expect(plain_admin.locator(".toast")).to_contain_text("Deleted")
    plain_admin.goto("/removed/?state=restorable")
    expect_total(plain_admin, 1)
    plain_admin.get_by_role("button", name="Restore a red fox in the snow").click()
    expect(plain_admin).to_have_url(re.compile(r"/removed/\?state=restorable$"))
    expect(plain_admin.locator(".toast")).to_contain_text("Back in the workspace")
    expect_total(plain_admin, 0)
    assert Disposition.objects.get().restored_by.username == "admins"
    assert WorkspaceAsset.objects.count() == 6


def test_nothing_is_offered_that_takes_a_script(workspace, plain):
    plain.goto(f"/assets/{workspace.nsfw.id}/")
    plain.locator("#person-menu summary").click()
    expect(plain.get_by_role("button", name="Log out")).to_be_visible()
    expect(plain.get_by_role("button", name=re.compile("^(Copy|Light|NSFW|Keyboard)"))).to_have_count(0)
