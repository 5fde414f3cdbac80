"""Lists to take away: every row and column as the table has it, however many, whatever happens meanwhile."""

import csv
import io
import json
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from psycopg.errors import QueryCanceled

from assets import dispositions, export
from assets.models import Disposition, LibraryAsset, WorkspaceAsset
from tests.factories import make_asset, make_assets, make_job, make_user
from tests.html import Page

pytestmark = pytest.mark.django_db

FORMS = ["csv", "jsonl", "json"]
NAMES = [field.attname for field in WorkspaceAsset._meta.concrete_fields]
HOSTILE = [
    '=HYPERLINK("https://elsewhere.example")', "+1", "-1", "@SUM(A1)", "\tx", "\rx",
    "a\r\nb\nc\rd", 'a "b", c', "<script>alert(1)</script>", "\u2028 \u0085 \x0b \x1f", "🦊 ď\u202e",
    "", " ", "null", "\\N", "'=1", "[]", "1",
]  # fmt: skip
SETTINGS = [
    '{"cfg": 7.50, "seed": 123456789012345678901234567890}',
    '{"tiny": 1e-400, "a": {"b": [null, true, "\\n\\u001f"]}}',
    "null", '"=1+1"', "-5", "[]", "[" * 400 + "]" * 400, '"null"', None,
]  # fmt: skip


@pytest.fixture
def take(client, staff):
    """Takes a list as Staff, read back as dictionaries."""
    client.force_login(staff)

    def take_list(url, **params):
        response = client.get(url, params)
        assert (response.status_code, response.streaming) == (200, True)
        return read(url, response.getvalue().decode())

    return take_list


def read(url, text):
    if url.endswith(".csv"):
        return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    if url.endswith(".jsonl"):
        assert text.endswith("\n") or not text
        return [loads(line) for line in text.split("\n")[:-1]]
    return loads(text)


def loads(text):
    """JSON with numbers as they are written, and no name twice."""

    def once(pairs):
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    return json.loads(text, parse_float=Number, parse_int=Number, object_pairs_hook=once)


class Number(str):
    """The digits of a number, which no text is equal to."""

    def __eq__(self, other):
        return isinstance(other, Number) and str.__eq__(self, other)

    __hash__ = str.__hash__


def query(sql, *params):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def hostile():
    """Assets of every text in every text column, every shape of settings, the edges of numbers and times."""
    user = make_user()
    made = make_assets(len(HOSTILE) + len(SETTINGS), user)
    for asset, text in zip(made, HOSTILE, strict=False):
        columns = {"temp_storage_path": text, "mime_type": text, "model_used": text, "thumbnail_path": text}
        WorkspaceAsset.objects.filter(pk=asset.pk).update(original_prompt=text, **columns)
    for asset, settings in zip(made[len(HOSTILE) :], SETTINGS, strict=True):
        sql = "UPDATE workspace_assets SET generation_settings = %s::jsonb WHERE id = %s"
        query(sql, settings, asset.pk)
    edges = {
        "generation_seed": -(2**63), "file_size_bytes": 2**63 - 1, "duration_seconds": Decimal("4.200"),
        "width": -(2**31), "height": 0, "asset_index": 2**31 - 1, "created_at": None, "expires_at": None,
    }  # fmt: skip
    WorkspaceAsset.objects.filter(pk=made[0].pk).update(**edges)
    query(
        "UPDATE workspace_assets SET expires_at = 'infinity', generation_seed = 9007199254740993,"
        " created_at = '2026-01-01 00:00:00.000001+05' WHERE id = %s",
        made[1].pk,
    )
    query("UPDATE workspace_assets SET expires_at = '-infinity' WHERE id = %s", made[2].pk)
    return made


