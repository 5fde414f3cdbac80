"""Assets side by side: pictures in step, a slider, a flicker, and a table that follows."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from assets.views.compare import compare_url

ZOOM = "document.getElementById('panes').style.getPropertyValue('--zoom')"


def compare(visit, *assets):
    page = visit(compare_url(asset.id for asset in assets))
    expect(page.locator(".pane")).to_have_count(len(assets))
    return page


def order(page):
    return page.locator(".pane").evaluate_all("panes => panes.map(pane => pane.dataset.id)")


def columns(page):
    return page.locator("th[data-column]").evaluate_all("heads => heads.map(head => head.dataset.column)")


def boxes(page):
    return [picture.bounding_box() for picture in page.locator(".pane img").all()]


def test_two_to_six_ticked_cards_are_compared_by_key(visit, workspace):
    page = visit()
    button = page.get_by_role("button", name="Compare")
    ticks = page.locator(".tick input")
    ticks.nth(0).check()
    expect(button).to_be_disabled()
    page.keyboard.press("c")
    expect(page).to_have_url(re.compile("/assets/$"))
    ticks.nth(1).check()
    expect(button).to_be_enabled()
    page.keyboard.press("c")
    expect(page).to_have_url(re.compile(r"/assets/compare/\?id=.*&id="))
    expect(page.locator(".pane")).to_have_count(2)


def test_a_job_is_compared_in_one_click(visit, workspace):
    page = visit(f"/jobs/{workspace.foxes.id}/")
    page.get_by_role("link", name="Compare all 3").click()
    expect(page.locator(".pane")).to_have_count(3)
    assert order(page) == [str(asset.id) for asset in (workspace.png, workspace.jpeg, workspace.nsfw)]


def test_pictures_zoom_and_move_in_step(visit, workspace):
    page = compare(visit, workspace.png, workspace.jpeg)
    expect(page.locator("#zoom")).to_have_text("100 %")
    page.locator(".pane").first.hover()
    page.mouse.wheel(0, -300)
    expect(page.locator("#zoom")).to_have_text("272 %")
    first, second = boxes(page)
    stage = page.locator(".pane .stage").first.bounding_box()
    assert first["width"] == pytest.approx(second["width"]) == pytest.approx(stage["width"] * 2.718, rel=0.01)
    page.mouse.down()
    page.mouse.move(stage["x"] + stage["width"] / 2 + 60, stage["y"] + stage["height"] / 2 + 40)
    page.mouse.up()
    moved = boxes(page)
    for before, after in zip((first, second), moved, strict=True):
        assert after["x"] - before["x"] == pytest.approx(60, abs=1)
        assert after["y"] - before["y"] == pytest.approx(40, abs=25)
    page.keyboard.press("-")
    assert float(page.evaluate(ZOOM)) == pytest.approx(1.812, abs=0.01)
    page.get_by_role("button", name="Fit").click()
    expect(page.locator("#zoom")).to_have_text("100 %")
    page.locator(".pane").last.dblclick()
    expect(page.locator("#zoom")).to_have_text("300 %")


def test_the_slider_uncovers_the_second_picture_by_keyboard(visit, workspace):
    page = compare(visit, workspace.png, workspace.jpeg)
    page.get_by_role("button", name="Slider").click()
    slider = page.get_by_role("slider", name="Slider")
    slider.focus()
    page.keyboard.press("Home")
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert (
        page.locator(".pane .stage")
        .last.evaluate("stage => getComputedStyle(stage).clipPath")
        .endswith("20%)")
    )
    first, second = boxes(page)
    assert first == second


def test_a_flicker_shows_one_after_the_other(visit, workspace):
    page = compare(visit, workspace.png, workspace.jpeg)
    first, second = page.locator(".pane .stage").all()
    page.keyboard.press("f")
    expect(first).to_be_visible()
    expect(second).to_be_hidden()
    page.keyboard.press("f")
    expect(first).to_be_hidden()
    expect(second).to_be_visible()
    page.clock.install()
    page.clock.pause_at(timezone.now() + timedelta(hours=1))
    page.get_by_role("button", name="Run").click()
    page.clock.run_for(600)
    expect(first).to_be_visible()
    page.clock.run_for(600)
    expect(second).to_be_visible()
    page.emulate_media(reduced_motion="reduce")
    page.get_by_role("button", name="Side by side").click()
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="Run")).to_be_hidden()


def test_a_pane_changes_places_with_its_neighbour_and_stands_alone_by_key(visit, workspace):
    page = compare(visit, workspace.png, workspace.jpeg, workspace.mp4)
    ids = [str(asset.id) for asset in (workspace.jpeg, workspace.png, workspace.mp4)]
    page.locator(".pane").first.focus()
    page.keyboard.press("ArrowRight")
    assert order(page) == ids
    expect(page.locator("th[data-column]").first).to_have_attribute("data-column", ids[0])
    assert columns(page) == ids
    expect(page).to_have_url(re.compile(f"id={ids[0]}&id={ids[1]}&id={ids[2]}$"))
    page.keyboard.press("3")
    expect(page.locator(".pane:visible")).to_have_attribute("data-id", ids[2])
    page.keyboard.press("3")
    expect(page.locator(".pane:visible")).to_have_count(3)


def test_videos_play_and_seek_by_one_control(visit, stored_asset):
    page = compare(visit, stored_asset(".mp4"), stored_asset(".mp4"), stored_asset(".png"))
    videos = page.locator("video")
    for video in videos.all():
        expect(video).not_to_have_js_property("readyState", 0)
    page.get_by_role("slider", name="Time").fill("500")
    times = "videos => videos.map(video => Math.round(video.currentTime * 10))"
    assert videos.evaluate_all(times) == [15, 15]
    playing = "videos => videos.map(video => !video.paused)"
    page.get_by_role("button", name="Play").click()
    assert videos.evaluate_all(playing) == [True, True]
    page.get_by_role("button", name="Pause").click()
    assert videos.evaluate_all(playing) == [False, False]


def test_a_comparison_works_without_javascript(new_context, enter, staff, workspace):
    page = new_context(java_script_enabled=False).new_page()
    enter(page.context, staff)
    page.goto("/assets/")
    for asset in (workspace.png, workspace.mp4, workspace.webp):
        page.locator(f'[data-asset-id="{asset.id}"] .tick input').check()
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".pane :is(img, video)")).to_have_count(3)
    expect(page.locator("video")).to_have_attribute("controls", "")
    expect(page.locator(".tools")).to_be_hidden()
    page.get_by_role("link", name="Show everything").click()
    expect(page.get_by_role("rowheader", name="Steps")).to_be_visible()
    base = page.get_by_role("link", name=re.compile("^Make .* the base")).last
    last = order(page)[-1]
    base.click()
    expect(page.locator(".pane").first).to_have_attribute("data-id", last)
    page.get_by_role("link", name=re.compile("^Remove ")).first.click()
    expect(page.locator(".pane")).to_have_count(2)
    assert last not in order(page)
