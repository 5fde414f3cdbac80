"""`manage.py run` from an empty folder: database, demo, web server and worker, and the end of all of them."""

import http.cookiejar
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from django.core.checks import run_checks

MANAGE = Path(__file__).parent.parent / "manage.py"
PATIENCE = 240  # seconds: the demo is drawn meanwhile


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_end(process):
    """What does not come to one is killed, rather than left to the tests that follow."""
    try:
        return process.wait(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()


class Running:
    """The command in a process group of its own, and what it has printed."""

    def __init__(self, folder, port):
        unset = {"DATABASE_URL", "DEBUG", "DJANGO_SETTINGS_MODULE"}
        environment = {name: value for name, value in os.environ.items() if name not in unset}
        environment |= {"DATA_DIR": str(folder), "PORT": str(port), "PYTHONUNBUFFERED": "1"}
        self.address = f"http://127.0.0.1:{port}"
        self.log = folder.parent / "run.log"
        with self.log.open("w") as log:
            command = [sys.executable, MANAGE, "run"]
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def wait_for(self, pattern):
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.log.read_text())):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)
        return found

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return wait_for_end(self.process)


def log_in(address, name, password):
    """A browser's worth of cookies, and the page that it lands on."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    with opener.open(f"{address}/accounts/login/", timeout=PATIENCE) as response:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', response.read().decode())[1]
    form = {"csrfmiddlewaretoken": token, "username": name, "password": password}
    encoded = urllib.parse.urlencode(form).encode()
    with opener.open(f"{address}/accounts/login/", encoded, timeout=PATIENCE) as response:
        return opener, response.read().decode()


def processes_of(folder):
    """Those whose environment or command names the folder, from the kernel's own list."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            if str(folder).encode() in told and "Z" not in (entry / "stat").read_text().split()[2]:
                found.append(entry.name)
        except OSError:
            continue
    return found


def test_a_start_has_nothing_to_warn_of():
    assert run_checks() == []


def test_a_database_that_cannot_be_reached_is_one_line():
    address = f"postgres://somebody:hidden@127.0.0.1:{free_port()}/product"
    environment = os.environ | {"DATABASE_URL": address, "SECRET_KEY": "long enough" * 5}
    command = [sys.executable, MANAGE, "run", "--only", "worker"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert run.returncode == 1
    assert re.fullmatch(
        r"The database cannot be reached: .*refused\. manage\.py attach says what to look at\.\n", run.stderr
    )


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="tells processes by /proc")
def test_it_serves_the_demo_to_each_role_and_leaves_nothing_running(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    port = free_port()
    running = Running(folder, port)
    try:
        password = running.wait_for(r"the password of each is (\S+)")[1]
        for name in ("staff", "reviewer", "admin"):
            opener, page = log_in(running.address, name, password)
            assert page.count("data-asset-id=") == 60
            preview = re.search(r'src="(/media/assets/[^"]+/preview)"', page)[1]
            with opener.open(running.address + preview, timeout=PATIENCE) as response:
                assert response.headers["Content-Type"] == "image/webp"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.build_opener(_NoRedirects()).open(running.address + preview, timeout=PATIENCE)
        assert refused.value.code == 302
        refused.value.close()
        static = re.search(r'href="(/static/css/base\.[0-9a-f]+\.css)"', page)[1]
        with urllib.request.urlopen(running.address + static, timeout=PATIENCE) as response:
            assert "immutable" in response.headers["Cache-Control"]
        running.wait_for("Launching a worker")
        taken = subprocess.run(
            [sys.executable, MANAGE, "run"],
            env=os.environ | {"PORT": str(port)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert taken.returncode == 1
        assert f"127.0.0.1:{port} is taken: stop the other program or set PORT" in taken.stderr
    finally:
        running.stop()
    _wait_until_gone(folder)

    again = Running(folder, port)
    try:
        assert again.wait_for(r"the password of each is (\S+)")[1] == password
        assert "Drawing" not in again.log.read_text()
    finally:
        assert again.stop() == 0
    _wait_until_gone(folder)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


def _wait_until_gone(folder):
    deadline = time.monotonic() + 20  # the database stops a moment after its last user
    while left := processes_of(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
