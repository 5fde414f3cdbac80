"""A condition on settings, from its first letter to a view that has a name."""

import re

from playwright.sync_api import expect


def test_a_key_then_a_value_are_chosen_and_the_filter_is_saved_as_a_view(visit, workspace):
    page = visit("/assets/?user=ada")
    field = page.get_by_role("combobox", name="One more condition on settings")
    field.fill("st")
    key = page.get_by_role("option", name="steps 2 values")
    expect(key).to_be_visible()
    field.press("ArrowDown")
    field.press("Enter")
    expect(field).to_have_value("steps=")
    expect(page.get_by_role("option")).to_have_text(["302", "201"])  # of ada's alone
    field.press("ArrowDown")
    field.press("ArrowDown")
    field.press("Enter")
    expect(page).to_have_url(re.compile(r"\?user=ada&setting=steps(=|%3D)20$"))
    expect(page.locator("[data-total]")).to_have_attribute("data-total", "1")
    expect(page.get_by_role("combobox", name="Condition on settings", exact=True)).to_be_focused()
    page.get_by_text("Save this view").click()
    page.get_by_label("Name of the view").fill("Twenty steps")
    page.get_by_label("share with everybody").check()
    page.get_by_role("button", name="Save view").click()
    expect(page.get_by_text("Saved the view “Twenty steps”")).to_be_visible()
    view = page.get_by_label("Views", exact=True).get_by_role("link", name="Twenty steps")
    expect(view).to_have_attribute("aria-current", "true")
    page.get_by_role("link", name="Clear all").click()
    expect(view).not_to_have_attribute("aria-current", "true")
    view.click()
    expect(page.locator("[data-total]")).to_have_attribute("data-total", "1")
    expect(view).to_have_attribute("aria-current", "true")