# What plain SQL says of each column, by its type: a number as written, a time of ISO 8601, settings as text.
def table():
    numbers = {"file_size_bytes", "duration_seconds", "asset_index", "generation_seed", "width", "height"}
    rows = query(f"SELECT {', '.join(f'{name}::text' for name in NAMES)} FROM workspace_assets")
    found = {}
    for values in rows:
        row = dict(zip(NAMES, values, strict=True))
        for name in numbers & row.keys():
            row[name] = row[name] and Number(row[name])
        for name in ("created_at", "expires_at"):
            if row[name] and "infinity" not in row[name]:
                row[name] = row[name].replace(" ", "T") + ":00"
        found[row["id"]] = row
    return found


@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_json_has_every_column_of_every_row_as_the_table_has_it(take, hostile, form):
    expected = table()
    for row in expected.values():
        settings = row.pop("generation_settings")
        if settings is not None:
            row["generation_settings"] = loads(settings)
    taken = take(f"/assets/export.{form}")
    assert {row["id"]: row for row in taken} == expected
    assert len(taken) == len(hostile)
    assert {tuple(row) for row in taken if "generation_settings" in row} == {tuple(NAMES)}


def test_csv_has_every_column_of_every_row_as_the_table_has_it(take, hostile):
    expected = table()
    for row in expected.values():
        for name, text in row.items():
            is_run = isinstance(text, str) and not isinstance(text, Number) and name != "generation_settings"
            formula = is_run and text.startswith(("=", "+", "-", "@", "\t", "\r"))
            row[name] = "" if text is None else f"'{text}" if formula else str(text)
    taken = take("/assets/export.csv")
    assert {row["id"]: row for row in taken} == expected
    assert len(taken) == len(hostile)
    assert list(taken[0]) == NAMES
    assert {row["generation_seed"] for row in taken} >= {str(-(2**63)), "9007199254740993"}


def test_settings_are_the_text_of_postgresql(client, staff, hostile):
    client.force_login(staff)
    lines = client.get("/assets/export.jsonl").getvalue().decode()
    for [text] in query(
        "SELECT generation_settings::text FROM workspace_assets WHERE generation_settings <> '{}'"
    ):
        assert text is None or f'"generation_settings": {text}, ' in lines


@pytest.mark.parametrize("sort", ["-created_at", "created_at", "expires_at", "-file_size_bytes"])
def test_rows_come_in_the_order_of_the_page_each_once(take, fetch, monkeypatch, hostile, sort):
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 3)
    query("UPDATE workspace_assets SET expires_at = NULL WHERE NOT isfinite(expires_at)")
    shown = fetch("/assets/", sort=sort)
    assert len(shown.ids) == len(hostile)
    for form in FORMS:
        assert [row["id"] for row in take(f"/assets/export.{form}", sort=sort)] == shown.ids


def test_a_filter_selects_what_the_page_shows_and_cursors_do_not(take, fetch):
    make_assets(3, model_used="flux")
    make_assets(2)
    page = {"model": "flux", "sort": "created_at", "view": "table", "q": "fox"}
    taken = take("/assets/export.jsonl", **page, after="nonsense")
    assert [row["id"] for row in taken] == fetch("/assets/", **page).ids
    assert len(taken) == 3


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_a_list_too(take, client, form):
    assert take(f"/assets/export.{form}") == []
    content = client.get(f"/assets/export.{form}").getvalue().decode()
    assert content == {"csv": f"{','.join(NAMES)}\r\n", "jsonl": "", "json": "[]\n"}[form]


@pytest.mark.parametrize("name", ["assets", "library", "removed"])
@pytest.mark.parametrize("form", FORMS)
def test_a_filter_that_is_not_understood_exports_nothing(client, staff, form, name):
    client.force_login(staff)
    make_asset()
    for bad in (
        "user=nobody-here",
        "colour=red",
        "user=%00",
        "sort=upwards",
        "sort=created_at&sort=-created_at",
    ):
        response = client.get(f"/{name}/export.{form}?{bad}")
        assert (response.status_code, response.streaming) == (400, False), bad
        assert "Content-Disposition" not in response
        assert "Nothing is exported" in Page(response).text
    assert "There is no filter named “colour”." in Page(client.get(f"/{name}/export.{form}?colour=red")).text


