"""What a file says of how it was made, on the page of its asset."""

import io

import pytest
from playwright.sync_api import expect

from assets.storage import WORKSPACE
from tests.browser.test_accessibility import overflow, violations
from tests.generated import a1111, png


@pytest.fixture
def inscribed(workspace):
    text = a1111().replace("a red fox", "a very-long-word-" + "without-an-end" * 30)
    WORKSPACE.put(io.BytesIO(png({"parameters": text})), workspace.png.temp_storage_path)
    return workspace.png


def test_the_page_of_an_asset_loads_what_its_file_says(visit, inscribed):
    page = visit(f"/assets/{inscribed.id}/")
    section = page.get_by_role("region", name="In the file")
    expect(section).to_contain_text("Written by AUTOMATIC1111")
    expect(section).to_contain_text("Seed differs File 1234567 Row")
    section.get_by_text("The text in the file").click()
    expect(section.locator("pre")).to_contain_text("Steps: 28, Sampler: DPM++ 2M")
    assert violations(page) == []
    assert overflow(page) <= 0
    section.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("What the file says")
    assert violations(page) == []
    assert overflow(page) <= 0
