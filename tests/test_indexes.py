"""Which indexes pages need, and what they say where one is missing."""

from contextlib import suppress
from io import StringIO
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection

from assets.indexes import MODELS, SERVES, bytes_per_row, needs, wanted_of
from assets.models import KnownSettings, WorkspaceAsset


@pytest.fixture
def execute(db):
    with connection.cursor() as cursor:
        yield cursor.execute


def state(name):
    return next(need for need in needs() if need.index.name == name)


def test_every_index_says_whom_it_serves_and_how_large_it_is():
    assert {index.name for model in MODELS for index in wanted_of(model)} == SERVES.keys()
    for model in MODELS:
        for index in wanted_of(model):
            assert 10 < bytes_per_row(model, index) < 100


def test_our_own_tables_lack_nothing(db):
    assert [need.index.name for need in needs() if not need.is_there] == []


@pytest.mark.parametrize(
    ("name", "other", "is_there", "is_nearly"),
    [
        ("assets_newest", "(created_at, id)", True, False),
        ("assets_newest", "(created_at DESC, id DESC, user_id)", True, False),
        ("assets_newest", "(created_at DESC)", False, True),
        ("assets_newest", "(created_at)", False, True),
        ("assets_newest", "(created_at DESC, id)", False, False),
        ("assets_newest", "(created_at DESC, id DESC) WHERE user_id IS NULL", False, False),
        ("assets_newest", "(lower(model_used))", False, False),
        ("assets_user_type_model_newest", "(user_id, asset_type, model_used, created_at)", False, False),
        ("assets_expiring", "(expires_at)", False, True),
        ("assets_expiring", "(expires_at, id)", False, True),
        ("assets_expiring", "(expires_at, user_id)", False, False),
        ("assets_settings", "USING gin (generation_settings)", False, False),
        ("assets_settings", "USING gin (generation_settings jsonb_path_ops)", True, False),
        ("assets_prompt", "(original_prompt)", False, False),
        ("assets_newest", "(created_at DESC, id DESC) INCLUDE (user_id)", True, False),
        ("assets_newest", "(created_at, id) WITH (fillfactor = 90)", True, False),
        ("assets_newest", "(created_at DESC NULLS LAST, id DESC NULLS LAST)", False, False),
        ("assets_expiring", "(expires_at, id, asset_type, created_at, file_size_bytes)", True, False),
        ("assets_expiring", "(expires_at, id) INCLUDE (created_at)", False, True),
        ("assets_prompt", "USING hash (original_prompt) WITH (fillfactor = 90)", True, False),
        ("assets_seed", "(generation_seed) INCLUDE (width) WITH (fillfactor = 90)", True, False),
        ("assets_seed", "(generation_seed) WHERE generation_seed > 0", False, False),
        ("assets_mime", '(mime_type COLLATE "C")', False, False),
        ("assets_mime", "(mime_type text_pattern_ops)", False, False),
    ],
)  # fmt: skip
def test_another_index_serves_as_well_nearly_or_not(execute, name, other, is_there, is_nearly):
    execute(f"DROP INDEX {name}")
    assert state(name).is_missing
    execute(f"CREATE INDEX other ON workspace_assets {other}")
    found = state(name)
    assert (found.is_there, bool(found.nearly)) == (is_there, is_nearly)


def test_an_index_that_was_broken_off_is_dropped_first(execute):
    execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'assets_seed'::regclass")
    found = state("assets_seed")
    assert found.is_missing
    assert found.remedy[0] == "DROP INDEX CONCURRENTLY assets_seed"


def test_a_job_needs_an_index_where_the_product_has_no_key_for_its_assets(execute, settings, fetch):
    assert state("assets_job").is_there
    execute("ALTER TABLE workspace_assets DROP CONSTRAINT workspace_assets_job_id_asset_index_key")
    [statement] = state("assets_job").remedy
    assert statement.endswith('"assets_job" ON "workspace_assets" ("job_id", "asset_index")')
    settings.UPSTREAM_TABLES = "existing"
    execute("UPDATE pg_class SET reltuples = 1e7 WHERE oid = 'workspace_assets'::regclass")
    assert "no index for jobs: it may be slow" in fetch("/assets/", job=uuid4()).text
    cache.clear()
    execute(statement.replace(" CONCURRENTLY", ""))
    assert state("assets_job").is_there
    assert "no index" not in fetch("/assets/", job=uuid4()).text


def advice():
    out = StringIO()
    with suppress(CommandError):
        call_command("index_advice", stdout=out)
    return out.getvalue()


def test_the_advice_says_what_it_drops(execute):
    execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'assets_seed'::regclass")
    assert "-- It was broken off, or is being made" in advice()


