"""The demo workspace: real files, every oddity, the same every time, and nobody else's rows touched."""

import hashlib
from collections import Counter
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from assets import dispositions
from assets.demo.build import DemoRefused, build
from assets.demo.logins import LOGINS, demo_password, make_logins
from assets.demo.oddities import GONE_JOB, GONE_USER, ORPHAN_KEY, add_oddities
from assets.demo.rows import plan
from assets.embedded import read
from assets.formats import sniff
from assets.models import Disposition, Job, Profile, WorkspaceAsset
from assets.storage import WORKSPACE, FileFault, MissingFile, PathFault
from tests.factories import make_asset
from workspace import stores

pytestmark = pytest.mark.django_db

SCALE = 0.25
NOW = timezone.now()


def quiet(done, total):
    pass


def store_in(settings, folder):
    """A folder whatever the other tests have: the files are drawn once for all tests here."""
    place = {"BACKEND": stores.FOLDER, "OPTIONS": {"location": folder / "workspace"}}
    settings.STORAGES = settings.STORAGES | {"workspace": place}
    settings.DATA_DIR = folder
    return folder / "workspace"


def files_in(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The files, drawn once for this module."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture
def demo(settings, drawn):
    store_in(settings, drawn)
    return build(NOW, quiet, SCALE)


def sniffed(asset):
    with WORKSPACE.open(asset.temp_storage_path) as file:
        return sniff(file.read(256))


def test_the_whole_demo_is_as_large_as_it_says():
    made = plan(NOW)
    add_oddities(made)
    assert len(made.profiles) == 12
    assert len(made.jobs) == 240
    assert 640 <= len(made.assets) <= 720
    assert 55 <= sum(1 for _ in made.clips()) <= 70
    assert all(len(asset.original_prompt.split()) >= 8 for asset in made.assets)
    expiring = [asset.expires_at for asset in made.assets if asset.expires_at]
    for low, high in ((-48, 0), (0, 1), (1, 24), (24, 72), (72, 168)):
        start, end = NOW + timedelta(hours=low), NOW + timedelta(hours=high)
        assert sum(start < moment <= end for moment in expiring) >= 5


def test_files_are_what_their_rows_say_but_for_the_odd_ones(demo):
    kinds = Counter()
    wrong = []
    for asset in WorkspaceAsset.objects.all():
        try:
            found = sniffed(asset)
        except FileFault:
            continue
        if found is None or found.mime != asset.mime_type:
            wrong.append(asset)
        else:
            kinds[found.mime] += 1
    assert set(kinds) == {"image/png", "image/jpeg", "image/webp", "video/mp4", "video/webm"}
    assert len(wrong) == 2  # a JPEG called PNG, and a page called PNG


def test_every_oddity_is_there(demo):
    rows = WorkspaceAsset.objects
    assert rows.filter(file_size_bytes=0).count() == 1
    assert rows.filter(width=None, height=None).count() == 1
    assert rows.filter(job_id=GONE_JOB).count() == 1
    assert not Job.objects.filter(id=GONE_JOB).exists()
    assert rows.filter(user_id=GONE_USER).count() == 1
    assert not Profile.objects.filter(id=GONE_USER).exists()
    assert rows.filter(expires_at=None).count() == 2
    assert rows.filter(created_at=None).count() == 2
    assert rows.expired(NOW).exists()
    assert rows.filter(generation_settings__isnull=True).count() == 1
    shapes = Counter(type(asset.generation_settings).__name__ for asset in rows.all())
    assert {"dict", "list", "str", "NoneType"} == set(shapes)
    assert rows.filter(generation_settings={}).count() == 1
    assert rows.filter(generation_seed=0).count() == 1
    assert rows.filter(generation_settings__content_mode="nsfw").count() == 2
    assert rows.filter(temp_storage_path__startswith="workspace-temp/").count() == 1
    assert rows.filter(temp_storage_path__contains="?token=").count() == 1
    paths = Counter(rows.values_list("temp_storage_path", flat=True))
    assert list(paths.values()).count(2) == 1
    assert Profile.objects.filter(username=None).count() == 1
    assert storages["workspace"].exists(ORPHAN_KEY)


def test_faulty_files_have_the_faults_they_should(demo):
    faults = Counter()
    for asset in WorkspaceAsset.objects.all():
        try:
            WORKSPACE.facts(asset.temp_storage_path)
        except FileFault as fault:
            faults[type(fault)] += 1
    assert faults == {MissingFile: 1, PathFault: 2}


def test_some_files_say_how_they_were_made_and_not_all_as_their_rows_do(demo):
    said = Counter()
    for asset in WorkspaceAsset.objects.filter(temp_storage_path__endswith=".png", mime_type="image/png"):
        try:
            with WORKSPACE.open(asset.temp_storage_path) as file:
                found = read(file)
        except FileFault:
            said["nothing"] += 1
        else:
            said[found.generator, found.seed == asset.generation_seed] += 1
    assert set(said) == {("AUTOMATIC1111", True), ("AUTOMATIC1111", False), ("ComfyUI", True), "nothing"}
    assert said["AUTOMATIC1111", True] > said["AUTOMATIC1111", False]


def test_thumbnails_are_there_missing_from_the_row_and_not_what_they_say(demo):
    clips = WorkspaceAsset.objects.filter(asset_type="video")
    kinds = Counter()
    for clip in clips:
        key = clip.temp_storage_path.rsplit(".", 1)[0] + ".thumb.webp"
        if storages["workspace"].exists(key):
            with storages["workspace"].open(key) as file:
                kinds[(clip.thumbnail_path is not None, sniff(file.read(256)).extension)] += 1
    assert kinds[False, "webp"] == 1
    assert kinds[True, "jpg"] == 1
    assert kinds[True, "webp"] >= 1


def test_assets_whose_user_or_job_is_gone_leave_and_come_back(demo, admin):
    ids = list(WorkspaceAsset.objects.filter(user_id=GONE_USER).values_list("id", flat=True))
    assert ids
    dispositions.delete(ids, actor=admin)
    dispositions.restore(Disposition.objects.values_list("id", flat=True), actor=admin)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert WorkspaceAsset.objects.filter(id__in=ids).count() == len(ids)


def test_building_again_renews_the_times_and_draws_nothing(demo, drawn):
    written = {path: path.stat().st_mtime_ns for path in (drawn / "workspace").rglob("*") if path.is_file()}
    before = dict(WorkspaceAsset.objects.values_list("id", "expires_at"))
    build(NOW + timedelta(days=3), quiet, SCALE)
    after = dict(WorkspaceAsset.objects.values_list("id", "expires_at"))
    assert after.keys() == before.keys()
    moved = Counter(after[pk] - moment for pk, moment in before.items() if moment)
    assert set(moved) == {timedelta(days=3)}
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_a_lost_file_is_drawn_again(demo, drawn):
    victim = next((drawn / "workspace").rglob("*.png"))
    content = victim.read_bytes()
    victim.unlink()
    build(NOW, quiet, SCALE)
    assert victim.read_bytes() == content


def test_a_run_that_was_killed_can_be_repeated_and_makes_the_same_bytes_and_rows(settings, tmp_path, drawn):
    folder = store_in(settings, tmp_path)

    def die(done, total):
        if done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(NOW, die, SCALE)
    assert not WorkspaceAsset.objects.exists()
    build(NOW, quiet, SCALE)
    repeated = dict(WorkspaceAsset.objects.values_list("id", "generation_settings"))
    store_in(settings, drawn)
    build(NOW, quiet, SCALE)
    assert files_in(folder) == files_in(drawn / "workspace")
    assert dict(WorkspaceAsset.objects.values_list("id", "generation_settings")) == repeated


def test_a_workspace_with_other_assets_is_left_alone(settings, tmp_path):
    folder = store_in(settings, tmp_path)
    foreign = make_asset()
    with pytest.raises(CommandError, match="assets that the demo did not make"):
        call_command("demo")
    assert list(WorkspaceAsset.objects.all()) == [foreign]
    assert not User.objects.filter(username__in=LOGINS).exists()
    assert not folder.exists()


def test_a_product_database_is_left_alone(settings):
    settings.UPSTREAM_TABLES = "existing"
    with pytest.raises(DemoRefused, match="never writes to a product's own tables"):
        build(NOW, quiet, SCALE)


def test_log_ins_have_their_roles_and_the_password_that_is_printed(settings):
    settings.DEMO_PASSWORD = ""
    make_logins()
    for name, group in LOGINS.items():
        user = User.objects.get(username=name)
        assert user.check_password(demo_password())
        assert [found.name for found in user.groups.all()] == [group]
        assert (user.is_staff, user.is_superuser) == (True, False)
    assert (settings.DATA_DIR / "demo_password").stat().st_mode & 0o777 == 0o600
    settings.DEMO_PASSWORD = "another password"
    make_logins()
    assert User.objects.get(username="staff").check_password("another password")
