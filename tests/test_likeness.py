"""Assets that were made alike, by the prompt or the settings of another: against a plain Python filter."""

import json
from uuid import uuid4

import pytest
from django.db import connection
from django.http import QueryDict
from django.urls import reverse
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assets import bulk, dispositions
from assets.filters import AssetFilterSet
from assets.models import Disposition, LibraryAsset, WorkspaceAsset
from assets.parameters import MEASURED
from tests.factories import make_asset, make_assets
from tests.html import Page

pytestmark = pytest.mark.django_db


def selected(query):
    filterset = AssetFilterSet(QueryDict(query))
    assert filterset.is_valid(), filterset.errors
    return set(filterset.qs.values_list("id", flat=True))


def is_alike(left, right):
    """As the gallery means it, of settings read by Python: both nulls are None."""
    if isinstance(left, dict) and isinstance(right, dict):
        left, right = ({k: v for k, v in each.items() if k not in NOT_ASKED} for each in (left, right))
    return canonical(left) == canonical(right)


NOT_ASKED = {*MEASURED, "seed"}


def canonical(value):
    """Equal where JSON values are: 7 and 7.0 are, true and 1 are not."""
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    return (isinstance(value, bool), value)


scalars = st.sampled_from([None, True, False, 0, 1, 7, 7.0, 0.5, "7", "", "a <b>", "x" * 300])
measured = st.sampled_from(["seed", "processing_time", "worker_reported_steps"])
asked = st.sampled_from(["steps", "a", "", "Seed"])
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(asked | measured, scalars, max_size=2)
shapes = st.dictionaries(asked | measured, values, max_size=3) | values
EVERY_KIND = [None, {}, [], "", 0, False, {"seed": 1}, {"steps": 7}, {"steps": 7.0, "seed": 2}, ["seed"], [7]]


@settings(max_examples=60)
@given(st.lists(shapes, min_size=2, max_size=10))
@example(EVERY_KIND)
@example([{"steps": 7, "tags": ["a"]}, {"tags": ["a"], "steps": 7, "vram_used": 9}, {"steps": 7}, "steps"])
def test_same_settings_are_those_of_a_plain_filter(db, rows):
    WorkspaceAsset.objects.all().delete()
    ids = [asset.id for asset in make_assets(len(rows))]
    for pk, row in zip(ids, rows, strict=True):
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE workspace_assets SET generation_settings = %s WHERE id = %s", [json.dumps(row), pk]
            )
    for pk, row in zip(ids, rows, strict=True):
        wanted = {other for other, shape in zip(ids, rows, strict=True) if is_alike(row, shape)}
        assert selected(f"same_settings={pk}") == wanted, row


def test_a_null_of_sql_and_one_of_json_are_alike():
    stored, absent = make_assets(2)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE workspace_assets SET generation_settings = 'null' WHERE id = %s", [stored.id])
        cursor.execute("UPDATE workspace_assets SET generation_settings = NULL WHERE id = %s", [absent.id])
    make_asset(generation_settings={})
    both = {stored.id, absent.id}
    assert selected(f"same_settings={stored.id}") == selected(f"same_settings={absent.id}") == both


def test_same_settings_keep_every_digit_and_every_level():
    deep = "[" * 100 + "]" * 100
    texts = ['{"a": 0.10000000000000000001}', '{"a": 0.1}', f'{{"a": {deep}}}', '{"a": "deep"}']
    made = make_assets(len(texts))
    for asset, text in zip(made, texts, strict=True):
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE workspace_assets SET generation_settings = %s WHERE id = %s", [text, asset.id]
            )
    for asset in made:
        assert selected(f"same_settings={asset.id}") == {asset.id}


def test_same_prompt_is_the_whole_prompt():
    first, second = (make_asset(original_prompt="a fox\nin snow") for _ in range(2))
    make_asset(original_prompt="a fox in snow")
    make_asset(original_prompt="A fox\nin snow")
    assert selected(f"same_prompt={first.id}") == {first.id, second.id}


