"""The files of a selection as one zip: whole, exactly those, and never one that only looks whole."""

import io
import json
import re
import zipfile
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from zipstream import ZipStream

from assets import archive, dispositions
from assets.models import WorkspaceAsset
from assets.storage import FileFault
from tests.factories import make_asset, make_assets, make_job
from tests.html import Page
from tests.samples import picture, video
from tests.stores import folders_only
from tests.test_export import peak_of

pytestmark = pytest.mark.django_db

URL = "/assets/files.zip"
NAMES = [field.attname for field in WorkspaceAsset._meta.concrete_fields]
PNG, MP4 = picture(".png", 32, 24), video()


@pytest.fixture
def store(store_folders):
    return store_folders / "workspace"


@pytest.fixture
def put(store):
    """An asset with a file."""

    def put_file(path, content, **values):
        (store / path).parent.mkdir(parents=True, exist_ok=True)
        (store / path).write_bytes(content)
        return make_asset(temp_storage_path=path, file_size_bytes=len(content), **values)

    return put_file


@pytest.fixture
def fetch_zip(client, staff):
    """Fetches a selection as Staff, opened as an archive that is whole."""
    client.force_login(staff)

    def fetch(**selection):
        response = client.post(URL, selection)
        assert (response.status_code, response["Content-Type"]) == (200, "application/zip")
        assert "Content-Length" not in response
        assert re.fullmatch(
            r'attachment; filename="workspace-files-\d{4}-\d\d-\d\d\.zip"', response["Content-Disposition"]
        )
        opened = zipfile.ZipFile(io.BytesIO(response.getvalue()))
        assert opened.testzip() is None
        return opened

    return fetch


def manifest_of(opened):
    return [json.loads(line) for line in opened.read("manifest.jsonl").decode().split("\n")[:-1]]


def test_it_has_the_bytes_of_each_file_and_the_row_of_each_asset(fetch_zip, put):
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    png = put("a/0.jpg", PNG, created_at=noon, asset_index=3)  # not what its name says
    mp4 = put("a/1.mp4", MP4, created_at=noon, generation_settings={"cfg": 7.5})
    odd = put("a/2", b"", created_at=None, asset_index=-4, original_prompt="../../etc\n")
    opened = fetch_zip(ids=[png.pk, mp4.pk, odd.pk, png.pk])
    names = {
        f"2026-11-20/{str(png.job_id)[:8]}-3-{str(png.pk)[:8]}.png": PNG,
        f"2026-11-20/{str(mp4.job_id)[:8]}-0-{str(mp4.pk)[:8]}.mp4": MP4,
        f"undated/{str(odd.job_id)[:8]}--4-{str(odd.pk)[:8]}.bin": b"",
    }
    assert opened.namelist() == [*names, "manifest.jsonl"]
    assert {name: opened.read(name) for name in names} == names
    assert {info.compress_type for info in opened.infolist()} == {zipfile.ZIP_STORED}
    rows = manifest_of(opened)
    assert [row["file"] for row in rows] == list(names)
    assert [row["id"] for row in rows] == [str(asset.pk) for asset in (png, mp4, odd)]
    assert {tuple(row) for row in rows} == {("file", *NAMES)}
    assert (rows[1]["generation_settings"], rows[2]["original_prompt"]) == ({"cfg": 7.5}, "../../etc\n")


