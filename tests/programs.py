"""Programs in processes of their own, forked from one that has imported what all of them import first.

To do so takes a fresh Python longer than most of what it is asked for here.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
# None of them asks for settings when it is imported: each program has its own.
LIBRARIES = """
    django.contrib.admin.options django.contrib.postgres.aggregates django.contrib.postgres.search
    django.core.management django.db.backends.postgresql.base django.forms django.template.loader
    django.test.client django.urls django.views.generic django_filters jinja2 procrastinate.contrib.django
    psycopg_pool sqlparse
"""

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(LIBRARIES.split())


def run(*words: str, env: Mapping[str, str], given: str = "") -> subprocess.CompletedProcess:
    """As `subprocess.run` of Python with these words, at the top of the repository."""
    with TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("in", "out", "err")]
        for file in files:
            file.write_text(given if file.name == "in" else "")
        program = _server.Process(target=_be, args=[words, dict(env), files])
        program.start()
        program.join(60)
        if program.exitcode is None:
            program.kill()
            raise subprocess.TimeoutExpired(words, 60, *(file.read_bytes() for file in files[1:]))
        said = (file.read_text() for file in files[1:])
        return subprocess.CompletedProcess(words, program.exitcode, *said)


def _be(words: list[str], env: dict[str, str], files: list[Path]) -> None:
    for descriptor, file in enumerate(files):
        os.dup2(os.open(file, os.O_RDWR), descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 (a descriptor, which is the program's own)
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(env)
    match words:
        case ["-c", code]:
            sys.argv = ["-c"]
            exec(code, {"__name__": "__main__"})
        case ["-m", module, *arguments]:
            sys.argv = [module, *arguments]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case [script, *arguments]:
            sys.argv = [script, *arguments]
            runpy.run_path(script, run_name="__main__")
