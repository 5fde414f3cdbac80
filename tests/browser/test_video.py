"""Videos: played in their card while the pointer rests there, and sought on their page."""

import re
from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import expect

from tests import stores


def test_a_video_plays_in_its_card_while_the_pointer_rests_on_it(visit, workspace):
    page = visit()
    card = page.locator(f'[data-asset-id="{workspace.mp4.id}"]')
    card.hover()
    playing = card.locator("video")
    expect(playing).to_be_visible()
    expect(playing).to_have_js_property("paused", False)
    expect(playing).to_have_js_property("muted", True)
    page.mouse.move(0, 0)
    expect(playing).to_have_count(0)
    expect(card.locator("img")).to_be_visible()


def test_a_video_plays_in_its_card_for_the_keyboard_too(visit, workspace):
    page = visit()
    card = page.locator(f'[data-asset-id="{workspace.mp4.id}"]')
    card.locator(".card-link").focus()
    expect(card.locator("video")).to_have_js_property("paused", False)
    page.get_by_role("searchbox").focus()
    expect(card.locator("video")).to_have_count(0)


def test_a_pointer_that_only_passes_starts_no_video(visit, workspace):
    page = visit()
    page.clock.install()  # it passes at once, however slow the machine
    page.clock.pause_at(timezone.now() + timedelta(hours=1))
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.locator(f'[data-asset-id="{workspace.mp4.id}"]').hover()
    page.locator(".card").filter(has_not=page.locator(".badge:not(.verdict)")).first.hover()
    page.clock.run_for(600)
    page.evaluate("fetch('/healthz').then(() => 0)")  # whatever was asked for was asked for before
    assert not [url for url in requests if url.endswith("/file")]


def test_a_video_is_sought_by_a_part_of_its_file(page, visit, workspace):
    sent_from = f"{stores.host()}/.*mp4" if stores.ON_S3 else f"/media/assets/{workspace.mp4.id}/file$"
    with page.expect_response(re.compile(sent_from)) as answer:
        visit(f"/assets/{workspace.mp4.id}/")
    assert answer.value.status == 206
    player = page.locator(".stage video")
    expect(player).not_to_have_js_property("readyState", 0)
    assert round(player.evaluate("video => video.duration")) == 3
    player.evaluate("video => { video.currentTime = 2 }")
    expect(player).to_have_js_property("seeking", False)
    expect(player).to_have_js_property("currentTime", 2)
    expect(player).to_have_js_property("error", None)
