"""Generated files become jobs with assets, once each, whatever happens on the way."""

import io
import json
import os
import threading
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from assets import dispositions, ingest
from assets.ingest import ingest_file
from assets.models import Disposition, Job, LibraryAsset, WorkspaceAsset
from assets.parameters import UNKNOWN_SEED
from assets.purge import purge
from assets.reconcile import reconcile
from assets.storage import WORKSPACE, Store
from tests.factories import make_user
from tests.generated import GRAPH, a1111, comfyui, png, stealth, tagged_video, with_chunk
from tests.samples import noise
from tests.stores import ALIASES

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def stores(store_folders):
    return store_folders


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "given"
    folder.mkdir()
    return folder


@pytest.fixture
def owner():
    return make_user("ada")


def give(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def run(*paths, status=0, **options):
    """The command's answer."""
    out = io.StringIO()
    try:
        call_command("ingest", *map(str, paths), user="ada", json=True, stdout=out, **options)
    except SystemExit as end:
        assert end.code == status
    else:
        assert status == 0
    return json.loads(out.getvalue())


def counts(answer):
    return answer["registered"], answer["there"], answer["failed"]


def files_in(stores):
    return sorted(
        f"{alias}/{path.relative_to(stores / alias)}"
        for alias in ALIASES
        for path in (stores / alias).rglob("*")
        if path.is_file()
    )


# --- What is registered --------------------------------------------------------


def test_a_file_becomes_a_job_with_an_asset_that_knows_how_it_was_made(folder, owner, stores):
    content = png({"parameters": a1111()})
    answer = run(give(folder, "fox.png", content))
    assert counts(answer) == (1, 0, 0)
    asset = WorkspaceAsset.objects.get()
    assert answer["files"][0]["asset"] == str(asset.id)
    assert asset.temp_storage_path == f"{owner.id}/{asset.id}.png"
    assert (stores / "workspace" / asset.temp_storage_path).read_bytes() == content
    assert (asset.asset_type, asset.mime_type, asset.file_size_bytes) == ("image", "image/png", len(content))
    assert (asset.width, asset.height, asset.duration_seconds, asset.asset_index) == (64, 48, None, 0)
    assert (asset.original_prompt, asset.generation_seed) == (
        "a red fox in the snow, (detailed:1.2)",
        1234567,
    )
    assert asset.model_used == "sd_xl_base_1.0"
    assert asset.generation_settings == {
        "negative_prompt": "blurry, low quality", "steps": 28, "sampler": "DPM++ 2M", "scheduler": "Karras",
        "guidance_scale": Decimal("6.5"), "width": 64, "height": 48, "model_hash": "31e35c80fc",
        "clip_skip": 2, "generator": "v1.10.1",
    }  # fmt: skip
    assert asset.expires_at > timezone.now() + timedelta(days=6)
    job = Job.objects.get(id=asset.job_id)
    assert (job.user_id, job.status, job.job_type, job.model_type) == (
        owner.id, "completed", "image", "sd_xl_base_1.0",
    )  # fmt: skip
    assert job.original_prompt == asset.original_prompt


def test_a_video_has_its_duration(folder, owner):
    run(give(folder, "clip.bin", tagged_video(comfyui())))
    asset = WorkspaceAsset.objects.get()
    assert (asset.asset_type, asset.mime_type) == ("video", "video/mp4")
    assert (asset.width, asset.height, asset.duration_seconds) == (320, 240, Decimal("2.000"))
    assert asset.temp_storage_path.endswith(".mp4")


def test_files_that_differ_by_seed_alone_are_one_job(folder, owner):
    for seed in (5, 6, 7):
        give(folder, f"{seed}.png", png({"parameters": a1111(seed)}))
    give(folder, "other/8.png", png({"parameters": a1111(8).replace("Steps: 28", "Steps: 29")}))
    graph = json.loads(json.dumps(GRAPH))
    give(folder, "a.png", png(comfyui(graph)))
    graph["3"]["inputs"] |= {"seed": 9, "cfg": 6.50}
    give(folder, "b.png", png(comfyui(graph)))
    answer = run(folder)
    assert (counts(answer), answer["jobs"]) == ((6, 0, 0), 3)
    jobs = Counter(WorkspaceAsset.objects.values_list("job_id", flat=True))
    assert sorted(jobs.values()) == [1, 2, 3]
    largest = WorkspaceAsset.objects.for_job(jobs.most_common(1)[0][0]).order_by("asset_index")
    assert [(asset.asset_index, asset.generation_seed) for asset in largest] == [(0, 5), (1, 6), (2, 7)]


def test_files_that_say_nothing_are_jobs_of_their_own(folder, owner):
    give(folder, "1.png", png())
    give(folder, "2.png", png(colour=(1, 2, 3)))
    answer = run(folder, model="sdxl")
    assert (counts(answer), answer["jobs"]) == ((2, 0, 0), 2)
    assert {file["reason"] for file in answer["files"]} == {"The file carries no generation metadata"}
    for asset in WorkspaceAsset.objects.all():
        assert (asset.original_prompt, asset.generation_seed, asset.model_used) == ("", UNKNOWN_SEED, "sdxl")
        assert asset.generation_settings == {}


def test_hostile_metadata_is_kept_as_far_as_the_database_holds_it(folder, owner):
    text = b"a\0 fox\nSteps: 1, Sampler: E, CFG scale: NaN, Seed: 99999999999999999999"
    give(folder, "1.png", with_chunk(png(), b"tEXt", b"parameters\0" + text))
    give(folder, "2.png", stealth({"parameters": "\ud800\nSteps: 1, Sampler: E, CFG scale: 1, Seed: 1"}))
    give(
        folder,
        "3.png",
        png({"parameters": f"x\nSteps: 1, Sampler: E, Seed: 1, Model: {os.urandom(9000).hex()}"}),
    )
    answer = run(folder, status=1)
    assert [file["state"] for file in answer["files"]] == ["registered", "registered", "failed"]
    assert answer["files"][2]["reason"].startswith("The database refused: index row")
    asset = WorkspaceAsset.objects.get(id=answer["files"][0]["asset"])
    assert (asset.original_prompt, asset.generation_seed) == ("a fox", UNKNOWN_SEED)
    assert asset.generation_settings["seed"] == 99999999999999999999
    assert "larger than the column" in answer["files"][0]["reason"]


def test_what_cannot_be_read_is_listed_and_the_others_go_on(folder, owner, monkeypatch):
    give(folder, "a.png", png({"parameters": a1111()}))
    give(folder, "b/empty.png", b"")
    give(folder, "c/page.png", b"<html>")
    give(folder, "d/half.png", noise(".png")[:20])
    (folder / "e").symlink_to(folder / "e")
    (folder / "f").symlink_to(folder)
    os.mkfifo(folder / "g")
    (folder / "h").symlink_to("/dev/zero")
    private = give(folder, "i.png", png())
    (folder / "j").symlink_to(folder / "nowhere")
    opened = Path.open

    def guarded(path, *args, **kwargs):
        if path == private:
            raise PermissionError(13, "no")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", guarded)
    answer = run(folder, folder / "missing", status=1)
    reasons = {
        Path(file["path"]).name: file["reason"] for file in answer["files"] if file["state"] == "failed"
    }
    assert reasons == {
        "empty.png": "The file is empty",
        "page.png": "The file is not a known image or video",
        "half.png": "The file is damaged or incomplete",
        "e": "The link leads back to itself",
        "f": "The folder is a link to one that it lies in",
        "g": "It is not a file",
        "h": "It is not a file",
        "i.png": "It may not be read",
        "j": "There is no such file",
        "missing": "There is no such file",
    }
    assert WorkspaceAsset.objects.filter(generation_seed=1234567).exists()


def test_people_are_told_what_became_of_it(folder, owner, capsys):
    give(folder, "a.png", png({"parameters": a1111(1)}))
    give(folder, "b.png", png({"parameters": a1111(2)}))
    again = give(folder, "b again.png", png({"parameters": a1111(2)}))
    call_command("ingest", str(folder), user=str(owner.id), dry_run=True)
    assert capsys.readouterr().out.splitlines() == [
        "There already:",
        f"  {folder}/b.png: It has the bytes of a file before it.",
        "2 would be registered in 1 job, 1 there already, 0 not readable.",
    ]
    assert not WorkspaceAsset.objects.exists()
    again.unlink()
    call_command("ingest", str(folder / "a.png"), user="ada")
    give(folder, "bad\udcff.png", b"x")
    with pytest.raises(SystemExit):
        call_command("ingest", str(folder), user="ada")
    assert capsys.readouterr().out.splitlines()[1:] == [
        "Not readable:",
        f"  {folder}/bad\\xff.png: The file is not a known image or video.",
        "There already:",
        f"  {folder}/a.png: It is in the workspace.",
        "1 registered in 1 job, 1 there already, 1 not readable.",
    ]
    with pytest.raises(CommandError, match="no user nobody"):
        call_command("ingest", str(folder), user="nobody")


def test_a_role_that_may_not_add_assets_is_a_sentence(folder, owner):
    give(folder, "a.png", png())
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE reader; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        cursor.execute("SET ROLE reader")
        try:
            with pytest.raises(CommandError, match=r"does not let this role add assets: permission denied"):
                run(folder)
        finally:
            cursor.execute("RESET ROLE")


# --- Once ------------------------------------------------------------------------


def test_twice_is_once(folder, owner, stores):
    for seed in (5, 6):
        give(folder, f"{seed}.png", png({"parameters": a1111(seed)}))
    give(folder, "copy of 5.png", png({"parameters": a1111(5)}))
    assert counts(run(folder)) == (2, 1, 0)
    before = list(WorkspaceAsset.objects.order_by("id").values()), files_in(stores)
    assert counts(run(folder)) == (0, 3, 0)
    assert (list(WorkspaceAsset.objects.order_by("id").values()), files_in(stores)) == before
    make_user("bob")
    call_command("ingest", str(folder), user="bob", json=True, stdout=io.StringIO())
    assert WorkspaceAsset.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_many_at_once_register_each_file_once(folder, owner, stores):
    paths = [give(folder, f"{seed}.png", png({"parameters": a1111(seed)})) for seed in range(6)]
    results, start = [], threading.Barrier(4, timeout=60)

    def work(model):
        start.wait()
        results.extend(ingest_file(path, owner=owner, model=model) for path in paths)
        connection.close()

    threads = [threading.Thread(target=work, args=[model]) for model in ("", "a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert Counter(result.state for result in results) == {"registered": 6, "there": 18}
    assert sorted(WorkspaceAsset.objects.values_list("asset_index", flat=True)) == list(range(6))
    assert Job.objects.count() == 1
    assert len(files_in(stores)) == 6


def test_one_that_another_registers_in_between_is_there_already(folder, owner, monkeypatch):
    path = give(folder, "fox.png", png())
    ingest_file(path, owner=owner)
    look, blind = ingest._where_it_is, iter([True, True])
    monkeypatch.setattr(ingest, "_where_it_is", lambda pk: "" if next(blind, False) else look(pk))
    result = ingest_file(path, owner=owner, model="another, and so another job")
    assert (result.state, result.reason) == ("there", "It is in the workspace")
    assert (WorkspaceAsset.objects.count(), Job.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    "step", [(Store, "put"), (ingest, "_is_in_place"), (ingest, "_locked_job"), (ingest, "_take_index")],
    ids=lambda step: step[1],
)  # fmt: skip
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_any_step_is_mended_by_running_again(folder, owner, stores, monkeypatch, step, when):
    give(folder, "fox.png", png({"parameters": a1111()}))
    target, name = step
    real = getattr(target, name)

    def crash(*args, **kwargs):
        if when == "after":
            real(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(target, name, crash)
        run(folder)
    assert not WorkspaceAsset.objects.exists()
    assert not Job.objects.exists()
    assert counts(run(folder)) == (1, 0, 0)
    asset = WorkspaceAsset.objects.get()
    assert files_in(stores) == [f"workspace/{asset.temp_storage_path}"]
    assert reconcile(remove=False, limit=0).is_clean


def test_what_has_left_is_not_added_again_until_its_file_is_gone(folder, owner, admin, stores, settings):
    path = give(folder, "fox.png", png({"parameters": a1111()}))
    asset_id = run(path)["files"][0]["asset"]
    dispositions.delete([asset_id], actor=admin)
    assert run(path)["files"][0]["reason"] == "It was deleted by admins: restore it from Removed"
    dispositions.restore(Disposition.objects.values_list("id", flat=True), actor=admin)
    assert run(path)["files"][0]["reason"] == "It is in the workspace"
    dispositions.delete([asset_id], actor=admin)
    Disposition.objects.update(purge_after=timezone.now() - timedelta(hours=1))
    assert purge().done == 1
    assert files_in(stores) == []
    assert counts(run(path)) == (1, 0, 0)
    asset = WorkspaceAsset.objects.get()
    assert str(asset.id) == asset_id
    assert asset.asset_index == 1  # nobody else had come back to 0, but somebody might have
    assert purge() == (0, 0)
    assert WORKSPACE.exists(asset.temp_storage_path)


def test_what_was_saved_is_there_already(folder, owner, admin):
    path = give(folder, "fox.png", png({"parameters": a1111()}))
    asset_id = run(path)["files"][0]["asset"]
    dispositions.promote([asset_id], actor=admin)
    assert LibraryAsset.objects.get().generation_seed == 1234567
    assert run(path)["files"][0]["reason"] == "It is in the library"


def test_an_asset_that_comes_back_finds_its_place_in_the_job(folder, owner, admin):
    first = run(give(folder, "1.png", png({"parameters": a1111(1)})))["files"][0]["asset"]
    dispositions.delete([first], actor=admin)
    run(give(folder, "2.png", png({"parameters": a1111(2)})))
    dispositions.restore(Disposition.objects.values_list("id", flat=True), actor=admin)
    assert list(
        WorkspaceAsset.objects.order_by("asset_index").values_list("asset_index", "generation_seed")
    ) == [
        (0, 1),
        (1, 2),
    ]


def test_a_clean_up_between_copy_and_row_costs_nothing(folder, owner, stores, monkeypatch):
    path = give(folder, "fox.png", png({"parameters": a1111()}))
    put, removals = Store.put, iter([True, False])

    def put_and_lose(store, file, key, **kwargs):
        copied = put(store, file, key, **kwargs)
        if next(removals):
            store.remove([key])
        return copied

    monkeypatch.setattr(Store, "put", put_and_lose)
    assert counts(run(path)) == (1, 0, 0)
    assert WORKSPACE.exists(WorkspaceAsset.objects.get().temp_storage_path)


def test_a_file_is_safe_from_a_power_cut_before_its_row_is(folder, owner, monkeypatch):
    settled, settle = [], Store.settle
    monkeypatch.setattr(
        Store,
        "settle",
        lambda store, key: settled.append(WorkspaceAsset.objects.count()) or settle(store, key),
    )
    run(give(folder, "fox.png", png()))
    assert settled == [0]


def test_no_clean_up_runs_while_the_row_comes_to_name_its_file(folder, owner, monkeypatch):
    insert, held = ingest._insert, []

    def insert_and_look(*args):
        with connection.cursor() as cursor:
            cursor.execute("SELECT mode FROM pg_locks WHERE locktype = 'advisory' AND granted")
            held.extend(mode for (mode,) in cursor.fetchall())
        insert(*args)

    monkeypatch.setattr(ingest, "_insert", insert_and_look)
    run(give(folder, "fox.png", png()))
    assert held == ["ShareLock"]


def test_a_file_that_changes_while_it_is_read_is_not_registered(folder, owner, monkeypatch, stores):
    path = give(folder, "fox.png", png())
    put = Store.put
    monkeypatch.setattr(
        Store, "put", lambda store, file, key, **kwargs: put(store, io.BytesIO(b"other"), key, **kwargs)
    )
    assert run(path, status=1)["files"][0]["reason"] == "The file was changed while it was read"
    assert not WorkspaceAsset.objects.exists()
    assert files_in(stores) == []


def test_a_changed_file_never_takes_the_place_of_one_that_is_registered(folder, owner, monkeypatch, stores):
    content = png()
    path, describe = give(folder, "fox.png", content), ingest._described

    def change_after_another_has_it(file, *args):
        new = describe(file, *args)
        with monkeypatch.context() as patch:
            patch.setattr(ingest, "_described", describe)
            assert ingest_file(path, owner=owner).state == "registered"
        path.write_bytes(png(colour=(1, 2, 3)))
        return new

    monkeypatch.setattr(ingest, "_described", change_after_another_has_it)
    assert ingest_file(path, owner=owner).reason == "The file was changed while it was read"
    assert (stores / "workspace" / WorkspaceAsset.objects.get().temp_storage_path).read_bytes() == content


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("ALTER TABLE jobs ADD region text NOT NULL", "tables are not as they are known here: null value"),
        ("ALTER TABLE jobs DROP destination", "tables are not as they are known here: column"),
        ("ALTER TABLE workspace_assets ADD CHECK (asset_index > 9)", ""),
    ],
    ids=["needs more", "has less", "refuses one"],
)
def test_what_the_database_refuses_leaves_nothing_behind(folder, owner, stores, statement, reason):
    for seed in (5, 6):
        give(folder, f"{seed}.png", png({"parameters": a1111(seed)}))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(statement)
    if reason:
        with pytest.raises(CommandError, match=reason):
            run(folder)
    else:
        assert {file["reason"][:21] for file in run(folder, status=1)["files"]} == {"The database refused:"}
    assert files_in(stores) == []
    assert not WorkspaceAsset.objects.exists()
    assert not Job.objects.exists()


def test_what_another_run_registered_and_moved_on_stays_as_it_is(folder, owner, admin, stores, monkeypatch):
    path, look = give(folder, "fox.png", png()), ingest._where_it_is
    ingest_file(path, owner=owner)
    asset = WorkspaceAsset.objects.get()
    blind = iter([True])
    monkeypatch.setattr(ingest, "_where_it_is", lambda pk: "" if next(blind, False) else look(pk))
    assert ingest_file(path, owner=owner).reason == "It is in the workspace"
    assert WORKSPACE.exists(asset.temp_storage_path)
    dispositions.promote([asset.pk], actor=admin)
    Disposition.objects.update(purge_after=timezone.now() - timedelta(hours=1))
    purge()
    blind = iter([True])
    assert ingest_file(path, owner=owner).reason == "It is in the library"
    assert [name.split("/")[0] for name in files_in(stores)] == ["library"]


def test_the_preview_of_what_was_registered_is_served(folder, owner, client, staff):
    run(give(folder, "fox.png", png({"parameters": a1111()})))
    client.force_login(staff)
    asset = WorkspaceAsset.objects.get()
    answer = client.get(reverse("asset_preview", args=[asset.id]))
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/webp")
    assert client.get(reverse("detail", args=[asset.id])).status_code == 200
