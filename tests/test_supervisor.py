"""The supervisor, with real programs and real signals."""

import contextlib
import http.server
import os
import re
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from workspace import process_guard, supervisor
from workspace.listening import CannotListenError, refuse_taken_address, wait_until_answers

ROOT = Path(supervisor.__file__).parents[1]
PATIENCE = 30  # seconds that anything here may take

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER
ASKED = "import signal; signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True)); " + SLEEPER
STUBBORN_FAMILY = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STUBBORN!r}, MARK])"


class Supervised:
    """A supervisor in a process of its own, over programs that run the given Python sources."""

    def __init__(self, mark, sources, *, prelude="", ready="None"):
        self.mark = mark
        script = f"""
            import sys
            from workspace import supervisor
            from workspace.supervisor import Program, supervise
            {prelude}
            sources = {[source.replace("MARK", repr(mark)) for source in sources]!r}
            programs = [
                Program(f"program-{{number}}", [sys.executable, "-c", source, {mark!r}], {{"COLOUR": "blue"}})
                for number, source in enumerate(sources)
            ]
            sys.exit(supervise(programs, ready={ready}))
        """
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # or a second line would wait where select() does not see it
        )

    def read_line(self, stream="stdout"):
        stream = getattr(self.process, stream)
        assert select.select([stream], [], [], PATIENCE)[0], "no line in time"
        return stream.readline().decode().strip()

    def signal(self, number):
        self.process.send_signal(number)

    def finish(self):
        """Wait for the end of everything that holds the output; return the status and the output."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, (out or b"").decode(), (err or b"").decode()

    @property
    def remains(self):
        return pids_of(self.mark)


def pids_of(mark):
    return [int(entry.name) for entry in Path("/proc").iterdir() if is_running(entry, mark)]


def is_running(entry, mark):
    try:
        # A zombie has no command line.
        return entry.name.isdecimal() and mark.encode() in (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def kill(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def run(tmp_path):
    started = []

    def run(*sources, **options):
        started.append(Supervised(f"{tmp_path}-{len(started)}", sources, **options))
        return started[-1]

    yield run
    for supervised in started:
        supervised.process.kill()
        supervised.process.wait()
        wait_until(lambda supervised=supervised: not kill(supervised.remains))
        supervised.finish()


# Running


def test_programs_run_side_by_side_with_their_environment(run):
    source = "import os, time; print(os.environ['COLOUR'], flush=True); time.sleep(600)"
    supervised = run(source, source)
    assert [supervised.read_line(), supervised.read_line()] == ["blue", "blue"]


def test_each_program_leads_a_group_of_its_own(run):
    source = (
        "import os, time; print(os.getpid() == os.getpgid(0) == os.getsid(0), flush=True); time.sleep(600)"
    )
    assert run(source).read_line() == "True"


def test_programs_inherit_no_open_files(run):
    source = "import os, time; print(sorted(os.listdir('/proc/self/fd')), flush=True); time.sleep(600)"
    assert run(source).read_line() == "['0', '1', '2', '3']"  # 3 is the listing


def test_lines_of_several_programs_do_not_mix(run):
    source = """
import sys, time
for number in range(2000):
    for part in "abcd":
        sys.stdout.write(part)
    sys.stdout.write("\\n")
print("end")
time.sleep(600)
"""
    supervised = run(source, source, source)
    lines = []
    while lines.count("end") < 3:
        lines.append(supervised.read_line())
    assert set(lines) == {"abcd", "end"}
    assert len(lines) == 6003


def test_errors_stay_apart_from_output(run):
    supervised = run("import sys, time; print('out'); print('err', file=sys.stderr); time.sleep(600)")
    assert supervised.read_line("stderr") == "err"
    assert supervised.read_line("stdout") == "out"


def test_programs_go_on_when_nobody_reads_their_output(run):
    source = "import sys, time; sys.stdin.read(); time.sleep(0.5); [print('x' * 99) for _ in range(9999)]; "
    supervised = run(source + "print('done', file=sys.stderr); time.sleep(600)")
    supervised.process.stdout.close()
    assert supervised.read_line("stderr") == "done"
    supervised.process.stdout = None


def test_last_words_of_a_program_are_passed_on(run):
    source = """