def test_other_formats_are_not_there(client, staff):
    client.force_login(staff)
    for form in ("xlsx", "CSV", "csv.exe", "%00"):
        assert client.get(f"/assets/export.{form}").status_code == 404


@pytest.mark.parametrize(
    ("form", "content_type"),
    [
        ("csv", "text/csv; charset=utf-8"),
        ("jsonl", "application/x-ndjson; charset=utf-8"),
        ("json", "application/json"),
    ],
)
def test_it_is_a_file_of_its_type_for_nobody_else(client, staff, form, content_type):
    client.force_login(staff)
    for name, stem in {"assets": "workspace-assets", "library": "library", "removed": "removed"}.items():
        for send in (client.get, client.head):
            response = send(f"/{name}/export.{form}")
            assert response["Content-Type"] == content_type
            assert (
                response["Content-Disposition"]
                == f'attachment; filename="{stem}-{timezone.localdate()}.{form}"'
            )
            assert response["X-Content-Type-Options"] == "nosniff"
            assert "no-store" in response["Cache-Control"]
        assert response.getvalue() == b""


def test_the_pages_link_to_what_they_show(fetch):
    make_assets(2, model_used="flux")
    for name in ("assets", "library", "removed"):
        user = make_user("ada & co" if name == "assets" else f"ada-{name}")
        shown = fetch(f"/{name}/", user=user.username, sort="created_at")
        for form in FORMS:
            query_string = f"user={quote(user.username)}&amp;sort=created_at"
            assert f'href="/{name}/export.{form}?{query_string}"' in shown.html


# --- The library and what left -------------------------------------------------


def test_the_library_comes_with_how_it_was_made(take):
    bare = LibraryAsset.objects.create(
        user=make_user(), asset_type="image", storage_path="a.png", file_size_bytes=1, mime_type="image/png",
        original_prompt="=1", model_used="sdxl", tags=["red", "=2"], is_favorite=True,
    )  # fmt: skip
    row = {"job_id": str(UUID(int=5)), "asset_index": 3, "generation_settings": {"cfg": Decimal("7.50")}}
    for settings in ({"cfg": 1}, row["generation_settings"]):
        Disposition.objects.create(
            asset_id=bare.pk, action="promoted",
            row=json.loads(json.dumps(row | {"generation_settings": settings}, default=float)),
        )  # fmt: skip
    query("""UPDATE assets_disposition SET row = jsonb_set(row, '{generation_settings,cfg}', '7.50')
             WHERE row #>> '{generation_settings,cfg}' = '7.5'""")
    other = LibraryAsset.objects.create(
        user=bare.user, asset_type="image", storage_path="b.png", file_size_bytes=1, mime_type="image/png",
        original_prompt="x", model_used="sdxl", created_at=None, tags=None,
    )  # fmt: skip
    names = [field.attname for field in LibraryAsset._meta.concrete_fields]
    first, last = take("/library/export.jsonl")
    assert list(first) == [*names, "job_id", "asset_index", "generation_settings"]
    assert (first["id"], last["id"]) == (str(bare.pk), str(other.pk))
    assert first["generation_settings"] == {"cfg": Number("7.50")}
    assert (first["job_id"], first["asset_index"]) == (str(UUID(int=5)), Number("3"))
    assert (first["tags"], first["is_favorite"], first["collection_id"]) == (["red", "=2"], True, None)
    assert (last["created_at"], last["tags"], last["job_id"]) == (None, None, None)
    assert "generation_settings" not in last
    cells = take("/library/export.csv")[0]
    assert [cells[name] for name in ("original_prompt", "tags", "is_favorite", "generation_settings")] == [
        "'=1", '["red","=2"]', "true", '{"cfg": 7.50}',
    ]  # fmt: skip


