"""The fields that suggest users and jobs."""

import re

from playwright.sync_api import expect


def test_a_user_is_suggested_chosen_by_keys_and_filtered_by(visit, workspace):
    page = visit()
    field = page.get_by_role("combobox", name="User")
    field.press_sequentially("a")
    expect(page.get_by_role("option", name="ada")).to_be_visible()
    expect(page.get_by_role("option", name="ben")).to_have_count(0)
    expect(field).to_have_attribute("aria-expanded", "true")
    field.press("ArrowDown")
    expect(page.get_by_role("option", name="ada")).to_have_attribute("aria-selected", "true")
    field.press("Enter")
    expect(page).to_have_url(re.compile(r"\?user=ada$"))
    expect(page.get_by_role("link", name="Remove User ada")).to_be_visible()
    expect(page.locator("[data-total]")).to_have_attribute("data-total", "3")


def test_a_job_is_suggested_by_words_of_its_prompt(visit, workspace):
    page = visit()
    field = page.get_by_role("combobox", name="Job")
    field.fill("ships")
    option = page.get_by_role("option", name="blue ships")
    expect(option).to_be_visible()
    expect(page.get_by_role("option")).to_have_count(1)
    field.press("ArrowDown")
    expect(option).to_have_attribute("aria-selected", "true")
    field.press("Enter")
    expect(page).to_have_url(re.compile(rf"\?job={workspace.ships.id}$"))
    expect(page.locator("[data-total]")).to_have_attribute("data-total", "3")


def test_jobs_are_suggested_of_the_chosen_user_and_by_click(visit, workspace):
    page = visit("/assets/?user=ben")
    page.get_by_role("combobox", name="Job").click()
    option = page.get_by_role("option")
    expect(option).to_have_count(1)
    option.click()
    expect(page).to_have_url(re.compile(rf"\?user=ben&job={workspace.ships.id}$"))


def test_escape_closes_the_suggestions_and_keeps_the_field(visit, workspace):
    page = visit()
    field = page.get_by_role("combobox", name="User")
    field.press_sequentially("b")
    expect(page.get_by_role("option", name="ben")).to_be_visible()
    field.press("Escape")
    expect(page.get_by_role("listbox")).to_have_count(0)
    expect(field).to_be_focused()
    expect(field).to_have_value("b")