import signal, time
def end(*_):
    print("bye\\n" * 5000 + "end", end="")
    raise SystemExit
signal.signal(signal.SIGTERM, end)
print("up")
time.sleep(600)
"""
    supervised = run(source)
    assert supervised.read_line() == "up"
    supervised.signal(signal.SIGTERM)
    assert supervised.finish() == (0, "bye\n" * 5000 + "end", "")


def test_ready_is_called_beside_the_programs(run):
    supervised = run(SLEEPER, ready="lambda: print('ready', flush=True)")
    assert {supervised.read_line(), supervised.read_line()} == {"ready", "up"}


# Starting again


def test_program_that_crashes_is_started_again_and_the_other_is_left_alone(run):
    supervised = run("print('once', flush=True); raise SystemExit(3)", SLEEPER)
    lines = [supervised.read_line() for _ in range(3)]
    assert sorted(lines) == ["once", "once", "up"]
    said = supervised.read_line("stderr")
    assert re.fullmatch(r"program-0 ended with status 3 after \d\.\d s; starting it again in 0\.5 s", said)


def test_program_that_ends_well_is_started_again(run):
    supervised = run("print('done', flush=True)")
    assert [supervised.read_line(), supervised.read_line()] == ["done", "done"]


def test_pause_doubles_up_to_its_limit(run):
    supervised = run("pass", prelude="supervisor.FIRST_DELAY, supervisor.LONGEST_DELAY = 0.1, 0.5")
    pauses = [supervised.read_line("stderr").rsplit(" ", 2)[1] for _ in range(5)]
    assert pauses == ["0.1", "0.2", "0.4", "0.5", "0.5"]


def test_pause_is_short_again_after_a_healthy_run(run):
    supervised = run("import time; time.sleep(0.2)", prelude="supervisor.HEALTHY_AFTER = 0.1")
    pauses = [supervised.read_line("stderr").rsplit(" ", 2)[1] for _ in range(3)]
    assert pauses == ["0.5", "0.5", "0.5"]


def test_what_a_dead_program_left_running_is_ended_before_it_starts_again(run):
    source = f"""
import subprocess, sys, time
command = [sys.executable, "-c", {STUBBORN!r}, MARK + "-left", MARK]
subprocess.Popen(command, stdout=subprocess.PIPE).stdout.readline()
print("crash", flush=True)
"""
    supervised = run(source)
    for _ in range(3):
        assert supervised.read_line() == "crash"
        assert len(pids_of(f"{supervised.mark}-left")) == 1


# Stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_everything(run, number):
    supervised = run(SLEEPER, SLEEPER)
    assert [supervised.read_line(), supervised.read_line()] == ["up", "up"]
    supervised.signal(number)
    assert supervised.finish() == (0, "", "")
    assert not supervised.remains


def test_program_may_finish_its_work_before_it_ends(run):
    source = """
import signal, time
def finish(*_):
    time.sleep(1)
    print("finished", flush=True)
    raise SystemExit
