"""What the gallery finds by conditions on settings is what a plain Python filter finds in the same rows."""

import json
import operator
import re
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.http import QueryDict
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assets.filters import AssetFilterSet
from assets.lossless import encode
from tests.factories import make_assets

SQL_NULL = object()

# --- A plain filter, written after what the pages say of conditions --------------------

MISSING = object()
COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
SPELT_AS_JSON = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def holds(row, keys, name, value, written):
    for key in keys:
        row = row.get(key, MISSING) if isinstance(row, dict) else MISSING
    if row is MISSING:
        return False
    if name in COMPARE:
        if isinstance(row, str) and SPELT_AS_JSON.fullmatch(row):
            row = Decimal(row)
        return is_number(row) and COMPARE[name](row, value)
    if name:
        return equals(row, value, written) == (name == "=")
    return True


def equals(found, value, written):
    if isinstance(found, str) and not isinstance(value, str):
        if is_number(value):
            short = format(value, "f")
            short = re.sub(r"\.?0+$", "", short) if "." in short else short
            return found in {written, short, short if "." in short else f"{short}.0"}
        return found == {True: "true", False: "false", None: MISSING}[value]
    if is_number(value) and is_number(found):
        return found == value
    return type(found) is type(value) and found == value


def is_number(value):
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


# --- Rows and conditions ----------------------------------------------------------------

KEYS = [
    "steps",
    "a",
    "b.c",
    "0",
    "",
    "a b",
    'qu"ote',
    "back\\slash",
    "ключ",
    "🦊",
    "$",
    "<b>",
    "a=1",
    "'; --",
]
SPELLINGS = ["7", "7.0", "7.00", "7e0", "0.7E1", "70e-1", "-0", "0", "0.0", "-1.25", "30", "30.0", "1e3"]
SPELLINGS += ["9007199254740993", "9007199254740992", "123456789.123456789123456789", "1e300", "1e-300"]
SPELLINGS += ["-1e21", "0.1", "0.10000000000000000001"]
NEAR_NUMBERS = ["30 ", "+30", "007", ".5", "5.", "٣", "1_000", "0x1f", "NaN", "Infinity", "1e", "", "-"]
WORDS = ["high", "x y", "true", "null", "<script>", "=1", "30 steps", "ünï", "🦊", 'say "x"', "%s", "\\"]

keys = st.sampled_from(KEYS[:3]) | st.sampled_from(KEYS)
spelt = st.sampled_from(SPELLINGS) | st.integers(-40, 40).map(str) | st.integers().map(str)
texts = st.sampled_from(WORDS) | st.sampled_from(NEAR_NUMBERS) | spelt
texts |= st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
scalars = st.none() | st.booleans() | spelt.map(Decimal) | spelt.map(Decimal) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
shapes = st.dictionaries(keys, values, min_size=1, max_size=5) | values | st.just(SQL_NULL)

# What is meant, and how a person writes it: some words only in quotes.
numbers = spelt.map(lambda text: (Decimal(text), text))
words = (
    st.sampled_from(WORDS)
    .filter(lambda word: word not in {"true", "null", "=1"})
    .map(lambda word: (word, word))
)
quoted = texts.map(lambda text: (text, json.dumps(text)))
constants = st.sampled_from([(True, "true"), (False, "false"), (None, "null")])
paths = st.lists(keys, min_size=1, max_size=3)
conditions = (
    st.tuples(paths, st.just(""), st.just((None, "")))
    | st.tuples(paths, st.sampled_from(["=", "!="]), numbers | words | quoted | constants)
    | st.tuples(paths, st.sampled_from([*COMPARE]), numbers)
)


def written(path, name, value_text):
    plain = re.compile(r'[^\s"=!<>.]+')
    shown = ".".join(key if plain.fullmatch(key) else json.dumps(key) for key in path)
    return f"{shown}{name}{value_text}"


