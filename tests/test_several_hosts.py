"""Several workers on one database and one store: shared work, one killed, one cut off from the database."""

import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
from collections import Counter
from contextlib import ExitStack, suppress
from subprocess import PIPE
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import global_settings
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from assets import bulk, clean_up, tasks
from assets.management.commands.run import web, worker
from assets.models import Disposition, LibraryAsset, Operation, WorkspaceAsset
from tests.cleaning import clean, empty_queue
from tests.factories import make_asset, make_assets
from tests.test_run import free_port, log_in, wait_for_end
from tests.test_worker_kill import MANAGE, PNG, data  # noqa: F401
from workspace.listening import wait_until_answers

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 100  # seconds
CUT = 10  # seconds
DELETED, SAVED = 20_000, 1_200
RESET = struct.pack("ii", 1, 0)  # closing discards, and tells the other side so


class Proxy:
    """The way of one host to the database, over TCP, which can swallow what is sent."""

    def __init__(self):
        self.target = f"{connection.settings_dict['HOST']}/.s.PGSQL.5432"
        self.is_cut, self.resets = False, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self):
        with suppress(OSError):  # when it is closed
            while True:
                client, _ = self.listener.accept()
                self.threads.append(threading.Thread(target=self._pass_on, args=[client]))
                self.threads[-1].start()

    def _pass_on(self, client):
        resets = self.resets
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            for end in (client, server):
                end.settimeout(PATIENCE)
            server.connect(self.target)
            other = {client: server, server: client}
            while resets == self.resets:
                for end in select.select(list(other), [], [], 0.1)[0]:
                    if not (sent := end.recv(65_536)):
                        return
                    if not self.is_cut:
                        other[end].sendall(sent)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def mend(self):
        """What was connected until now is reset."""
        self.resets += 1
        self.is_cut = False

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.mend()
        for thread in self.threads:
            thread.join(timeout=PATIENCE)


class Host:
    """A worker as the supervisor starts it, and starts it again where it ended."""

    def __init__(self, name, folder):
        url = urlsplit(os.environ["DATABASE_URL"])
        self.proxy = Proxy()
        place = f"{url.username}@127.0.0.1:{self.proxy.port}"
        url = url._replace(netloc=place, path=f"/{connection.settings_dict['NAME']}")
        self.environment = os.environ | {"DATABASE_URL": url.geturl(), "DATA_DIR": str(folder)}
        self.environment["PROCRASTINATE_WORKER_NAME"] = name
        self.log, self.is_dead = folder / f"{name}.log", False
        self.start()

    def start(self):
        with self.log.open("a") as log:
            self.process = subprocess.Popen(worker().argv, env=self.environment, stdout=log, stderr=log)

    def tend(self):
        if not self.is_dead and self.process.poll() is not None:
            self.start()

    def kill(self):
        self.is_dead = True
        self.process.kill()
        self.process.wait()

    def close(self):
        self.kill()
        self.proxy.close()


@pytest.fixture
def proxy(transactional_db):
    proxy = Proxy()
    yield proxy
    proxy.close()


@pytest.fixture
def hosts(data):  # noqa: F811
    empty_queue()
    with ExitStack() as running:
        hosts = []
        for name in ("first", "second", "third"):
            hosts.append(Host(name, data))
            running.callback(hosts[-1].close)
            wait_until(lambda: count("SELECT count(*) FROM procrastinate_workers") == len(hosts), hosts)
        yield hosts


def wait_until(reached, hosts):
    deadline = time.monotonic() + PATIENCE
    while not reached():
        for host in hosts:
            host.tend()
        assert time.monotonic() < deadline, "\n".join(host.log.read_text() for host in hosts)
        time.sleep(0.02)


