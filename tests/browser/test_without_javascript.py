"""Everything by links and forms, in a browser that runs no script."""

import re

import pytest
from playwright.sync_api import expect


@pytest.fixture
def plain(new_context, staff):
    page = new_context(java_script_enabled=False).new_page()
    page.goto("/")
    page.get_by_label("Name").fill("staff")
    page.get_by_label("Password").fill("a good password")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
    return page


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
