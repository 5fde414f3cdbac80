"""One key for each thing that is done all day."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from assets.models import Disposition


def test_arrows_move_the_focus_along_and_across_rows(visit, many):
    page = visit()
    links = page.locator(".card-link")
    page.keyboard.press("ArrowRight")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(links.nth(1)).to_be_focused()
    tops = links.evaluate_all("all => all.map(one => one.getBoundingClientRect().top)")
    columns = tops.count(tops[0])
    page.keyboard.press("ArrowDown")
    expect(links.nth(1 + columns)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(links.nth(columns)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(links.nth(0)).to_be_focused()


def test_enter_opens_the_focused_asset_and_g_goes_back(visit, workspace):
    page = visit("/assets/?model=flux")
    page.keyboard.press("ArrowRight")
    first = page.locator(".card").first.get_attribute("data-asset-id")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"/assets/{first}/\?model=flux$"))
    page.keyboard.press("g")
    expect(page).to_have_url(re.compile(r"/assets/\?model=flux$"))


def test_arrows_leaf_through_the_selection_on_an_asset_page(visit, workspace):
    shown = [workspace.missing, workspace.mp4, workspace.webp]  # of this model, newest first
    page = visit(f"/assets/{shown[0].id}/?model=flux")
    expect(page.locator('a[rel="prev"]')).to_have_count(0)
    for asset, key in [(shown[1], "ArrowRight"), (shown[2], "n"), (shown[1], "p"), (shown[0], "ArrowLeft")]:
        page.keyboard.press(key)
        expect(page).to_have_url(re.compile(rf"/assets/{asset.id}/\?model=flux$"))
        expect(page.locator("article")).to_have_attribute("data-asset-id", str(asset.id))
    page.goto(f"/assets/{shown[2].id}/?model=flux")
    expect(page.locator('a[rel="next"]')).to_have_count(0)  # though older assets are of other models


def test_slash_goes_to_the_search_and_escape_leaves_it(visit, workspace):
    page = visit("/assets/?q=ship")
    search = page.get_by_role("searchbox")
    page.keyboard.press("/")
    expect(search).to_be_focused()
    page.keyboard.type("x?/n")  # keys that mean something elsewhere are text here
    expect(search).to_have_value("x?/n")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(search).not_to_be_focused()


def test_f_goes_to_the_filters(visit, workspace):
    page = visit()
    page.keyboard.press("f")
    expect(page.locator(".facet a").first).to_be_focused()


def test_a_question_mark_opens_the_help_and_escape_closes_it(visit, workspace):
    page = visit()
    page.locator(".tick input").first.click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("n")  # nothing happens behind the dialog
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("[data-selected]")).to_have_text("1")


def test_escape_closes_a_menu_and_returns_to_its_button(visit, workspace):
    page = visit()
    page.locator("#person-menu summary").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Log out")).to_be_hidden()
    expect(page.locator("#person-menu summary")).to_be_focused()


# --- Held keys -------------------------------------------------------------------


@pytest.mark.parametrize(("key", "verb"), [("Delete", "deleted"), ("s", "promoted")])
def test_a_key_that_is_held_acts_on_one_asset_and_not_on_the_next(visit_as_admin, stored_asset, key, verb):
    assets = [stored_asset(ago=timedelta(minutes=number)) for number in range(3)]
    page = visit_as_admin(f"/assets/{assets[0].id}/")
    for _ in range(3):
        page.keyboard.down(key)
    expect(page.locator("article")).to_have_attribute("data-asset-id", str(assets[1].id))
    for _ in range(3):
        page.keyboard.down(key)
    page.keyboard.up(key)
    page.keyboard.press("e")
    expect(page.locator(".toast").last).to_contain_text("It expires in 7 days now")
    expect(page.locator("article")).to_have_attribute("data-asset-id", str(assets[1].id))
    assert list(Disposition.objects.values_list("asset_id", "action")) == [(assets[0].id, verb)]


def test_u_that_is_held_undoes_one_thing(visit_as_admin, many):
    page = visit_as_admin()
    for pk in many[:2]:
        page.locator(f'[data-asset-id="{pk}"] .card-link').focus()
        page.keyboard.press("Delete")
        expect(page.locator(f'[data-asset-id="{pk}"]')).to_have_attribute("data-left", "deleted")
    for _ in range(3):
        page.keyboard.down("u")
    page.keyboard.up("u")
    expect(page.locator(f'[data-asset-id="{many[1]}"]')).not_to_have_attribute("data-left", "deleted")
    expect(page.locator("#toasts [data-undo]")).to_have_count(1)
    expect(page.locator(f'[data-asset-id="{many[0]}"]')).to_have_attribute("data-left", "deleted")