def test_what_left_comes_with_its_row_as_the_ledger_keeps_it(take, staff, hostile):
    expected = {row["id"]: row for row in take("/assets/export.jsonl")}
    dispositions.delete([asset.pk for asset in hostile], actor=staff)
    Disposition.objects.filter(asset_id=hostile[0].pk).update(actor=None, last_error="=1")
    facts = ["asset_id", "action", "actor", "operation", "disposed_at", "purge_after", "purged_at",
             "restored_at", "last_error"]  # fmt: skip
    taken = {row["asset_id"]: row for row in take("/removed/export.jsonl")}
    assert {pk: {name: row[name] for name in NAMES if name in row} for pk, row in taken.items()} == {
        pk: {name: row.get(name) for name in NAMES if name in row} for pk, row in expected.items()
    }
    assert {tuple(row)[:9] for row in taken.values()} == {tuple(facts)}
    first, second = (taken[str(asset.pk)] for asset in hostile[:2])
    assert [first[name] for name in ("actor", "action", "last_error")] == [None, "deleted", "=1"]
    assert (second["actor"], second["purged_at"], second["operation"]) == ("staff", None, None)
    cells = {row["asset_id"]: row for row in take("/removed/export.csv")}
    assert {row["original_prompt"] for row in cells.values()} >= {'\'=HYPERLINK("https://elsewhere.example")'}
    assert cells[str(hostile[0].pk)]["created_at"] == cells[str(hostile[0].pk)]["actor"] == ""
    assert cells[str(hostile[0].pk)]["last_error"] == "'=1"


def test_a_ledger_row_of_no_sense_is_exported_as_it_is(take):
    for row in ([1], "x", {"original_prompt": {"a": 1}, "width": "wide", "generation_settings": None}, {}):
        Disposition.objects.create(asset_id=UUID(int=1), action="external", row=row)
    assert {row["original_prompt"] for row in take("/removed/export.csv")} == {"", '{"a": 1}'}
    odd = [row for row in take("/removed/export.jsonl") if row["original_prompt"]]
    assert [(row["width"], row["generation_settings"]) for row in odd] == [("wide", None)]


# --- While others go on ----------------------------------------------------------


def test_rows_that_stay_come_once_while_others_arrive_and_leave(client, staff, monkeypatch):
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 4)
    client.force_login(staff)
    hour = timedelta(hours=1)
    made = [make_asset(ago=number * hour) for number in range(24)] + make_assets(
        6, created_at=None, expires_at=None
    )
    leaving = {made[5].pk, made[13].pk, made[26].pk}
    seen = []
    for number, part in enumerate(client.get("/assets/export.jsonl").streaming_content):
        seen += [loads(line)["id"] for line in part.decode().splitlines()]
        if number == 0:
            WorkspaceAsset.objects.filter(pk__in=leaving).delete()
        make_asset(ago=-hour)  # before all that was read
    assert [pk for pk in seen if UUID(pk) in leaving] in ([], [str(made[5].pk)])
    staying = [str(asset.pk) for asset in made if asset.pk not in leaving]
    assert sorted(pk for pk in seen if pk in staying) == sorted(staying)
    assert len(seen) == len(set(seen))


def test_between_parts_nothing_is_held(client, staff, monkeypatch):
    make_assets(5)
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 2)
    client.force_login(staff)
    let_go = []
    monkeypatch.setattr("assets.views.export._hang_up", lambda: let_go.append(1))
    for number, _ in enumerate(client.get("/assets/export.jsonl").streaming_content, 1):
        assert len(let_go) == number


def time_out(monkeypatch, *, after):
    """The database gives up on the part that comes after so many."""
    real = export.walk

    def walk(*args, **options):
        for number, rows in enumerate(real(*args, **options)):
            if number == after:
                raise OperationalError from QueryCanceled()
            yield rows

    monkeypatch.setattr(export, "walk", walk)