def count(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


# --- Being cut off without a word -----------------------------------------------


def test_every_connection_notices_by_itself_that_the_other_side_is_gone(data, proxy):  # noqa: F811
    """Whatever a firewall swallows: the kernel asks, and closes what is not answered."""
    wanted = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
    wanted |= {socket.TCP_USER_TIMEOUT: 25_000}
    ours = connection.get_connection_params()
    of_the_worker = app.connector.get_worker_connector()._pool_args["kwargs"]
    for parameters in (ours, of_the_worker):
        over_tcp = {"host": "127.0.0.1", "port": proxy.port, "cursor_factory": None, "context": None}
        with (
            psycopg.connect(**parameters | over_tcp) as connected,
            socket.socket(fileno=os.dup(connected.fileno())) as end,
        ):
            assert {option: end.getsockopt(socket.IPPROTO_TCP, option) for option in wanted} == wanted
        assert parameters["connect_timeout"] == 10
        # Of a Unix socket, the server's own side reads 0.
        assert "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5" in parameters["options"]
        assert "-c tcp_keepalives_count=3 -c tcp_user_timeout=25000" in parameters["options"]
    with connection.cursor() as cursor:
        cursor.execute("SHOW client_connection_check_interval")
        assert cursor.fetchone()[0] == "10s"


# --- Sharing -------------------------------------------------------------------


def freeze(assets, action, actor):
    operation = bulk.freeze_filter(f"job={assets[0].job_id}", action=action, actor=actor)
    if operation.is_under_way:
        bulk.advance(operation.pk)
    operation.refresh_from_db()
    return operation


def make_files(data, assets):  # noqa: F811
    """A file of its own for each asset; returns the bytes."""
    for number, asset in enumerate(assets):
        asset.temp_storage_path = f"{asset.user_id}/{asset.job_id}/{number}.png"
    WorkspaceAsset.objects.bulk_update(assets, ["temp_storage_path"])
    contents = {asset.pk: PNG + asset.pk.bytes for asset in assets}
    for asset in assets:
        path = data / "workspace" / asset.temp_storage_path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[asset.pk])
    return contents


@pytest.fixture
def slow_deletions(transactional_db):
    """As of a database that has more to do: 20,000 would be gone before anybody is killed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END'"
        )
        cursor.execute(
            "CREATE TRIGGER take_time AFTER DELETE ON workspace_assets EXECUTE FUNCTION take_time()"
        )
    yield
    clean("DROP FUNCTION take_time CASCADE")


def workers_of(operation):
    jobs = ProcrastinateJob.objects.filter(args__operation_id=operation.pk, status="doing")
    return set(jobs.values_list("worker_id", flat=True))


def test_operations_are_shared_by_three_workers_one_killed_and_one_cut_off(slow_deletions, hosts, data):  # noqa: F811
    actor = User.objects.create_user("admin")
    first, second, _ = hosts
    deletion = freeze(make_assets(DELETED), "delete", actor)
    to_save = make_assets(SAVED)
    contents = make_files(data, to_save)
    saving = freeze(to_save, "promote", actor)
    seen = set()

    def are_all_in_the_midst_of_it():
        seen.update(workers_of(deletion))
        deletion.refresh_from_db()
        return len(seen) == len(hosts) and deletion.done

    for operation in (deletion, saving):
        bulk.start(operation, actor=actor, confirmed=operation.total, options={})
        tasks.enqueue(operation)
    wait_until(are_all_in_the_midst_of_it, hosts)
    killed = count("SELECT min(id) FROM procrastinate_workers")  # the first, which started alone
    first.kill()
    second.proxy.is_cut = True
    done, mended_at = deletion.done, time.monotonic() + CUT
    assert done < DELETED
    wait_until(lambda: time.monotonic() > mended_at, hosts)
    deletion.refresh_from_db()
    assert done < deletion.done < DELETED, "the third went on, and what the others had begun is left"
    second.proxy.mend()
    still_the_heart_of(killed)

    def are_over():
        return not Operation.objects.exclude(state="finished").exists()

    wait_until(are_over, hosts)
    check(deletion, DELETED, "deleted")
    check(saving, SAVED, "promoted")
    assert not WorkspaceAsset.objects.exists()
    saved = dict(LibraryAsset.objects.values_list("id", "storage_path"))
    assert {pk: (data / "library" / path).read_bytes() for pk, path in saved.items()} == contents
    for host in hosts:
        host.kill()
    check_purge(data)


def still_the_heart_of(worker_id):
    """As if it had been killed long ago."""
    with connection.cursor() as cursor:
        still = "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour' WHERE id = %s"
        cursor.execute(still, [worker_id])


def check(operation, number, action):
    operation.refresh_from_db()
    assert (operation.done, operation.gone, operation.failed) == (number, 0, 0)
    assert Counter(operation.items.values_list("state", flat=True)) == {"done": number}
    entries = list(operation.dispositions.values_list("asset_id", "action"))
    assert len(entries) == len(set(entries)) == number
    assert {taken for _, taken in entries} == {action}


def check_purge(data):  # noqa: F811
    files = sorted(path for path in (data / "workspace").rglob("*.png"))
    due = Disposition.objects.filter(row__temp_storage_path__endswith="7.png")
    due.update(purge_after=Now())
    assert clean_up.purge() == (SAVED // 10, 0)
    assert sorted((data / "workspace").rglob("*.png")) == [f for f in files if not f.name.endswith("7.png")]


# --- Starting ------------------------------------------------------------------


@pytest.fixture
def fresh_database(transactional_db):
    """The environment of hosts that have nothing but an empty database."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE fresh")
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path="/fresh").geturl()
    yield os.environ | {"DATABASE_URL": url}
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE fresh WITH (FORCE)")