def test_an_index_of_the_products_that_has_a_name_of_ours_stays(execute):
    execute("DROP INDEX assets_seed")
    execute("CREATE INDEX assets_seed ON workspace_assets (width)")
    said = advice()
    assert 'CREATE INDEX CONCURRENTLY "dashboard_assets_seed"' in said
    assert "DROP" not in said
    execute("CREATE INDEX dashboard_assets_seed ON workspace_assets (generation_seed)")
    assert "assets_seed" not in advice()


@pytest.mark.parametrize(
    "others",
    [
        ["CREATE INDEX assets_seed ON user_library (width)"],
        ["CREATE TABLE assets_seed ()"],
        [
            "CREATE INDEX assets_seed ON workspace_assets (width)",
            "CREATE INDEX dashboard_assets_seed ON workspace_assets (height)",
        ],
    ],
    ids=["of another table", "a table", "twice"],
)
def test_what_is_advised_can_be_made_whatever_has_a_name_of_ours(execute, others):
    execute("DROP INDEX assets_seed")
    for statement in others:
        execute(statement)
    [statement] = state("assets_seed").remedy
    execute(statement.replace(" CONCURRENTLY", ""))
    assert state("assets_seed").is_there
    assert "assets_seed" not in advice()


def test_a_table_in_parts_is_advised_what_it_can_have(execute):
    execute("ALTER TABLE jobs RENAME TO whole")
    execute("CREATE TABLE jobs (LIKE whole) PARTITION BY RANGE (created_at)")
    execute("CREATE TABLE part PARTITION OF jobs FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')")
    found = state("jobs_user_created")
    assert found.is_missing
    assert "nothing can be written there" in advice()
    execute("DROP INDEX jobs_user_created")
    for statement in found.remedy:
        execute(statement)
    assert state("jobs_user_created").is_there


@pytest.fixture
def large_and_anothers(execute, settings):
    settings.UPSTREAM_TABLES = "existing"
    execute("UPDATE pg_class SET reltuples = 1e7 WHERE oid = 'workspace_assets'::regclass")
    execute("DROP INDEX assets_largest, assets_prompt_words")


def test_the_gallery_says_what_has_no_index_here(large_and_anothers, fetch):
    slow = "This database has no index for"
    assert slow not in fetch("/assets/").text
    assert f"{slow} largest first: it may be slow" in fetch("/assets/", sort="-file_size_bytes").text
    assert f"{slow} words in the prompt: it" in fetch("/assets/", q="fox").text
    with_both = fetch("/assets/", q="fox", sort="-file_size_bytes")
    assert f"{slow} words in the prompt and largest first: it" in with_both.text
    assert slow not in fetch("/assets/", model="sdxl").text


def test_the_gallery_says_so_of_the_index_that_its_filters_want_together(large_and_anothers, execute, fetch):
    execute("DROP INDEX assets_type_model_newest, assets_model_newest, assets_expiring")
    assert "no index" not in fetch("/assets/", type="video").text
    assert "no index for types and models: it" in fetch("/assets/", type="video", model="sdxl").text
    assert "no index" not in fetch("/assets/", type="video", model="sdxl", user=uuid4()).text
    assert "no index for what expires when: it" in fetch("/assets/", expires="24h").text


def test_the_library_says_what_has_no_index_here(large_and_anothers, execute, fetch):
    execute("UPDATE pg_class SET reltuples = 1e7 WHERE oid = 'user_library'::regclass")
    execute("DROP INDEX library_tags, library_largest")
    assert "no index" not in fetch("/library/", q="fox").text
    assert (
        "no index for tags and largest first: it" in fetch("/library/", tag="a", sort="-file_size_bytes").text
    )


@pytest.mark.parametrize("rows", [-1, 1_000])
def test_a_small_table_needs_no_such_words(large_and_anothers, execute, fetch, rows):
    execute(f"UPDATE pg_class SET reltuples = {rows} WHERE oid = 'workspace_assets'::regclass")
    assert "no index" not in fetch("/assets/", sort="-file_size_bytes").text


def test_the_gallery_says_how_old_its_knowledge_of_settings_is(execute, fetch):
    assert "looked through" not in fetch("/assets/", setting="scene_id>3").text, "so few are all tried"
    execute("UPDATE pg_class SET reltuples = 1e7 WHERE oid = 'workspace_assets'::regclass")
    cache.clear()
    assert "still being looked through" in fetch("/assets/", setting="scene_id>3").text
    KnownSettings.objects.create(complete_at="2026-11-20T10:30Z")
    cache.clear()
    assert "last looked through on 20 Nov, 10:30" in fetch("/assets/", setting="scene_id").text
    assert "looked through" not in fetch("/assets/", setting="steps=3").text
    assert WorkspaceAsset.objects.count() == 0
