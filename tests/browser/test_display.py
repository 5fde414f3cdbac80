"""Theme, blur and copying."""

import re
from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import expect

from assets import dispositions
from assets.models import Disposition

BLURRED = re.compile(r"blur\(")


def menu(page, button):
    page.locator("#person-menu summary").click()
    page.locator("#person-menu").get_by_role("button", name=button, exact=True).click()


def test_the_theme_is_kept_over_a_reload(visit, workspace):
    page = visit()
    body = page.locator("body")
    light = body.evaluate("body => getComputedStyle(body).backgroundColor")
    menu(page, "Dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(body).not_to_have_css("background-color", light)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(body).not_to_have_css("background-color", light)
    expect(page.locator('button[value="dark"]')).to_have_attribute("aria-pressed", "true")
    menu(page, "System")
    expect(body).to_have_css("background-color", light)
    page.emulate_media(color_scheme="dark")
    expect(body).not_to_have_css("background-color", light)


def test_nsfw_previews_are_blurred_until_the_switch_says_otherwise(visit, workspace):
    page = visit()
    nsfw = page.locator(f'[data-asset-id="{workspace.nsfw.id}"] img')
    other = page.locator(f'[data-asset-id="{workspace.png.id}"] img')
    expect(nsfw).to_have_css("filter", BLURRED)
    expect(other).not_to_have_css("filter", BLURRED)
    nsfw.hover()
    expect(nsfw).to_have_css("filter", BLURRED)
    menu(page, "All")
    expect(other).to_have_css("filter", BLURRED)
    page.reload()
    expect(other).to_have_css("filter", BLURRED)
    menu(page, "None")
    expect(nsfw).to_have_css("filter", "none")
    expect(other).to_have_css("filter", "none")


def test_an_nsfw_asset_is_blurred_on_its_own_page_too(visit, workspace):
    page = visit(f"/assets/{workspace.nsfw.id}/")
    expect(page.locator(".stage img")).to_have_css("filter", BLURRED)
    expect(page.locator(f'[data-sibling="{workspace.nsfw.id}"] img')).to_have_css("filter", BLURRED)
    expect(page.locator(f'[data-sibling="{workspace.png.id}"] img')).not_to_have_css("filter", BLURRED)


def test_an_nsfw_asset_stays_blurred_wherever_it_goes(visit_as_admin, admin, workspace):
    nsfw, other = workspace.nsfw, workspace.png
    dispositions.promote([nsfw.id, other.id], actor=admin)
    entry = Disposition.objects.get(asset_id=nsfw.id)
    for url in ("/library/", "/removed/"):
        page = visit_as_admin(url)
        expect(page.locator(f'[data-asset-id="{nsfw.id}"] img')).to_have_css("filter", BLURRED)
        expect(page.locator(f'[data-asset-id="{other.id}"] img')).not_to_have_css("filter", BLURRED)
    for url in (f"/library/{nsfw.id}/", f"/removed/{entry.pk}/"):
        expect(visit_as_admin(url).locator(".stage img")).to_have_css("filter", BLURRED)


def test_an_nsfw_asset_is_blurred_when_it_has_just_left_and_in_a_confirmation(visit_as_admin, workspace):
    page = visit_as_admin()
    nsfw = page.locator(f'[data-asset-id="{workspace.nsfw.id}"]')
    nsfw.locator(".card-link").focus()
    page.keyboard.press("Delete")
    expect(nsfw).to_have_attribute("data-left", "deleted")
    expect(nsfw.locator("img")).to_have_css("filter", BLURRED)
    page.keyboard.press("u")
    expect(page.locator("[data-left]")).to_have_count(0)
    nsfw.locator(".tick input").check()
    page.locator("#selection").get_by_role("button", name="Delete").click()
    expect(page.locator(".strip img")).to_have_css("filter", BLURRED)


def test_copy_buttons_put_their_text_on_the_clipboard(visit, workspace):
    page = visit(f"/assets/{workspace.nsfw.id}/")
    expect(page.get_by_role("region", name="In the file")).to_contain_text("carries no generation metadata")
    page.clock.install()  # the mark goes after a moment
    page.clock.pause_at(timezone.now() + timedelta(hours=1))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copied = page.locator("[data-copied]")
    page.get_by_role("button", name="Copy id", exact=True).click()
    expect(copied).to_have_count(1)
    assert page.evaluate("navigator.clipboard.readText()") == str(workspace.nsfw.id)
    page.get_by_role("button", name="Copy prompt", exact=True).click()
    expect(page.get_by_role("button", name="Copy prompt", exact=True)).to_have_attribute("data-copied", "")
    assert page.evaluate("navigator.clipboard.readText()") == "a red fox in the snow"
    page.locator(".inspector summary", has_text="JSON").click()
    page.get_by_role("button", name="Copy JSON").click()
    expect(page.get_by_role("button", name="Copy JSON")).to_have_attribute("data-copied", "")
    assert '"steps": 20' in page.evaluate("navigator.clipboard.readText()")
    page.clock.run_for(1500)
    expect(copied).to_have_count(0)


def test_the_name_of_a_switch_stands_above_it(visit, workspace):
    page = visit()
    page.locator("#person-menu summary").click()
    for group in page.locator("[data-preference]").all():
        name, switch = group.locator("legend").bounding_box(), group.locator(".switch").bounding_box()
        assert name["y"] + name["height"] <= switch["y"]


def test_a_narrow_menu_leads_to_the_gallery(visit, workspace):
    page = visit("/overview/")
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#person-menu summary").click()
    page.locator("#person-menu").get_by_role("link", name="Gallery").click()
    expect(page).to_have_url(re.compile("/assets/$"))