signal.signal(signal.SIGTERM, finish)
print("up", flush=True)
time.sleep(600)
"""
    supervised = run(source)
    assert supervised.read_line() == "up"
    supervised.signal(signal.SIGINT)
    assert supervised.finish() == (0, "finished\n", "")


def test_grandchildren_that_ignore_sigterm_are_killed_in_the_end(run):
    supervised = run(STUBBORN_FAMILY, prelude="supervisor.process_guard.GRACE = 1")
    assert supervised.read_line() == "up"
    supervised.signal(signal.SIGINT)
    assert supervised.finish()[0] == 1
    assert not supervised.remains


def test_second_ctrl_c_kills_at_once(run):
    supervised = run(STUBBORN_FAMILY, ASKED)
    assert [supervised.read_line(), supervised.read_line()] == ["up", "up"]
    supervised.signal(signal.SIGINT)
    assert supervised.read_line() == "asked"
    assert supervised.remains
    asked_at = time.monotonic()
    supervised.signal(signal.SIGINT)
    assert supervised.finish()[0] == 1
    assert time.monotonic() - asked_at < 5
    assert not supervised.remains


def test_stop_does_not_wait_for_a_program_that_is_about_to_start_again(run):
    supervised = run("pass", prelude="supervisor.FIRST_DELAY = 600")
    supervised.read_line("stderr")
    supervised.signal(signal.SIGTERM)
    assert supervised.finish()[0] == 0


def test_killed_supervisor_leaves_nothing(run):
    supervised = run(
        SLEEPER, f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEPER!r}, MARK])"
    )
    assert [supervised.read_line(), supervised.read_line()] == ["up", "up"]
    supervised.signal(signal.SIGKILL)
    supervised.finish()
    wait_until(lambda: not supervised.remains)


def test_killed_supervisor_leaves_no_grandchildren_that_ignore_sigterm(run, tmp_path):
    source = Path(process_guard.__file__).read_text()
    assert "GRACE = 10.0" in source
    less_patient = tmp_path / "guard.py"
    less_patient.write_text(source.replace("GRACE = 10.0", "GRACE = 1.0"))
    guard = f"supervisor.process_guard.SCRIPT = (sys.executable, '-I', {str(less_patient)!r})"
    supervised = run(STUBBORN_FAMILY, prelude=guard)
    assert supervised.read_line() == "up"
    supervised.signal(signal.SIGKILL)
    supervised.finish()
    wait_until(lambda: not supervised.remains)


@pytest.mark.parametrize("moment", range(0, 200, 20))
def test_supervisor_killed_at_any_moment_of_the_start_leaves_nothing(run, moment):
    supervised = run(SLEEPER, SLEEPER, SLEEPER)
    time.sleep(moment / 1000)
    supervised.signal(signal.SIGKILL)
    supervised.finish()
    wait_until(lambda: not supervised.remains)


def test_ignored_sighup_stays_ignored(run):
    supervised = run(SLEEPER, prelude="import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)")
    assert supervised.read_line() == "up"
    supervised.signal(signal.SIGHUP)
    time.sleep(0.3)
    assert supervised.remains
    supervised.signal(signal.SIGTERM)
    assert supervised.finish()[0] == 0


# Addresses


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_taken_address_is_refused_in_a_sentence(taken):
    sentence = f"127.0.0.1:{taken} is taken: stop the other program or set PORT"
    with pytest.raises(CannotListenError, match=re.escape(sentence)):
        refuse_taken_address("127.0.0.1", taken)


def test_free_address_is_accepted_and_stays_free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    refuse_taken_address("127.0.0.1", port)
    refuse_taken_address("localhost", port)


@pytest.mark.parametrize("host,port", [("192.0.2.1", 8000), ("127.0.0.1", 70000), ("no such host", 8000)])
def test_address_of_another_machine_is_refused(host, port):
    with pytest.raises(CannotListenError, match="is no address of this machine: set HOST and PORT"):
        refuse_taken_address(host, port)


class Page(http.server.BaseHTTPRequestHandler):
    statuses = ()

    def do_GET(self):
        self.send_response(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])
        self.send_header("Location", "http://192.0.2.1/")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def serve(*statuses):
        Page.statuses = list(statuses)
        return f"http://127.0.0.1:{server.server_port}/"

    yield serve
    server.shutdown()
    thread.join()
    server.server_close()


def test_waiting_ends_when_the_page_is_there(serve):
    assert wait_until_answers(serve(503, 503, 200), timeout=10)
    assert Page.statuses == [200]


def test_redirect_counts_as_an_answer(serve):
    assert wait_until_answers(serve(302), timeout=10)


def test_waiting_ends_when_time_is_up(serve, taken):
    assert not wait_until_answers(serve(500), timeout=0.3)


def test_waiting_for_a_port_that_nobody_listens_on_ends():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not wait_until_answers(f"http://127.0.0.1:{port}/", timeout=0.3)
