"""One key for each thing that is done all day."""

import re

from playwright.sync_api import expect


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
    expect(page.get_by_role("article")).to_be_visible()
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