def test_what_is_not_in_it_is_named_with_its_reason(fetch_zip, put, store, staff):
    there, gone = put("a/0.png", PNG), put("a/1.png", PNG)
    lost, outside = make_asset(temp_storage_path="a/9.png"), make_asset(temp_storage_path="../../etc/passwd")
    absolute = make_asset(temp_storage_path="/etc/passwd")
    dispositions.delete([gone.pk], actor=staff)
    opened = fetch_zip(ids=[there.pk, gone.pk, lost.pk, outside.pk, absolute.pk, UUID(int=7)])
    assert opened.read("missing.txt").decode().splitlines() == [
        f"{gone.pk}: It has left the workspace.",
        f"{lost.pk}: The file is missing from the store.",
        f"{outside.pk}: The path leaves the store.",
        f"{absolute.pk}: The path leaves the store.",
        f"{UUID(int=7)}: It has left the workspace.",
    ]
    assert len(opened.namelist()) == 3
    rows = {row["id"]: row["file"] for row in manifest_of(opened)}
    assert rows == {str(there.pk): opened.namelist()[0]} | dict.fromkeys(
        map(str, (lost.pk, outside.pk, absolute.pk))
    )


@folders_only("it has links")
def test_what_lies_behind_a_link_out_of_the_store_is_not_in_it(fetch_zip, store):
    (store / "linked").symlink_to("/etc")
    linked = make_asset(temp_storage_path="linked/passwd")
    said = fetch_zip(ids=[linked.pk]).read("missing.txt").decode()
    assert said == f"{linked.pk}: The path leaves the store by a link.\n"


def test_names_are_safe_and_no_two_files_share_one(fetch_zip, put, monkeypatch):
    monkeypatch.setattr(archive, "ROWS_AT_ONCE", 2)
    twins = [
        put(f"{number}.png", bytes([number]), id=UUID(int=number), asset_index=0,
            job=make_job(id=UUID(int=number)), model_used="/abs\\..\x01\r\n", mime_type="../x")
        for number in range(1, 6)
    ]  # fmt: skip
    opened = fetch_zip(ids=[asset.pk for asset in twins])
    names = [row["file"] for row in manifest_of(opened)]
    assert [opened.read(name) for name in names] == [bytes([number]) for number in range(1, 6)]
    assert len(set(names)) == 5
    for name in names:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d/[0-9a-f]{8}-\d+-[0-9a-f-]+\.bin", name)


def test_all_that_a_filter_selects_comes_in_its_order(fetch_zip, put):
    job = make_job()
    made = [put(f"{number}.png", PNG, job=job, user=job.user) for number in range(3)]
    put("other.png", PNG)
    rows = manifest_of(fetch_zip(select="all", filter=f"job={job.pk}&sort=created_at", ids=[UUID(int=1)]))
    assert [row["id"] for row in rows] == [str(asset.pk) for asset in made]


@pytest.mark.parametrize(
    ("selection", "reason"),
    [
        ({}, "No asset is selected."),
        ({"ids": ["nonsense"]}, "is not the UUID of an asset"),
        ({"ids": ["\x00"]}, "is not the UUID of an asset"),
        ({"select": "all"}, "needs the filter that is meant"),
        ({"select": "some"}, "“select” is all, or left out"),
        ({"select": "all", "filter": "colour=red"}, "There is no filter named “colour”."),
        ({"select": "all", "filter": "type=%00"}, "Null characters are not allowed."),
        ({"select": "all", "filter": "model=nothing-of-it"}, "No asset is selected."),
        ({"select": "all", "filter": ""}, "At most 2 files are sent at once: select fewer of them."),
        ({"ids": [UUID(int=number) for number in range(3)]}, "At most 2 files are sent at once"),
        ({"ids": [UUID(int=1)] * 20_001}, "At most 20,000 ticked assets"),
    ],
    ids=range(11),
)
def test_a_bad_selection_is_answered_with_a_sentence(client, staff, monkeypatch, selection, reason):
    monkeypatch.setattr("assets.views.export.MOST_FILES", 2)
    make_assets(3)
    client.force_login(staff)
    response = client.post(URL, selection)
    assert (response.status_code, response.streaming) == (400, False)
    assert reason in Page(response).text


# --- In the middle -----------------------------------------------------------------