def test_settings_that_are_too_large_to_look_for_are_refused_and_not_offered(fetch, admin):
    large = make_asset(generation_settings={"said": "x" * 100_000})
    shown = fetch(f"/assets/?same_settings={large.id}")
    assert (shown.total, shown.ids) == (0, [])
    assert "too large to look for others like them" in shown.errors[0]
    assert "same_settings=" not in fetch(reverse("detail", args=[large.id])).html
    dispositions.delete([large.id], actor=admin)
    assert "too large" in fetch(f"/assets/?same_settings={large.id}").errors[0]
    assert "same_settings=" not in fetch(reverse("removed_entry", args=[Disposition.objects.get().pk])).html


@pytest.mark.parametrize("name", ["same_prompt", "same_settings"])
def test_an_asset_that_has_left_still_says_what_is_alike(admin, name):
    gone, kept = make_assets(2, original_prompt="a fox", generation_settings={"steps": 30.0})
    make_asset(original_prompt="a ship", generation_settings={"steps": 31})
    dispositions.delete([gone.id], actor=admin)
    assert selected(f"{name}={gone.id}") == {kept.id}


def test_what_only_the_library_has_is_alike_by_prompt_alone():
    kept = make_asset(original_prompt="a fox")
    saved = LibraryAsset.objects.create(
        id=uuid4(), user=kept.user, asset_type="image", storage_path="x.png", file_size_bytes=1,
        mime_type="image/png", original_prompt="a fox", model_used="sdxl",
    )  # fmt: skip
    assert selected(f"same_prompt={saved.id}") == {kept.id}
    filterset = AssetFilterSet(QueryDict(f"same_settings={saved.id}"))
    assert list(filterset.qs) == []
    assert "no settings are known" in str(filterset.errors)


@pytest.mark.parametrize("name", ["same_prompt", "same_settings"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("7", "Write the UUID of an asset."),
        ("a%00b", "Write the UUID of an asset."),
        ("6f1c1d2e-0000-4000-8000-000000000000", "known, neither here nor in"),
    ],
)
def test_an_asset_that_is_not_known_selects_nothing_and_says_so(fetch, name, value, message):
    make_asset()
    shown = fetch(f"/assets/?{name}={value}")
    assert shown.total == 0
    assert shown.ids == []
    assert message in " ".join(shown.errors)


def test_the_asset_links_to_what_is_like_it_and_chips_show_the_prompt(fetch):
    asset = make_asset(original_prompt="<b>a fox</b> " * 20, generation_seed=0)
    page = fetch(reverse("detail", args=[asset.id]))
    for query in ("seed=0", f"same_prompt={asset.id}", f"same_settings={asset.id}"):
        assert f'href="/assets/?{query}"' in page.html
        assert fetch(f"/assets/?{query}").ids == [str(asset.id)]
    shown = fetch(f"/assets/?same_prompt={asset.id}&same_settings={asset.id}")
    assert shown.chips[0].startswith("Same prompt &lt;b&gt;a fox")
    assert "<b>a fox" not in shown.html
    assert f'<input type="hidden" name="same_prompt" value="{asset.id}">' in shown.html


def test_operations_take_what_is_alike(client, admin):
    asset, _ = make_asset(), make_asset(generation_settings={"steps": 31})
    operation = bulk.freeze_filter(f"same_settings={asset.id}", action="delete", actor=admin)
    assert operation.total == 1
    client.force_login(admin)
    assert Page(client.get(f"/assets/?same_settings={asset.id}")).total == 1


def test_pages_of_assets_that_have_left_link_to_what_is_like_them(fetch, admin):
    gone, kept = make_assets(2, generation_seed=0)
    dispositions.delete([gone.id], actor=admin)
    entry = Disposition.objects.get()
    foreign = LibraryAsset.objects.create(
        id=uuid4(), user=gone.user, asset_type="image", storage_path="x.png", file_size_bytes=1,
        mime_type="image/png", original_prompt=kept.original_prompt, model_used="sdxl",
    )  # fmt: skip
    removed = fetch(reverse("removed_entry", args=[entry.pk]))
    for query in ("seed=0", f"same_prompt={gone.id}", f"same_settings={gone.id}"):
        assert f'href="/assets/?{query}"' in removed.html
        assert fetch(f"/assets/?{query}").ids == [str(kept.id)]
    saved = fetch(reverse("library_detail", args=[foreign.id]))
    assert fetch(f"/assets/?same_prompt={foreign.id}").ids == [str(kept.id)]
    assert f"same_prompt={foreign.id}" in saved.html
    assert "same_settings=" not in saved.html  # of which nothing is known
    assert "?seed=" not in saved.html
