"""Which indexes pages need, and what they say where one is missing."""

import pytest
from django.core.cache import cache
from django.db import connection

from assets.indexes import MODELS, SERVES, bytes_per_row, needs
from assets.models import KnownSettings, WorkspaceAsset


@pytest.fixture
def execute(db):
    with connection.cursor() as cursor:
        yield cursor.execute


def state(name):
    return next(need for need in needs() if need.index.name == name)


def test_every_index_says_whom_it_serves_and_how_large_it_is():
    assert {index.name for model in MODELS for index in model._meta.indexes} == SERVES.keys()
    for model in MODELS:
        for index in model._meta.indexes:
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
