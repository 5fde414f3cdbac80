"""The gallery in use: previews, search, facets, chips, pages, sort and view, each state with its URL."""

import re

import pytest
from playwright.sync_api import expect


def ids(page):
    return page.locator("[data-asset-id]").evaluate_all("all => all.map(one => one.dataset.assetId)")


def expect_total(page, number):
    expect(page.locator("[data-total]")).to_have_attribute("data-total", str(number))


@pytest.mark.parametrize("view", ["grid", "table"])
def test_every_asset_is_shown_with_a_loaded_preview(visit, workspace, view):
    page = visit(f"/assets/?view={view}")
    previews = page.locator("[data-asset-id] img")
    expect(previews).to_have_count(6)
    for preview in previews.all():
        preview.scroll_into_view_if_needed()
        expect(preview).to_have_js_property("complete", True)
        expect(preview).not_to_have_js_property("naturalWidth", 0)


def test_searching_filters_without_a_new_page_and_back_restores(visit, workspace):
    page = visit()
    page.evaluate("window.sameDocument = true")
    page.get_by_role("searchbox").fill("blue ship")
    page.get_by_role("searchbox").press("Enter")
    expect_total(page, 2)
    expect(page).to_have_url(re.compile(r"/assets/\?q=blue(\+|%20)ship$"))
    assert set(ids(page)) == {str(workspace.webp.id), str(workspace.mp4.id)}
    page.go_back()
    expect_total(page, 6)
    expect(page).to_have_url(re.compile(r"/assets/$"))
    expect(page.get_by_role("searchbox")).to_have_value("")
    page.go_forward()
    expect_total(page, 2)
    expect(page.get_by_role("searchbox")).to_have_value("blue ship")
    assert page.evaluate("window.sameDocument")


def test_a_facet_narrows_and_its_chip_widens_again(visit, workspace):
    page = visit()
    page.get_by_role("region", name="Model").get_by_role("link", name="flux").click()
    expect(page).to_have_url(re.compile(r"\?model=flux$"))
    expect_total(page, 3)
    page.get_by_role("region", name="Type").get_by_role("link", name="video").click()
    expect(page).to_have_url(re.compile(r"\?model=flux&type=video$"))
    expect_total(page, 1)
    expect(page.get_by_role("region", name="Type").get_by_role("link", name="video")).to_have_attribute(
        "aria-current", "true"
    )
    page.get_by_role("link", name="Remove Model flux").click()
    expect(page).to_have_url(re.compile(r"\?type=video$"))
    expect(page.get_by_role("link", name="Remove Type video")).to_be_visible()
    page.get_by_role("link", name="Clear all").click()
    expect_total(page, 6)
    expect(page.locator(".chip")).to_have_count(0)


@pytest.mark.parametrize("link", ["Remove Prompt words ship", "Clear all"])
def test_a_removed_search_leaves_the_search_field_too(visit, workspace, link):
    page = visit()
    page.get_by_role("searchbox").fill("ship")
    page.get_by_role("searchbox").press("Enter")
    expect_total(page, 2)
    page.get_by_role("link", name=link).click()
    expect_total(page, 6)
    expect(page.get_by_role("searchbox")).to_have_value("")
    page.get_by_label("Seed").fill("7")
    page.get_by_label("Seed").press("Enter")
    expect(page).to_have_url(re.compile(r"\?seed=7$"))
    expect_total(page, 6)


def test_the_filter_fields_keep_each_other_and_what_links_chose(visit, workspace):
    page = visit("/assets/?model=flux&view=table")
    page.get_by_label("MIME type").fill("video/mp4")
    page.get_by_label("MIME type").press("Enter")
    expect_total(page, 1)
    expect(page).to_have_url(re.compile(r"\?(?=.*model=flux)(?=.*view=table)(?=.*mime=video)"))
    page.get_by_label("Seed").fill("seven")
    page.get_by_label("Seed").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Seed: Write a whole number.")
    expect(page.locator("[data-asset-id]")).to_have_count(0)


def test_pages_turn_by_their_links(visit, many):
    page = visit()
    expect_total(page, 70)
    assert ids(page) == many[:60]
    page.get_by_role("link", name="Next").click()
    expect(page.locator("[data-asset-id]")).to_have_count(10)
    assert ids(page) == many[60:]
    expect(page).to_have_url(re.compile("after="))
    page.get_by_role("link", name="Previous").click()
    expect(page.locator("[data-asset-id]")).to_have_count(60)
    assert ids(page) == many[:60]


def test_pages_turn_by_keys(visit, many):
    page = visit()
    page.keyboard.press("n")
    expect(page.locator("[data-asset-id]")).to_have_count(10)
    assert ids(page) == many[60:]
    page.keyboard.press("p")
    expect(page.locator("[data-asset-id]")).to_have_count(60)
    assert ids(page) == many[:60]


def test_the_sort_menu_orders_by_what_was_chosen(visit, workspace):
    page = visit()
    page.locator("#sort-menu summary").click()
    page.get_by_role("link", name="Oldest first").click()
    expect(page).to_have_url(re.compile(r"\?sort=created_at$"))
    expect(page.locator("#sort-menu summary")).to_contain_text("Oldest first")
    assert ids(page)[0] == str(workspace.png.id)


def test_grid_and_table_switch_and_keep_the_filter(visit, workspace):
    page = visit("/assets/?model=flux")
    page.get_by_role("group", name="View").get_by_role("link", name="Table").click()
    expect(page.get_by_role("table")).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?model=flux&view=table$"))
    page.get_by_role("group", name="View").get_by_role("link", name="Grid").click()
    expect(page.locator(".grid")).to_be_visible()
    expect(page.get_by_role("table")).to_have_count(0)
    expect_total(page, 3)


def test_the_menu_of_queries_fills_when_it_opens(visit, workspace):
    page = visit()
    page.locator("#queries-menu summary").click()
    page.locator("#queries-menu").get_by_role("link", name="Within 1 hour").click()
    expect(page).to_have_url(re.compile(r"\?expires=1h&sort=expires_at$"))
