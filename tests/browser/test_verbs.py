"""One asset saved, deleted or extended at once, by pointer and by key, with a way back."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from playwright.sync_api import expect

from assets import dispositions
from assets.models import Disposition, LibraryAsset, WorkspaceAsset
from tests.factories import make_asset

ROWS = WorkspaceAsset.objects
BUTTONS = {"promote": "Save", "delete": "Delete", "extend": "Extend"}
KEYS = {"promote": "s", "delete": "Delete", "extend": "e"}
LEFT = re.compile(".+")
DONE = {"promote": "Saved to the library", "delete": "Deleted"}


def card(page, asset):
    return page.locator(f'[data-asset-id="{asset.id}"]')


def toast(page):
    return page.locator(".toast").last


def by_button(page, asset, verb):
    card(page, asset).hover()
    card(page, asset).get_by_role("button", name=BUTTONS[verb]).click()


def by_key(page, asset, verb):
    card(page, asset).locator(".card-link").focus()
    page.keyboard.press(KEYS[verb])


WAYS = {"button": by_button, "key": by_key}


def drawn(page, asset):
    """What a card says, without the buttons that come and go over it."""
    return card(page, asset).evaluate("""card => {
        const copy = card.cloneNode(true);
        copy.querySelector("#card-actions")?.remove();
        copy.querySelector(".card-link")?.removeAttribute("data-how");
        copy.classList.remove("selected");
        if (!copy.className) copy.removeAttribute("class");
        return [copy.outerHTML, card.querySelector(".tick input").disabled,
                getComputedStyle(card.querySelector("img")).opacity].join();
    }""")


# --- In the gallery ------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("verb", ["promote", "delete"])
def test_an_asset_leaves_and_comes_back(visit_as_admin, workspace, verb, way):
    page, asset = visit_as_admin(), workspace.png
    before, row = drawn(page, asset), ROWS.filter(pk=asset.pk).values().get()
    WAYS[way](page, asset, verb)
    expect(toast(page)).to_contain_text(DONE[verb])
    expect(toast(page).get_by_role("button", name="Undo")).to_be_visible()
    how = Disposition.objects.get(asset_id=asset.id).get_action_display()
    expect(card(page, asset)).to_have_attribute("data-left", how)
    expect(card(page, asset).locator("img")).to_have_css("opacity", "0.25")
    expect(card(page, asset).locator(".tick input")).to_be_disabled()
    expect(page.locator("[data-left]")).to_have_count(1)
    assert not ROWS.filter(pk=asset.pk).exists()
    assert LibraryAsset.objects.filter(pk=asset.pk).exists() == (verb == "promote")

    page.keyboard.press("u")
    expect(toast(page)).to_contain_text("Back in the workspace")
    expect(page.locator("[data-left]")).to_have_count(0)
    assert ROWS.filter(pk=asset.pk).values().get() == row
    assert not LibraryAsset.objects.exists()
    page.mouse.move(0, 0)
    expect(card(page, asset).locator("img")).to_have_css("opacity", "1")
    assert drawn(page, asset) == before


@pytest.mark.parametrize("way", WAYS)
def test_an_asset_is_extended_and_expires_when_it_would_have_after_an_undo(visit_as_admin, stored_asset, way):
    asset = stored_asset(expires_in=timedelta(hours=5, minutes=30))
    page = visit_as_admin()
    time = card(page, asset).locator("time.expiry")
    expect(time).to_have_text("in 5 h")
    expect(time).to_have_class("expiry urgent")
    title = time.get_attribute("title")
    WAYS[way](page, asset, "extend")
    expect(toast(page)).to_contain_text("It expires in 7 days now")
    expect(time).to_have_text(re.compile("in [67] d"))
    expect(time).to_have_class("expiry calm")
    assert time.get_attribute("title") != title
    assert ROWS.get(pk=asset.pk).expires_at > asset.expires_at + timedelta(days=6)
    page.keyboard.press("u")
    expect(toast(page)).to_contain_text("It expires when it would have before")
    expect(time).to_have_text("in 5 h")
    expect(time).to_have_class("expiry urgent")
    expect(time).to_have_attribute("title", title)
    assert ROWS.get(pk=asset.pk).expires_at == asset.expires_at


def test_several_departures_are_undone_one_by_one_the_last_first(visit_as_admin, workspace):
    page = visit_as_admin()
    for asset in (workspace.png, workspace.jpeg):
        by_key(page, asset, "delete")
        expect(card(page, asset)).to_have_attribute("data-left", LEFT)
    page.keyboard.press("u")
    expect(card(page, workspace.jpeg)).not_to_have_attribute("data-left", LEFT)
    expect(card(page, workspace.png)).to_have_attribute("data-left", LEFT)
    page.keyboard.press("u")
    expect(page.locator("[data-left]")).to_have_count(0)
    assert ROWS.count() == 6


def test_the_undo_of_a_toast_that_is_not_the_last_undoes_its_own(visit_as_admin, workspace):
    page = visit_as_admin()
    for asset in (workspace.png, workspace.jpeg):
        by_key(page, asset, "delete")
        expect(card(page, asset)).to_have_attribute("data-left", LEFT)
    page.get_by_role("button", name="Undo").first.click()
    expect(card(page, workspace.png)).not_to_have_attribute("data-left", LEFT)
    assert set(ROWS.filter(job=workspace.foxes)) == {workspace.png, workspace.nsfw}


def test_the_table_takes_the_same_keys(visit_as_admin, workspace):
    page = visit_as_admin("/assets/?view=table")
    by_key(page, workspace.png, "delete")
    expect(card(page, workspace.png)).to_have_attribute("data-left", LEFT)
    page.keyboard.press("u")
    expect(card(page, workspace.png)).not_to_have_attribute("data-left", LEFT)
    assert ROWS.filter(pk=workspace.png.pk).exists()


def test_an_asset_that_has_left_takes_no_more_keys_and_no_tick(visit_as_admin, workspace):
    page = visit_as_admin()
    by_key(page, workspace.png, "delete")
    expect(card(page, workspace.png)).to_have_attribute("data-left", LEFT)
    for key in ("s", "e", "Delete", "x"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Select page").first.click()
    expect(page.locator("[data-selected]")).to_have_text("5")
    expect(page.locator(".toast")).to_have_count(1)
    assert Disposition.objects.count() == 1


def test_a_ticked_asset_that_leaves_is_not_of_the_selection_any_more(visit_as_admin, workspace):
    page = visit_as_admin()
    for asset in (workspace.png, workspace.jpeg):
        card(page, asset).locator(".tick input").click()
    by_button(page, workspace.png, "delete")
    expect(card(page, workspace.png)).to_have_attribute("data-left", LEFT)
    expect(page.locator("[data-selected]")).to_have_text("1")


def test_keys_act_on_the_selection_through_its_confirmation(visit_as_admin, workspace):
    page = visit_as_admin()
    for asset in (workspace.png, workspace.jpeg):
        card(page, asset).locator(".tick input").click()
    page.keyboard.press("Delete")
    expect(page.get_by_role("heading", name="Delete: 2 assets?")).to_be_visible()
    assert ROWS.count() == 6


def test_the_buttons_survive_filtering_without_a_new_page(visit_as_admin, workspace):
    page = visit_as_admin()
    card(page, workspace.mp4).hover()
    expect(page.locator("#card-actions")).to_be_visible()
    page.get_by_role("region", name="Model").get_by_role("link", name="flux").click()
    expect(page.locator("[data-total]")).to_have_attribute("data-total", "3")
    by_button(page, workspace.mp4, "delete")
    expect(toast(page)).to_contain_text("Deleted")
    assert not ROWS.filter(pk=workspace.mp4.pk).exists()


@pytest.mark.parametrize("where", ["gallery", "job"])
@pytest.mark.parametrize("width", [390, 1440])
def test_a_message_covers_nothing_of_the_selection(visit_as_admin, workspace, where, width):
    page = visit_as_admin("/assets/" if where == "gallery" else f"/jobs/{workspace.foxes.id}/")
    page.set_viewport_size({"width": width, "height": 844})
    by_key(page, workspace.png, "delete")
    expect(toast(page)).to_contain_text("Deleted")
    card(page, workspace.jpeg).locator(".tick input").check()
    message, bar = toast(page).bounding_box(), page.locator("#selection").bounding_box()
    above = message["y"] + message["height"] <= bar["y"]
    beside = message["x"] >= bar["x"] + bar["width"]
    assert above or beside, (message, bar)


# --- On its page ---------------------------------------------------------------


@pytest.mark.parametrize("way", ["button", "key"])
@pytest.mark.parametrize("verb", ["promote", "delete"])
def test_the_next_asset_opens_and_undo_brings_the_last_one_back(visit_as_admin, workspace, verb, way):
    asset, following = workspace.mp4, workspace.webp
    page = visit_as_admin(f"/assets/{asset.id}/?model=flux")
    if way == "key":
        page.keyboard.press(KEYS[verb])
    else:
        page.locator(f'[data-verbs] form[data-verb="{verb}"] button').click()
    expect(page).to_have_url(re.compile(rf"/assets/{following.id}/\?model=flux$"))
    expect(toast(page)).to_contain_text(DONE[verb])
    assert not ROWS.filter(pk=asset.pk).exists()
    toast(page).get_by_role("button", name="Undo").click()
    expect(toast(page)).to_contain_text("Back in the workspace")
    assert ROWS.filter(pk=asset.pk).exists()
    assert not LibraryAsset.objects.exists()
    toast(page).get_by_role("link", name="Open it").click()
    expect(page.get_by_role("article")).to_have_attribute("data-asset-id", str(asset.id))


def test_the_last_asset_of_a_filter_leads_back_to_the_gallery(visit_as_admin, workspace):
    page = visit_as_admin(f"/assets/{workspace.mp4.id}/?type=video")
    page.keyboard.press("Delete")
    expect(page).to_have_url(re.compile(r"/assets/\?type=video$"))
    expect(toast(page)).to_contain_text("Deleted")


def test_extending_stays_on_the_page_and_shows_the_new_expiry(visit_as_admin, stored_asset):
    asset = stored_asset(expires_in=timedelta(hours=5, minutes=30))
    page = visit_as_admin(f"/assets/{asset.id}/")
    expect(page.locator("time[data-expiry]")).to_have_text("in 5 h")
    page.keyboard.press("e")
    expect(toast(page)).to_contain_text("It expires in 7 days now")
    expect(page.locator("time[data-expiry]")).to_have_text(re.compile("in [67] d"))
    page.keyboard.press("u")
    expect(page.locator("time[data-expiry]")).to_have_text("in 5 h")
    expect(page).to_have_url(re.compile(rf"/assets/{asset.id}/$"))


def test_an_asset_is_saved_with_a_title_and_tags(visit_as_admin, workspace):
    page = visit_as_admin(f"/assets/{workspace.png.id}/")
    page.get_by_text("Save with a title or tags").click()
    page.get_by_label("Title").fill("The fox s")  # a key that means something elsewhere
    page.get_by_label("Tags, divided by commas").fill("fox, snow")
    page.get_by_role("button", name="Save with these").click()
    expect(toast(page)).to_contain_text("Saved to the library")
    saved = LibraryAsset.objects.get()
    assert (saved.custom_title, saved.tags) == ("The fox s", ["fox", "snow"])


def test_ticks_elsewhere_do_not_keep_keys_from_the_asset_that_is_open(visit_as_admin, workspace):
    page = visit_as_admin()
    card(page, workspace.png).locator(".tick input").click()
    page.goto(f"/assets/{workspace.mp4.id}/")
    page.keyboard.press("Delete")
    expect(toast(page)).to_contain_text("Deleted")
    assert set(Disposition.objects.values_list("asset_id", flat=True)) == {workspace.mp4.id}


# --- When it does not work -----------------------------------------------------


@pytest.mark.parametrize("where", ["gallery", "detail"])
def test_an_asset_that_another_person_deleted_meanwhile_tells_who(visit_as_admin, workspace, where):
    eve = User.objects.create_user("eve")
    eve.groups.add(Group.objects.get(name="Admins"))
    asset = workspace.png
    page = visit_as_admin("/assets/" if where == "gallery" else f"/assets/{asset.id}/")
    dispositions.delete([asset.id], actor=eve)
    if where == "gallery":
        by_key(page, asset, "promote")
        expect(card(page, asset)).to_have_attribute("data-left", LEFT)
    else:
        page.keyboard.press("s")
    expect(page.get_by_role("alert")).to_contain_text("Not saved. It had left already: deleted by eve")
    expect(page.get_by_role("alert").get_by_role("button", name="Undo")).to_have_count(0)
    assert not LibraryAsset.objects.exists()


def test_a_file_that_is_missing_is_said_and_the_asset_stays(visit_as_admin, workspace):
    page = visit_as_admin()
    by_key(page, workspace.missing, "promote")
    expect(page.get_by_role("alert")).to_contain_text("Not saved.")
    expect(page.locator("[data-left]")).to_have_count(0)
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert ROWS.filter(pk=workspace.missing.pk).exists()


def test_an_asset_without_an_expiry_is_not_extended_and_says_so(visit_as_admin, transactional_db):
    asset = make_asset(expires_at=None)
    page = visit_as_admin()
    by_key(page, asset, "extend")
    expect(toast(page)).to_contain_text("nothing was changed")
    expect(toast(page).get_by_role("button", name="Undo")).to_have_count(0)


def test_a_server_that_fails_is_said_where_people_see_it(visit_as_admin, forgive, workspace):
    page = visit_as_admin()
    page.route("**/delete", lambda route: route.fulfill(status=500))
    by_key(page, workspace.png, "delete")
    expect(page.get_by_role("alert")).to_contain_text("That did not work: reload the page.")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("[data-left]")).to_have_count(0)
    forgive(500)


# --- Who may -------------------------------------------------------------------


@pytest.mark.parametrize("role", ["staff", "reviewer"])
def test_who_may_not_act_has_no_buttons_and_no_keys(page, enter, request, workspace, role):
    enter(page.context, request.getfixturevalue(role))
    posts = []
    page.on("request", lambda asked: posts.append(asked.url) if asked.method == "POST" else None)
    before = list(ROWS.order_by("id").values())
    for url in (
        "/assets/",
        "/assets/?view=table",
        f"/assets/{workspace.png.id}/",
        f"/jobs/{workspace.foxes.id}/",
    ):
        page.goto(url)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        if page.locator(".tick").count():
            page.locator("[data-asset-id] .card-link").first.hover()
            page.locator(".tick input").first.check()
            page.locator("[data-asset-id] .card-link").first.focus()
        for key in ("s", "e", "Delete", "u"):
            page.keyboard.press(key)
        for name in ("Save", "Extend", "Delete", "Undo"):
            expect(page.get_by_role("button", name=re.compile(f"^{name}"))).to_have_count(0)
    entry = dispositions_entry(workspace.jpeg, request.getfixturevalue("admin"))
    for url in ("/removed/", f"/removed/{entry.pk}/"):
        page.goto(url)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.get_by_role("button", name=re.compile("^Restore"))).to_have_count(0)
    assert posts == []
    assert list(ROWS.order_by("id").values()) == [row for row in before if row["id"] != workspace.jpeg.id]


def dispositions_entry(asset, actor):
    dispositions.delete([asset.id], actor=actor)
    return Disposition.objects.get(asset_id=asset.id)