def test_hosts_do_not_start_before_the_database_is_prepared_which_two_may_do_at_once(fresh_database):
    def manage(*words):
        command = [sys.executable, MANAGE, *words]
        return subprocess.Popen(command, env=fresh_database, stdout=PIPE, stderr=PIPE, text=True)

    unprepared = manage("run", "--only", "worker")
    assert "run manage.py migrate first" in unprepared.communicate(timeout=PATIENCE)[1]
    assert unprepared.returncode == 1
    both = [manage("migrate") for _ in range(2)]
    said = [process.communicate(timeout=PATIENCE) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted("No migrations to apply" in output for output, _ in said) == [False, True]


# --- Pages ---------------------------------------------------------------------


@pytest.fixture
def two_sites(data, settings):  # noqa: F811
    """The addresses of two hosts' pages, which share the database alone."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    settings.WEB_PROCESSES, settings.PASSWORD_HASHERS = 1, global_settings.PASSWORD_HASHERS
    addresses = []
    with ExitStack() as running:
        for name in ("first", "second"):
            settings.PORT = free_port()
            environment = os.environ | {"DATABASE_URL": url.geturl(), "DATA_DIR": str(data / name)}
            process = subprocess.Popen(web().argv, env=environment)
            running.callback(wait_for_end, process)
            running.callback(process.terminate)
            addresses.append(f"http://{settings.HOST}:{settings.PORT}")
        for address in addresses:
            assert wait_until_answers(f"{address}/healthz", PATIENCE)
        yield addresses


def post(opener, url, **fields):
    [jar] = [handler.cookiejar for handler in opener.handlers if hasattr(handler, "cookiejar")]
    fields["csrfmiddlewaretoken"] = {cookie.name: cookie.value for cookie in jar}["csrftoken"]
    opener.open(url, urllib.parse.urlencode(fields).encode(), timeout=PATIENCE).close()


def test_whoever_is_known_on_one_host_is_known_on_the_other_and_so_is_what_they_did(two_sites, admin, staff):
    first, second = two_sites
    removed = make_asset()
    browser, page = log_in(first, "admins", "a good password")
    assert f'data-asset-id="{removed.pk}"' in page
    post(browser, f"{first}/assets/{removed.pk}/delete")
    with browser.open(f"{second}/removed/", timeout=PATIENCE) as answer:
        assert str(removed.pk) in answer.read().decode()
    entry = Disposition.objects.get()
    post(browser, f"{second}/removed/{entry.pk}/restore")
    with browser.open(first, timeout=PATIENCE) as answer:
        assert f'data-asset-id="{removed.pk}"' in answer.read().decode()
    post(browser, f"{second}/accounts/logout/")
    with browser.open(first, timeout=PATIENCE) as answer:
        assert answer.url.startswith(f"{first}/accounts/login/")
    for host in (first, second, first, second):
        log_in(host, "staff", "wrong")
    with pytest.raises(urllib.error.HTTPError, match="429"):
        log_in(first, "staff", "wrong")
    with pytest.raises(urllib.error.HTTPError, match="429"):
        log_in(second, "staff", "a good password")
