"""JSON read and written without loss, against PostgreSQL and against the standard library."""

import json
from decimal import Decimal

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.lossless import MOST_DEPTH, LosslessDecoder, encode, indented, is_number, same
from assets.models import WorkspaceAsset
from tests.factories import make_asset

read = LosslessDecoder().decode

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
decimals = st.decimals(allow_nan=False, allow_infinity=False, places=6)
scalars = st.none() | st.booleans() | st.integers() | decimals | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
quick = settings(max_examples=60)


def as_postgresql_writes(text):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::jsonb::text", [text])
        return cursor.fetchone()[0]


@quick
@given(values)
def test_what_postgresql_writes_is_read_and_written_the_same(db, value):
    text = as_postgresql_writes(encode(value))
    assert same(read(text), value)
    assert encode(read(text), indent=None) == text


def test_every_digit_survives_the_database(db):
    digits, small = "9" * 5_000, f"0.{'0' * 400}1"
    asset = make_asset()
    with connection.cursor() as cursor:
        text = f'{{"long": {digits}, "small": {small}, "seven": 7.0}}'
        cursor.execute("UPDATE workspace_assets SET generation_settings = %s", [text])
    found = WorkspaceAsset.objects.get(id=asset.id).generation_settings
    assert found == {"long": Decimal(digits), "small": Decimal(small), "seven": Decimal("7.0")}
    assert [encode(found[key]) for key in ("long", "small", "seven")] == [digits, small, "7.0"]


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a": ', "}")])
def test_what_is_nested_too_deep_is_its_json(opens, closes):
    def nested(levels):
        return opens * levels + "1" + closes * levels

    value = read(nested(MOST_DEPTH + 5_000))
    for _ in range(MOST_DEPTH):
        value = value["a"] if isinstance(value, dict) else value[0]
    assert value == nested(5_000)
    assert not isinstance(read(nested(MOST_DEPTH)), str)


def test_brackets_within_text_are_not_levels():
    text = json.dumps(["[{" * 200, '"\\[', {"]": "}"}])
    assert read(text) == json.loads(text)


@quick
@given(values)
def test_indented_is_what_the_standard_library_writes(value):
    assert indented(encode(value, indent=None), 100_000) == encode(value)
    plain = json.loads(encode(value))
    assert indented(json.dumps(plain), 100_000) == json.dumps(plain, indent=2)


@quick
@given(values, st.integers(0, 60))
def test_indented_stops_where_there_is_no_room(value, most):
    assert indented(encode(value, indent=None), most) == encode(value)[:most]


def test_indented_changes_nothing_but_the_lines():
    odd = '{"a":1.50e+3, "a": 007 ,"deep":%s}' % ("[" * 5_000 + "]" * 5_000)
    assert len(indented(odd, 100_000)) == 100_000
    assert indented(odd, 40) == '{\n  "a": 1.50e+3,\n  "a": 007,\n  "deep": '


def test_a_number_of_endless_size_is_not_written_out():
    assert encode(Decimal("1e-999999999")) == "1E-999999999"
    assert encode(Decimal("1e999999999")) == "1E+999999999"


@pytest.mark.parametrize(
    ("left", "right", "are_same"),
    [
        (7, Decimal("7.0"), True),
        ({"a": 1, "b": [2]}, {"b": [Decimal("2.00")], "a": 1}, True),
        (True, 1, False),
        (False, 0, False),
        (None, False, False),
        ("7", 7, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ({}, [], False),
        ([[True]], [[1]], False),
    ],
)
def test_values_are_the_same_whatever_their_spelling(left, right, are_same):
    assert same(left, right) is same(right, left) is are_same


def test_true_is_no_number():
    assert [is_number(value) for value in (1, Decimal(1), 1.5, True, "1", None)] == [True] * 3 + [False] * 3
