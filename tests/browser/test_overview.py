"""The overview in a browser: bars are links for keys and pointers, and the first count appears by itself."""

import pytest
from playwright.sync_api import expect

from assets import rollups

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_first_count_appears_and_a_bar_leads_to_its_assets_by_keys(visit, workspace):
    page = visit("/overview/")
    expect(page.get_by_role("heading", name="The first count is being made")).to_be_visible()
    rollups.refresh()
    bar = page.locator("#arrived-hours svg a").last
    expect(bar).to_be_visible(timeout=15_000)
    said = bar.get_attribute("aria-label")
    bar.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/assets/?created_after=*")
    number = page.locator("[data-total]").get_attribute("data-total")
    assert f": {number} asset" in said


def test_a_bar_beside_a_name_leads_to_its_assets(visit, workspace):
    rollups.refresh()
    page = visit("/overview/")
    page.locator("#types a", has_text="video").locator("svg").click()
    page.wait_for_url("**/assets/?type=video")
