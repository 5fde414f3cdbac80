"""Reviewing in a browser: on an asset's page, over a card, and many at once."""

import pytest
from playwright.sync_api import expect

from assets.models import LibraryAsset, Verdict
from assets.reviews import review, verdicts


@pytest.fixture
def visit_as_reviewer(page, enter, reviewer):
    enter(page.context, reviewer)

    def open_page(url="/assets/"):
        page.goto(url)
        return page

    return open_page


def toast(page):
    return page.locator(".toast").last


def badge(page, asset):
    return page.locator(f'[data-asset-id="{asset.pk}"] .verdict')


def found(asset):
    verdict = verdicts([asset.pk]).get(asset.pk)
    return verdict and (verdict.verdict, verdict.note)


def test_an_asset_is_reviewed_on_its_page_by_key_and_by_button(visit_as_reviewer, workspace):
    asset = workspace.png
    page = visit_as_reviewer(f"/assets/{asset.pk}/")
    page.keyboard.press("!")
    expect(page.get_by_label("Note")).to_be_focused()
    page.keyboard.press("Escape")  # leaves the field, and what is ticked elsewhere as it is
    expect(page.get_by_label("Note")).not_to_be_focused()
    page.keyboard.press("!")
    page.keyboard.type("a seam!")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Review")).to_contain_text("Flagged by reviewers")
    assert found(asset) == ("flagged", "a seam!")
    page.keyboard.press("a")
    expect(page.get_by_label("Review")).to_contain_text("Approved by reviewers")
    expect(page.locator(".history li")).to_have_count(3)
    page.keyboard.press("u")
    expect(toast(page)).to_contain_text("The verdict is what it was before")
    assert found(asset) == ("flagged", "a seam!")


def test_cards_are_approved_by_key_one_and_many(visit_as_reviewer, workspace):
    page, asset = visit_as_reviewer(), workspace.png
    expect(badge(page, asset)).to_be_hidden()
    page.locator(f'[data-asset-id="{asset.pk}"] .card-link').focus()
    page.keyboard.press("a")
    expect(badge(page, asset)).to_be_visible()
    expect(badge(page, asset)).to_have_attribute("aria-label", "approved by reviewers")
    page.keyboard.press("u")
    expect(badge(page, asset)).to_be_hidden()
    assert found(asset) is None
    for other in (workspace.png, workspace.webp):
        page.locator(f'[data-asset-id="{other.pk}"] .card-link').focus()
        page.keyboard.press("x")
    page.locator("#selection").get_by_text("Review").click()
    page.locator("#selection").get_by_label("Note").fill("blurred")
    page.locator("#selection").get_by_role("button", name="Flag").click()
    expect(toast(page)).to_contain_text("Flagged: 2")
    expect(page.locator('.verdict[data-verdict="flagged"]')).to_have_count(2)
    assert found(workspace.webp) == ("flagged", "blurred")


def test_saving_a_flagged_card_asks_once_more(visit_as_admin, workspace, reviewer):
    asset = workspace.png
    review([asset.pk], verdict=Verdict.FLAGGED, note="six fingers", reviewer=reviewer)
    page = visit_as_admin()
    page.locator(f'[data-asset-id="{asset.pk}"] .card-link').focus()
    page.keyboard.press("s")
    expect(toast(page)).to_contain_text("It was flagged by reviewers: “six fingers”")
    assert not LibraryAsset.objects.exists()
    toast(page).get_by_role("button", name="Save all the same").click()
    expect(toast(page)).to_contain_text("Saved to the library")
    expect(page.locator(".toast.error")).to_have_count(0)
    expect(page.locator(f'[data-asset-id="{asset.pk}"]')).to_have_attribute("data-left", "saved")
    assert LibraryAsset.objects.filter(pk=asset.pk).exists()
