"""Lists read from a real streaming replica, and from the primary wherever the replica will not do."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import DataError, OperationalError, connection, connections, router, transaction
from django.test import Client

from assets import bulk, dispositions, replica, rollups
from assets.models import Job, LibraryAsset, Operation, WorkspaceAsset
from assets.views import gallery
from tests.factories import make_asset, make_assets, make_job, make_user
from tests.html import Page
from tests.test_run import free_port, log_in, wait_for_end
from workspace import localpg
from workspace import settings as our_settings

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "replica"])

FOLLOWED = Path(unquote(urlsplit(os.environ["DATABASE_URL"]).hostname or ""))
DOES_NOT_ANSWER = "Lists are read from the primary: the replica does not answer"
PATIENCE = 120  # seconds: the replica has to go through what all other tests write meanwhile


# --- A replica -----------------------------------------------------------------


class Server:
    """The embedded server once more, as a copy that follows the one of the tests."""

    def __init__(self, folder):
        self.folder = folder
        # As its owner, whom the folder must belong to.
        owner = FOLLOWED.stat()
        folder.mkdir(mode=0o700)
        os.chown(folder, owner.st_uid, owner.st_gid)
        options = ["-h", FOLLOWED, "-U", "postgres", "--checkpoint=fast", "--no-sync"]
        localpg._run("pg_basebackup", "-D", folder, "--write-recovery-conf", *options, owner=folder)
        (folder / ".s.PGSQL.5432.lock").unlink()  # of the other, whose socket lies among its data
        with (folder / "postgresql.auto.conf").open("a") as file:
            # No conflict but where a test makes one.
            file.write("max_standby_streaming_delay = -1\nhot_standby_feedback = on\n")
        self.start()

    def start(self):
        name = connection.settings_dict["NAME"]
        self.url = localpg.ensure(self.folder, name, throwaway=True)

    def kill(self):
        os.kill(int((self.folder / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)


@pytest.fixture(scope="module")
def server(django_db_setup, django_db_blocker):
    """One for all, and the dashboard's settings of it."""
    with django_db_blocker.unblock():
        server = Server(FOLLOWED.with_name("replica"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(our_settings, "READ_REPLICA_URL", server.url)
        databases = connections.configure_settings({"default": {}, "replica": our_settings._replica()})
        patch.setitem(connections.settings, "replica", databases["replica"])
        yield server
        del connections["replica"]


@pytest.fixture
def following(server, transactional_db, settings, monkeypatch):
    """A replica that has all, of which nothing has been found out so far."""
    settings.DATABASE_ROUTERS = [*settings.DATABASE_ROUTERS, "workspace.routers.ReplicaRouter"]
    monkeypatch.setattr(replica, "health", replica.Health())
    monkeypatch.setattr(replica, "CHECK_EVERY", 0)
    # However long a busy machine takes, it neither lags nor is too slow but where a test is about that.
    monkeypatch.setattr(replica, "MOST_LAG", timedelta(hours=1))
    settings.REQUEST_TIMEOUT = PATIENCE
    catch_up()
    yield server
    connections["replica"].close()
    resume()


def ask(statement, using="replica"):
    with connections[using].cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


def wait_until(statement, using="replica"):
    deadline = time.monotonic() + PATIENCE
    while not ask(statement, using):
        assert time.monotonic() < deadline, statement
        time.sleep(0.02)


def catch_up():
    ask("SELECT pg_current_xact_id()", "default")  # a transaction more, since only such are sent at once
    written = ask("SELECT pg_current_wal_insert_lsn()", "default")
    wait_until(f"SELECT pg_last_wal_replay_lsn() >= '{written}'")
    cache.clear()


def resume():
    with connections["replica"].cursor() as cursor:
        cursor.execute("SELECT pg_wal_replay_resume()")


@contextmanager
def paused():
    """What is written meanwhile is not on the replica."""
    pause()
    deadline = time.monotonic() + PATIENCE
    while ask(HOLDS_A_TABLE):
        assert time.monotonic() < deadline
        resume()
        catch_up()
        pause()
    yield
    resume()
    catch_up()


# It stops anywhere: also where a vacuum has cut off the end of a table and not yet said so, of which
# nobody could read meanwhile.
HOLDS_A_TABLE = """
    SELECT EXISTS (SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND locktype = 'relation'
    AND database IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())))
"""


def pause():
    with connections["replica"].cursor() as cursor:
        cursor.execute("SELECT pg_wal_replay_pause()")
    wait_until("SELECT pg_get_wal_replay_pause_state() = 'paused'")


@pytest.fixture
def visit(admin):
    """Another browser of the same person each time it is called."""

    def new_client():
        client = Client()
        client.force_login(admin)
        return client

    return new_client


def ids(client, url="/assets/"):
    response = client.get(url)
    assert response.status_code == 200
    return set(Page(response).ids)


def body(client, url):
    response = client.get(url)
    assert response.status_code == 200, url
    return (b"".join(response.streaming_content) if response.streaming else response.content).decode()


# --- What is read where ----------------------------------------------------------


def test_lists_and_the_overview_are_read_from_the_replica(following, visit, admin, monkeypatch):
    monkeypatch.setattr("assets.export.ROWS_AT_ONCE", 1)  # so that the last part is read by itself
    ada = make_user("ada")
    job = make_job(ada)
    gone, *_ = make_assets(4, ada, job)
    rollups.refresh()
    catch_up()
    client = visit()
    known_by = {
        "/assets/": "brand-new",
        f"/assets/?user={ada.pk}": "brand-new",
        "/assets/count/?type=video": 'data-total="2"',
        "/assets/export.csv?sort=created_at": "brand-new",
        "/assets/export.json?sort=created_at": "brand-new",
        "/assets/settings/": "unheard_of",
        "/suggest/settings/?q=unh": "unheard_of",
        "/suggest/users/?q=bra": "brand",
        f"/suggest/jobs/?q={str(job.pk)[:8]}": "brand-new template",
        f"/jobs/{job.pk}/": "brand-new",
        f"/users/{ada.pk}/": "brand-new",
        "/queries/": "brand-new",
        "/library/": "brand-new prompt",
        "/library/export.jsonl": "brand-new prompt",
        "/removed/": str(gone.pk),
        "/removed/export.csv": str(gone.pk),
        "/overview/": "brand-new",
        "/admin/assets/workspaceasset/": "brand-new",
    }
    with paused():
        new = {"asset_type": "video", "model_used": "brand-new", "generation_settings": {"unheard_of": 1}}
        asset = make_asset(ada, job, **new)
        make_user("brand")
        Job.objects.update(template_name="brand-new template")
        save(ada, original_prompt="brand-new prompt")
        dispositions.delete([gone.pk], actor=admin)
        rollups.refresh()
        for url, mark in known_by.items():
            assert mark not in body(client, url), url
        # Whoever follows a link to something finds it.
        assert "brand-new" in body(client, f"/assets/{asset.pk}/")
        assert "brand-new" in body(client, f"/jobs/{make_asset(**new).job_id}/")
    for url, mark in known_by.items():
        assert mark in body(client, url), url


def save(user, **values):
    values = {"user": user, "storage_path": "a.png", "asset_type": "image", "file_size_bytes": 1} | values
    return LibraryAsset.objects.create(id=uuid4(), model_used="sdxl", **values)


def test_who_somebody_is_and_what_they_may_do_is_read_from_the_primary(following, visit, admin):
    client = visit()
    with paused():
        assert ids(visit()) == set()  # by a session that the replica has not
        admin.groups.clear()
        assert client.get("/assets/").status_code == 403


def test_nothing_is_migrated_or_written_on_the_replica(following):
    assert not router.allow_migrate("replica", "assets", model_name="operation")
    assert router.allow_migrate("default", "assets", model_name="operation")
    asset = make_asset()
    catch_up()
    with replica._reading_there():
        found = WorkspaceAsset.objects.get(pk=asset.pk)
        assert found._state.db == "replica"
    assert router.db_for_write(WorkspaceAsset, instance=found) == "default"
    assert ask("SHOW default_transaction_read_only") == "on"


# --- Reads after writes --------------------------------------------------------------


def test_whoever_changes_something_sees_it_and_reads_from_the_replica_again_later(following, visit):
    assets = make_assets(3)
    all_of_them = {str(asset.pk) for asset in assets}
    catch_up()
    writer, other = visit(), visit()
    with paused():
        assert writer.post(f"/assets/{assets[0].pk}/delete").status_code == 302
        left = all_of_them - {str(assets[0].pk)}
        assert ids(writer) == left
        assert ids(writer, "/removed/") == {str(assets[0].pk)}
        assert ids(other) == all_of_them
        assert ids(other, "/removed/") == set()
    assert ids(other) == left
    with paused():
        make_asset()
        assert ids(writer) == left


def test_a_position_that_somebody_made_up_is_none(following, visit):
    client = visit()
    with paused():
        make_asset()
        for made_up in ("x", "99999999999", "99999999999:x:y"):
            client.cookies["written"] = made_up
            assert ids(client) == set()


def test_an_operation_is_of_what_the_database_has(following, visit):
    make_assets(3)
    catch_up()
    client, other = visit(), visit()
    with paused():
        make_assets(2)
        assert len(ids(other)) == 3
        client.post("/operations/", {"action": "delete", "select": "all", "filter": ""})
        operation = Operation.objects.get()
        assert operation.total == 5
        assert "5 assets" in Page(client.get(f"/operations/{operation.pk}/")).text


@pytest.mark.parametrize("end", ["", ".json"])
def test_whoever_watches_an_operation_sees_in_the_lists_what_it_has_done(following, visit, admin, end):
    assets = make_assets(2)
    catch_up()
    watcher, other = visit(), visit()
    operation = bulk.freeze_ticked([asset.pk for asset in assets], action="delete", actor=admin)
    with paused():
        dispositions.delete([assets[0].pk], actor=admin, operation=operation)  # as the worker does
        assert len(ids(watcher)) == 2
        page = f"/operations/{operation.pk}{end}"
        assert watcher.get(page if end else f"{page}/").status_code == 200
        assert len(ids(watcher)) == 1
        assert len(ids(other)) == 2


# --- A replica that will not do ----------------------------------------------------


def test_a_replica_that_dies_is_not_missed(following, visit, caplog, monkeypatch):
    client = visit()
    assert client.get("/healthz").json() == {"status": "ok", "replica": "ok"}
    following.kill()
    try:
        asset = make_asset()
        cache.clear()
        tried = count_questions(monkeypatch)
        with caplog.at_level(logging.WARNING, "assets.replica"):
            for _ in range(5):
                assert ids(client) == {str(asset.pk)}
        assert tried == ["replica"]  # and not again for each page
        assert [record.message.partition(" (")[0] for record in caplog.records] == [DOES_NOT_ANSWER]
        rollups.refresh()
        for url in ("/assets/", "/removed/", "/overview/"):
            assert DOES_NOT_ANSWER in body(client, url)
        assert client.get("/healthz").json() == {"status": "ok", "replica": DOES_NOT_ANSWER}
    finally:
        following.start()
    replica.health._next_check = 0
    catch_up()
    with paused():
        make_asset()
        assert ids(client) == {str(asset.pk)}
        assert DOES_NOT_ANSWER not in body(client, "/assets/")


def count_questions(monkeypatch):
    asked, ask_it = [], replica._ask

    def ask_and_count(using, what):
        if using == "replica":
            asked.append(using)
        return ask_it(using, what)

    monkeypatch.setattr(replica, "_ask", ask_and_count)
    return asked


def test_a_conflict_with_recovery_is_answered_by_the_primary(following, visit, monkeypatch):
    asset = make_asset()
    catch_up()
    client, told = visit(), []
    rail = gallery.rail_context

    def in_conflict(*args):
        if replica.alias() == "replica":
            with transaction.atomic(using="replica"):
                assert WorkspaceAsset.objects.using("replica").exists()
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute("LOCK TABLE workspace_assets IN ACCESS EXCLUSIVE MODE")
                try:
                    ask("SELECT pg_sleep(20)")
                except OperationalError as error:
                    told.append(str(error))
                    raise
        return rail(*args)

    monkeypatch.setattr(gallery, "rail_context", in_conflict)
    with never_waiting():
        assert ids(client) == {str(asset.pk)}
    assert "due to conflict with recovery" in told[0]
    monkeypatch.setattr(gallery, "rail_context", rail)
    replica.health._next_check = 0
    assert ids(client) == {str(asset.pk)}
    assert replica.health.trouble == ""


@contextmanager
def never_waiting():
    """The replica goes on at once, whoever reads what changes."""
    with connections["replica"].cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET max_standby_streaming_delay = 0")
        cursor.execute("SELECT pg_reload_conf()")
    yield
    with connections["replica"].cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET max_standby_streaming_delay = -1")
        cursor.execute("SELECT pg_reload_conf()")


def test_what_the_replica_has_not_is_read_from_the_primary(following, visit, monkeypatch):
    """Such as a table that somebody may not read there, or one of the latest migration."""
    asset = make_asset()
    catch_up()
    options = connections["replica"].settings_dict["OPTIONS"]
    monkeypatch.setitem(options, "options", f"{options['options']} -c search_path=elsewhere")
    connections["replica"].close()
    assert ids(visit()) == {str(asset.pk)}


def test_a_connection_that_failed_is_given_to_nobody_else(following, monkeypatch):
    wrapper = connections["replica"]
    ask("SELECT 1")
    raw = wrapper.connection
    monkeypatch.setattr(wrapper, "_close", lambda: None)  # a pool takes it back as it is
    replica.health.failed(OperationalError())
    assert raw.closed


def test_a_fault_of_the_page_is_not_the_replicas(following, visit, monkeypatch):
    def divide(*args):
        ask("SELECT 1 / 0", replica.alias())

    monkeypatch.setattr(gallery, "rail_context", divide)
    with pytest.raises(DataError):
        visit().get("/assets/")
    assert replica.health.trouble == ""


def test_a_replica_that_lags_is_left_alone_until_it_has_caught_up(following, visit, monkeypatch):
    client = visit()
    monkeypatch.setattr(replica, "MOST_LAG", timedelta(0))
    with paused():
        asset = make_asset()
        wait_until("SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()", "default")
        assert ids(client) == {str(asset.pk)}
        assert "the replica is more than 0 s behind" in body(client, "/assets/")
    with paused():
        assert ids(client) == {str(asset.pk)}
        assert replica.health.trouble == ""


def test_a_primary_that_is_named_as_replica_is_none(following, visit):
    asset = make_asset()
    told = "Lists are read from the primary: READ_REPLICA_URL names no replica"
    connections["replica"].close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(connections["replica"].settings_dict, "HOST", str(FOLLOWED))
        client = visit()
        assert ids(client) == {str(asset.pk)}
        assert client.get("/healthz").json()["replica"] == told
    connections["replica"].close()


def test_the_time_limit_holds_on_the_replica(following, visit, settings, monkeypatch):
    settings.REQUEST_TIMEOUT = 1
    monkeypatch.setattr("workspace.time_limit.QUICK", 0)
    monkeypatch.setattr(gallery, "rail_context", lambda *args: ask("SELECT pg_sleep(20)", replica.alias()))
    used = ask("SELECT pg_backend_pid()")
    response = visit().get("/assets/")
    assert response.status_code == 503
    assert "stopped after 1 second" in response.content.decode()
    assert replica.health.trouble == ""
    assert ask("SELECT pg_backend_pid()") == used
    assert ask("SHOW statement_timeout") == "0"


# --- The server ----------------------------------------------------------------------


def test_served_with_pools_whoever_writes_sees_it_and_a_dead_replica_is_not_missed(
    following, admin, tmp_path, settings
):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]  # as the server's
    admin.set_password("a good password")
    admin.save()
    asset, kept = ({str(asset.pk)} for asset in make_assets(2))
    with serving(following.url, tmp_path) as address:
        writer, page = log_in(address, admin.username, "a good password")
        other, _ = log_in(address, admin.username, "a good password")
        catch_up()
        with paused():
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
            form = urllib.parse.urlencode({"csrfmiddlewaretoken": token}).encode()
            fetch(writer, f"{address}/assets/{min(asset)}/delete", form)
            assert shown(writer, address) == kept
            assert shown(other, address) == asset | kept
        assert shown(other, address) == kept
        assert json.loads(fetch(writer, f"{address}/healthz")) == {"status": "ok", "replica": "ok"}
        following.kill()
        try:
            for _ in range(6):
                assert shown(writer, address) == shown(other, address) == kept
            assert json.loads(fetch(writer, f"{address}/healthz"))["replica"] == DOES_NOT_ANSWER
        finally:
            following.start()


@contextmanager
def serving(replica_url, folder):
    """As `manage.py run` does, on the database of the tests."""
    address = f"http://127.0.0.1:{free_port()}"
    name = connection.settings_dict["NAME"]
    variables = {"DATABASE_URL": os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{name}"}
    variables |= {"READ_REPLICA_URL": replica_url, "DATA_DIR": str(folder), "SECRET_KEY": "a key for a test"}
    variables |= {"WEB_PROCESS": "1", "DEBUG": "1", "REQUEST_TIMEOUT": str(PATIENCE)}
    options = ["--interface", "wsgi", "--port", address.rpartition(":")[2], "--blocking-threads", "4"]
    command = [sys.executable, "-m", "granian", *options, "workspace.wsgi:application"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=os.environ | variables, stdout=log, stderr=log)
    try:
        wait_until_answers(address, process, folder / "log")
        yield address
    finally:
        process.terminate()
        wait_for_end(process)


def wait_until_answers(address, process, log):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return fetch(urllib.request.build_opener(), f"{address}/healthz")
        except urllib.error.URLError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


def fetch(opener, url, form=None):
    with opener.open(url, form, timeout=PATIENCE) as response:
        return response.read().decode()


def shown(opener, address):
    return set(re.findall(r'data-asset-id="([^"]+)"', fetch(opener, f"{address}/assets/")))