@pytest.fixture
def replace_rows(db):
    """Gives the assets that there are the settings of an example, spelling and all."""
    ids = [asset.id for asset in make_assets(12)]

    def replace(rows):
        kept = ids[: len(rows)]
        spelt_rows = [None if row is SQL_NULL else encode(row, indent=None) for row in rows]
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE workspace_assets AS asset SET generation_settings = given.settings::jsonb,"
                " model_used = 'of the example'"
                " FROM unnest(%s::uuid[], %s::text[]) AS given (id, settings) WHERE asset.id = given.id",
                [kept, spelt_rows],
            )
            cursor.execute(
                "UPDATE workspace_assets SET model_used = 'of another' WHERE NOT id = ANY(%s)", [kept]
            )
        return kept

    return replace


def found(*texts):
    query = urlencode({"model": "of the example", "setting": texts}, doseq=True)
    filterset = AssetFilterSet(QueryDict(query))
    assert filterset.is_valid(), (texts, filterset.errors)
    return set(filterset.qs.values_list("id", flat=True))


EVERY_KIND = [{"steps": Decimal(text)} for text in ("7", "7.0", "7e0")] + [
    {"steps": "7"}, {"steps": "7.0"}, {"steps": "7.00"}, {"steps": True}, {"steps": None}, {"steps": [7]}, {}
]  # fmt: skip
LONG = ["0.1", "0.10000000000000000001", "9007199254740992", "9007199254740993"]
OF_MANY_DIGITS = [{"steps": kind(text)} for text in LONG for kind in (Decimal, str)]
ALL_OF_THEM = [(["steps"], name, (Decimal("7"), "7")) for name in ("=", "!=", *COMPARE)]
ALL_DIGITS = [(["steps"], name, (Decimal(text), text)) for text in LONG for name in ("=", *COMPARE)]


@settings(max_examples=60)
@given(st.lists(shapes, min_size=1, max_size=12), st.lists(conditions, min_size=8, max_size=12))
@example(EVERY_KIND, ALL_OF_THEM)
@example(
    OF_MANY_DIGITS, [(["steps"], name, (Decimal(text), text)) for text in LONG for name in ("=", *COMPARE)]
)
def test_hundreds_of_conditions_find_what_a_plain_filter_finds(replace_rows, rows, asked):
    ids = replace_rows(rows)
    expected = [
        {pk for pk, row in zip(ids, rows, strict=True) if holds(row, path, name, value, text)}
        for path, name, (value, text) in asked
    ]
    texts = [written(path, name, text) for path, name, (_, text) in asked]
    for text, wanted in zip(texts, expected, strict=True):
        assert found(text) == wanted, text
    assert found(*texts[:2]) == expected[0] & expected[1]


@pytest.mark.parametrize("number", ["1e999999", "-1e999999", "1e-999999", "9" * 480, f"0.{'0' * 480}1"])
@pytest.mark.parametrize("name", ["=", "!=", "<", ">="])
def test_a_number_out_of_all_bounds_is_an_answer_or_a_sentence(replace_rows, name, number):
    rows = [
        {"steps": 7},
        {"steps": 10**4_000},
        {"steps": "1e999999"},
        {"steps": "9" * 5_000},
        {"steps": number},
    ]
    ids = replace_rows(rows)
    filterset = AssetFilterSet(
        QueryDict(urlencode({"model": "of the example", "setting": f"steps{name}{number}"}))
    )
    matching = set(filterset.qs.values_list("id", flat=True))
    if "e" in number and name in COMPARE:
        assert "compares with something that is not a number" in str(filterset.errors)
        assert matching == set()
    else:
        value = number if "e" in number else Decimal(number)
        told = ids[:2] if name in COMPARE else ids  # of text, as many digits as a person reads are compared
        assert matching & set(told) == {
            pk for pk, row in zip(told, rows, strict=False) if holds(row, ["steps"], name, value, number)
        }