@folders_only("of a bucket, another version is not read on")
def test_a_file_that_is_cut_short_while_it_is_sent_breaks_the_archive_off(client, staff, put, store):
    asset = put("a/0.png", PNG + bytes(3 * archive.BLOCK_BYTES))
    client.force_login(staff)
    parts = iter(client.post(URL, {"ids": [asset.pk]}).streaming_content)
    sent = next(parts) + next(parts)
    (store / "a/0.png").write_bytes(PNG[:1])
    with pytest.raises(FileFault, match="cut short"):
        sent += b"".join(parts)
    assert not zipfile.is_zipfile(io.BytesIO(sent))


def test_a_file_that_fails_while_it_is_sent_breaks_the_archive_off(client, staff, put, monkeypatch):
    asset = put("a/0.png", PNG)
    client.force_login(staff)

    class Failing(io.BytesIO):
        def read(self, size=-1):
            raise OSError("the disk is gone")

    monkeypatch.setattr(archive, "_open", lambda asset: archive._Opened(Failing(), 9, "png"))
    parts = client.post(URL, {"ids": [asset.pk]}).streaming_content
    with pytest.raises(OSError, match="the disk is gone"):
        list(parts)


def test_a_file_that_grows_is_sent_as_long_as_it_was(fetch_zip, put, store, monkeypatch):
    asset = put("a/0.png", PNG)
    opened = archive._open

    def open_and_append(asset):
        found = opened(asset)
        (store / "a/0.png").write_bytes(PNG + b"more")
        return found

    monkeypatch.setattr(archive, "_open", open_and_append)
    [name, _] = (opened_zip := fetch_zip(ids=[asset.pk])).namelist()
    assert opened_zip.read(name) == PNG


# --- Sizes ---------------------------------------------------------------------------


@folders_only("the server would be in the memory that is measured")
def test_large_files_are_sent_in_blocks_and_in_flat_memory(client, staff, put, store):
    small, large = put("a/0.bin", b"x"), put("a/1.bin", b"")
    with (store / "a/1.bin").open("r+b") as file:
        file.truncate(100_000_000)
    client.force_login(staff)
    lengths = []

    def fetch(asset):
        parts = client.post(URL, {"ids": [asset.pk]}).streaming_content
        lengths.append([len(part) for part in parts])

    peaks = [peak_of(lambda asset=asset: fetch(asset)) for asset in (small, large)]
    assert max(lengths[1]) == archive.BLOCK_BYTES
    assert sum(lengths[1]) > 100_000_000
    assert peaks[1] - peaks[0] < 8


def test_files_beyond_what_an_old_zip_can_count_use_zip64():
    stream = ZipStream()
    huge = archive._Opened(io.BytesIO(), 5_000_000_000, "bin")
    stream.add(archive._blocks(huge), "huge.bin", size=huge.size)
    header = next(stream.all_files())
    assert header[4:6] == (45).to_bytes(2, "little")  # the version of the standard that has Zip64
    assert header[18:26] == b"\xff" * 8  # both sizes are in the extra field


# --- Who -------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["staff", "reviewer", "admin"])
def test_whoever_sees_assets_may_have_their_files(client, request, put, role):
    asset = put("a/0.png", PNG)
    client.force_login(request.getfixturevalue(role))
    assert zipfile.is_zipfile(io.BytesIO(client.post(URL, {"ids": [asset.pk]}).getvalue()))
    job = Page(client.get(f"/jobs/{asset.job_id}/"))
    assert f'formaction="{URL}"' in job.html
    assert f'<input type="hidden" name="filter" value="job={asset.job_id}">' in job.html


def test_nobody_else_has_them(client, staff, put):
    selection = {"ids": [put("a/0.png", PNG).pk]}
    response = client.post(URL, selection)
    assert (response.status_code, response["Location"]) == (302, "/accounts/login/?next=/assets/")
    client.force_login(User.objects.create_user("stranger"))
    assert client.post(URL, selection).status_code == 403
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(staff)
    assert careful.post(URL, selection).status_code == 403
    client.force_login(staff)
    for send in (client.get, client.head, client.put, client.delete):
        assert send(URL).status_code == 405
