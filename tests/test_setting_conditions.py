"""Conditions on settings, against the same condition in plain Python on the same rows."""

import json
import operator
from decimal import Decimal

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.lossless import encode
from assets.models import WorkspaceAsset
from assets.setting_conditions import _SPELLING, ConditionError, SettingCondition, text_of
from tests.factories import make_asset

SHAPES = [
    {"steps": 30, "guidance_scale": 7.0, "scene_id": None},
    {"steps": "30", "guidance_scale": 7.5},
    {"steps": 20, "nested": {"start": 4, "more": {"deep": True}}},
    {"steps": [30], "guidance_scale": "high"},
    {"nested.start": 4, 'a "quoted" key': "x y"},
    {"nested": [{"start": 4}], "hires": True},
    {"hires": "true", "steps": 30.0},
    {},
    None,
    [{"steps": 30}],
    "steps=30",
    30,
]


@pytest.fixture
def rows(db):
    return {index: make_asset(generation_settings=shape).id for index, shape in enumerate(SHAPES)}


def select(text):
    condition = SettingCondition.parse(text).as_q()
    return set(WorkspaceAsset.objects.filter(condition).values_list("id", flat=True))


def found(rows, text):
    matching = select(text)
    return [index for index, pk in rows.items() if pk in matching]


@pytest.mark.parametrize(
    ("text", "indexes"),
    [
        ("steps=30", [0, 1, 6]),
        ("steps = 30", [0, 1, 6]),
        ("steps=30.0", [0, 1, 6]),
        ('steps="30"', [1]),
        ("steps!=30", [2, 3]),
        ("steps>=30", [0, 1, 6]),
        ("steps<30", [2]),
        ("steps<=20", [2]),
        ("guidance_scale>7", [1]),
        ("guidance_scale>=7", [0, 1]),
        ("guidance_scale=high", [3]),
        ("scene_id", [0]),
        ("scene_id=null", [0]),
        ("steps", [0, 1, 2, 3, 6]),
        ("nested.start=4", [2]),
        ('"nested.start"=4', [4]),
        ("nested.more.deep=true", [2]),
        ("hires=true", [5, 6]),
        ('"a \\"quoted\\" key"=x y', [4]),
        ("missing", []),
    ],
)
def test_condition_finds(rows, text, indexes):
    assert found(rows, text) == indexes


NOT_CONDITIONS = ["", "=", "=30", "steps>", "a..b", "steps>=", "steps=1\0", "x" * 501, "steps>true", ". ="]
NOT_CONDITIONS += ["steps==30", "steps=>30", "steps= =30", "steps!==30", "steps>>30"]


@pytest.mark.parametrize("text", NOT_CONDITIONS)
def test_condition_that_is_not_one(text):
    with pytest.raises(ConditionError):
        SettingCondition.parse(text)


@pytest.mark.parametrize("text", ["7٣", "1.٣", "1e٣"])
def test_only_digits_of_ascii_spell_a_number_whatever_the_collation(db, text):
    collated = "SELECT %s::text COLLATE pg_unicode_fast"
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_collation WHERE collname = 'pg_unicode_fast'")
        if not cursor.rowcount:
            pytest.skip("this version of PostgreSQL has no such collation")
        cursor.execute(
            f"{collated} ~ '[[:digit:]]{{2}}|[.e][[:digit:]]', ({collated}) ~ %s", [text, text, _SPELLING]
        )
        assert cursor.fetchone() == (True, False)


OPERATORS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
numbers = st.integers(-5, 5) | st.sampled_from([0.5, -1.25, 3.0])
values = st.none() | st.booleans() | numbers | st.sampled_from(["1", "a", ""]) | st.lists(numbers, max_size=2)
shapes = st.dictionaries(st.sampled_from(["a", "b"]), values, max_size=2) | values


@settings(max_examples=150)
@given(
    st.lists(shapes, min_size=1, max_size=6),
    st.sampled_from(["a", "b"]),
    st.sampled_from([*OPERATORS]),
    numbers,
)
def test_comparisons_select_what_python_does(db, rows_of, key, name, bound):
    WorkspaceAsset.objects.all().delete()
    made = [(make_asset(generation_settings=shape), shape) for shape in rows_of]

    def holds(shape):
        value = shape.get(key) if isinstance(shape, dict) else None
        if value == "1":
            value = 1
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and OPERATORS[name](value, bound)
        )

    assert select(f"{key}{name}{json.dumps(bound)}") == {asset.id for asset, shape in made if holds(shape)}


# --- Writing a condition ---------------------------------------------------------------

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
odd = st.sampled_from(
    ["30", "true", "null", "1e999999999", " x ", '"q"', "a=b", ">=5", "[1]", "\\u0000", "", "é"]
)
exact = st.decimals(allow_nan=False, allow_infinity=False, places=9) | st.integers()
said = st.booleans() | exact | texts | odd


@settings(max_examples=80)
@given(st.lists(texts | odd, min_size=1, max_size=3), said)
def test_the_condition_of_any_value_finds_it(db, keys, value):
    nested = encode(value)
    for key in reversed(keys):
        nested = f"{{{encode(key)}: {nested}}}"
    WorkspaceAsset.objects.all().delete()
    asset = make_asset()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE workspace_assets SET generation_settings = %s", [nested])
    assert select(text_of(keys, value)) == {asset.id}


@pytest.mark.parametrize(
    ("keys", "value", "text"),
    [
        (["steps"], 30, "steps=30"),
        (["steps"], "30", 'steps="30"'),
        (["quality"], "high", "quality=high"),
        (["a", "b.c"], True, 'a."b.c"=true'),
        ([""], "", '""=""'),
        (["scale"], Decimal("7.50"), "scale=7.50"),
        (["text"], "=1", 'text="=1"'),
        (["list"], [1], ""),
        (["null"], None, ""),
        (["long"], "x" * 500, ""),
        (["long"], 10**499, ""),
    ],
)
def test_the_condition_of_a_value_is_written_as_a_person_would(keys, value, text):
    assert text_of(keys, value) == text
