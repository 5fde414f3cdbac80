"""Ticking assets, by pointer and by key."""

import re

import pytest
from playwright.sync_api import expect


def tick(page, index):
    return page.locator(".tick input").nth(index)


def expect_selected(page, number):
    if number:
        expect(page.locator("#selection")).to_be_visible()
        expect(page.locator("[data-selected]")).to_have_text(str(number))
    else:
        expect(page.locator("#selection")).to_be_hidden()


@pytest.mark.parametrize("view", ["grid", "table"])
def test_a_click_ticks_and_a_shift_click_ticks_the_range(visit, many, view):
    page = visit(f"/assets/?view={view}")
    expect_selected(page, 0)
    tick(page, 2).click()
    expect_selected(page, 1)
    tick(page, 6).click(modifiers=["Shift"])
    expect_selected(page, 5)
    assert [tick(page, index).is_checked() for index in range(1, 8)] == [False, *[True] * 5, False]
    tick(page, 4).click()
    expect_selected(page, 4)
    expect(page.locator("[data-asset-id]").nth(4)).not_to_have_class(re.compile("selected"))


def test_x_ticks_the_focused_asset_and_shift_x_the_range(visit, many):
    page = visit()
    links = page.locator(".card-link")
    links.nth(0).focus()
    page.keyboard.press("x")
    expect_selected(page, 1)
    links.nth(3).focus()
    page.keyboard.press("Shift+X")
    expect_selected(page, 4)
    page.keyboard.press("x")
    expect_selected(page, 3)
    expect(tick(page, 3)).not_to_be_checked()


def test_a_selection_survives_paging_and_goes_with_escape(visit, many):
    page = visit()
    tick(page, 0).click()
    page.get_by_role("link", name="Next").click()
    expect(page.locator("[data-asset-id]")).to_have_count(10)
    expect_selected(page, 1)
    page.locator("#selection").get_by_role("button", name="Select page").click()
    expect_selected(page, 11)
    page.goto("/assets/")
    expect_selected(page, 11)
    expect(tick(page, 0)).to_be_checked()
    page.keyboard.press("Escape")
    expect_selected(page, 0)
    expect(tick(page, 0)).not_to_be_checked()


def test_escape_clears_also_right_after_a_tick(visit, many):
    page = visit()
    tick(page, 0).click()
    expect(tick(page, 0)).to_be_focused()
    page.keyboard.press("Escape")
    expect_selected(page, 0)


def test_the_bar_copies_ids_and_clears(visit, many):
    page = visit()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tick(page, 0).click()
    tick(page, 1).click()
    page.get_by_role("button", name="Copy IDs").click()
    expect(page.locator("#announcer")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()").split() == many[:2]
    page.get_by_role("button", name="Clear").click()
    expect_selected(page, 0)


def test_all_that_match_are_counted_until_the_selection_is_cleared(visit, many):
    page = visit()
    tick(page, 0).click()
    everything = page.get_by_label(f"All {len(many)} matching")
    everything.check()
    expect_selected(page, len(many))
    expect(page.get_by_role("button", name="Copy IDs")).to_be_hidden()
    page.keyboard.press("Escape")
    tick(page, 1).click()
    expect(everything).not_to_be_checked()
    expect_selected(page, 1)
