"""Downloads: lists in each format, and the files of a selection, which stays selected."""

import json
import zipfile
from pathlib import Path

from django.core.files.storage import storages
from playwright.sync_api import expect


def content_of(path):
    with storages["workspace"].open(path) as file:
        return file.read()


def test_a_filtered_list_is_downloaded_from_each_page(visit, workspace):
    page = visit("/assets/?model=flux&sort=created_at")
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as started:
        page.get_by_role("link", name="JSON lines").click()
    assert started.value.suggested_filename.startswith("workspace-assets-")
    rows = map(json.loads, Path(started.value.path()).read_text().splitlines())
    assert [row["id"] for row in rows] == [
        str(asset.id) for asset in (workspace.webp, workspace.mp4, workspace.missing)
    ]
    for name in ("library", "removed"):
        page.goto(f"/{name}/")
        page.get_by_text("Export", exact=True).click()
        with page.expect_download() as started:
            page.get_by_role("link", name="CSV").click()
        assert Path(started.value.path()).read_text().count("\n") == 1


def test_the_files_of_a_selection_are_downloaded_and_stay_selected(visit, workspace):
    page = visit("/assets/?model=flux")
    chosen = [workspace.webp, workspace.mp4, workspace.png]
    for asset in chosen[:2]:
        page.locator(f'[data-asset-id="{asset.id}"] .tick input').check()
    page.goto(page.url.replace("flux", "sdxl"))
    page.locator(f'[data-asset-id="{workspace.png.id}"] .tick input').check()
    with page.expect_download() as started:
        page.get_by_role("button", name="Download files").click()
    with zipfile.ZipFile(started.value.path()) as opened:
        assert opened.testzip() is None
        rows = [json.loads(line) for line in opened.read("manifest.jsonl").decode().splitlines()]
        sent = {row["id"]: opened.read(row["file"]) for row in rows}
    assert sent == {str(asset.id): content_of(asset.temp_storage_path) for asset in chosen}
    page.goto("/operations/")
    page.goto("/assets/")
    expect(page.locator("[data-selected]")).to_have_text("3")