def test_a_list_that_takes_too_long_is_answered_with_advice(client, staff, monkeypatch):
    make_asset()
    client.force_login(staff)
    time_out(monkeypatch, after=0)
    response = client.get("/assets/export.csv")
    assert response.status_code == 503
    assert "Content-Disposition" not in response


@pytest.mark.parametrize("form", FORMS)
def test_a_failure_in_the_middle_does_not_end_like_a_list(client, staff, monkeypatch, form):
    make_assets(5)
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 2)
    time_out(monkeypatch, after=1)
    client.force_login(staff)
    parts, sent = client.get(f"/assets/export.{form}").streaming_content, b""
    with pytest.raises(OperationalError):
        for part in parts:
            sent += part
    text = sent.decode()
    assert text.endswith("This export broke off here: it is not complete. Try again or export less.\n")
    if form == "csv":
        *rows, last = (row for row in csv.reader(io.StringIO(text, newline="")) if row)
        assert ([len(row) for row in rows], len(last)) == ([18, 18, 18], 1)
    else:
        with pytest.raises(json.JSONDecodeError):
            read(f"export.{form}", text)


def test_large_rows_come_few_at_once_and_each_once(take, fetch, monkeypatch):
    monkeypatch.setattr(export, "BYTES_AT_ONCE", 10_000)
    long = "x" * 9_000  # which is stored in far fewer bytes
    for number in range(12):
        make_asset(original_prompt=long if number % 4 == 1 else "a fox")
        make_asset(generation_settings={"said": long} if number % 4 else None)
    weights = []
    real = export.FORMATS["jsonl"].lines

    def lines(names, parts):
        for part in parts:
            weights.append(sum(len(text or "") for row in part for text in row))
            yield from real(names, [part])

    monkeypatch.setitem(export.FORMATS, "jsonl", replace(export.FORMATS["jsonl"], lines=lines))
    assert [row["id"] for row in take("/assets/export.jsonl")] == fetch("/assets/").ids
    assert max(weights) < 20_000 < sum(weights) / 3


def test_what_leaves_while_its_part_is_read_is_left_out(take, monkeypatch):
    made = make_assets(3)
    real = export.light_parts

    def light_parts(weighed):
        for keys in real(weighed):
            WorkspaceAsset.objects.filter(pk=made[1].pk).delete()
            yield keys

    monkeypatch.setattr(export, "light_parts", light_parts)
    assert {row["id"] for row in take("/assets/export.csv")} == {str(made[0].pk), str(made[2].pk)}


# --- Many rows ---------------------------------------------------------------------

FILL = """
    INSERT INTO workspace_assets (user_id, asset_type, temp_storage_path, file_size_bytes, mime_type, job_id,
        asset_index, generation_seed, original_prompt, model_used, generation_settings, created_at)
    SELECT %s, 'image', 'a/' || n, n, 'image/png', %s, n, n, repeat('a red fox ', 20), 'sdxl',
        '{"steps": 30, "cfg": 7.5, "sampler": "euler"}', now() - n * interval '1 second'
    FROM generate_series(%s, %s) AS n
"""


def peak_of(work):
    """The most megabytes that this process has in memory during the work, by the kernel."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak until now
    work()
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1_000


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="asks the kernel by /proc")
def test_memory_does_not_grow_with_the_list(client, staff):
    client.force_login(staff)
    job, peaks, lines = make_job(), [], []
    query("DROP INDEX assets_prompt_words, assets_settings, assets_prompt")  # until the test ends, for speed

    def take_all():
        content = client.get("/assets/export.jsonl").streaming_content
        lines.append(sum(part.count(b"\n") for part in content))

    for start, end in ((1, 5_000), (5_001, 20_000)):
        query(FILL, job.user_id, job.pk, start, end)
        query("ANALYZE workspace_assets")
        peaks.append(peak_of(take_all))
    assert lines == [5_000, 20_000]
    assert peaks[1] - peaks[0] < 8
