"""What differs between assets, and between the words of prompts."""

from datetime import UTC, datetime
from decimal import Decimal
from difflib import SequenceMatcher
from uuid import uuid4

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from assets import comparison
from assets.comparison import Missing, caption, changes, compare, summary, word_diff
from assets.lossless import same
from assets.models import WorkspaceAsset
from assets.parameters import MEASURED

ID = uuid4()


def asset(settings=None, **values):
    defaults = {
        "user_id": ID, "job_id": ID, "asset_type": "image", "file_size_bytes": 1_000, "asset_index": 0,
        "generation_seed": 7, "original_prompt": "a red fox", "model_used": "sdxl",
        "created_at": datetime(2026, 11, 23, tzinfo=UTC), "width": 640, "height": 480,
    }  # fmt: skip
    return WorkspaceAsset(**(defaults | values), generation_settings={} if settings is None else settings)


def differing(*assets):
    return {row.name: row.values for row in compare(assets) if row.differs}


# --- Any settings ------------------------------------------------------------

NUMBERS = st.integers(-(10**30), 10**30) | st.decimals(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(max_size=8)
KEYS = st.text(max_size=6) | st.sampled_from(
    ["steps", "numInferenceSteps", "seed", "guidance_scale", "cfg_scale", "width", "loras", "scene_id"]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS.filter(lambda key: key not in MEASURED), VALUES, min_size=1, max_size=6)


def respelled(value):
    """The same JSON with keys in another order and numbers written otherwise."""
    if isinstance(value, dict):
        return {key: respelled(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [respelled(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(f"{value}.0")
    return value


def leaves(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [leaf for key, item in items for leaf in leaves(item, (*path, key))]
    return found or [path]


def changed_at(value, path, leaf):
    if not path:
        return leaf
    key, *rest = path
    inner = changed_at(value[key], rest, leaf)
    if isinstance(value, dict):
        return value | {key: inner}
    return [*value[:key], inner, *value[key + 1 :]]


def leaf_at(value, path):
    for key in path:
        value = value[key]
    return value


@given(OBJECTS)
def test_order_of_keys_and_spelling_of_numbers_never_differ(settings):
    pair = asset(settings), asset(respelled(settings))
    assert changes(*pair) == []
    assert differing(*pair) == {}


@given(OBJECTS, LEAVES, st.data())
def test_any_one_changed_leaf_is_found(settings, leaf, data):
    path = data.draw(st.sampled_from(leaves(settings)))
    assume(not same(leaf_at(settings, path), leaf))
    pair = asset(settings), asset(changed_at(settings, path, leaf))
    assert len(changes(*pair)) == 1
    assert len(differing(*pair)) == 1
    assert changes(*reversed(pair)) == changes(*pair)


ALIASES = {"numInferenceSteps", "cfg_scale"}  # which may say the same as another key
UNFOLDED = VALUES.filter(lambda value: not (isinstance(value, dict) and ALIASES & value.keys()))


@given(UNFOLDED, UNFOLDED)
def test_settings_of_any_shape_compare(one, other):
    pair = asset(), asset()
    pair[0].generation_settings, pair[1].generation_settings = one, other
    assert bool(differing(*pair)) == (not same(one, other))
    assert summary(changes(*pair))


# --- Rows --------------------------------------------------------------------


def test_rows_are_the_columns_first_then_the_groups_of_settings():
    rows = list(compare([asset({"zebra": 1, "seed": 9}), asset({"provider": "fal", "steps": 30})]))
    assert [row.name for row in rows] == [
        "prompt", "model", "seed", "type", "size", "duration", "bytes", "job", "index", "user", "created",
        "provider", "steps", "seed", "zebra",
    ]  # fmt: skip
    assert [row.group for row in rows[10:]] == ["Asset", "Model", "Sampling", "Sampling", "Other"]


def test_what_is_absent_is_not_null():
    assert differing(asset({"eta": None}), asset({})) == {"eta": (None, Missing.ABSENT)}
    assert differing(asset({"eta": None}), asset({"eta": None})) == {}


def test_of_an_object_only_the_parts_that_differ_do():
    one = {"conditioning_settings": {"start": 4, "max": {"frames": 81}}}
    other = {"conditioning_settings": {"start": Decimal("4.0"), "max": {"frames": 49}, "x": 1}}
    assert differing(asset(one), asset(other), asset(one)) == {
        "conditioning_settings.max.frames": (81, 49, 81),
        "conditioning_settings.x": (Missing.ABSENT, 1, Missing.ABSENT),
    }


def test_what_is_nested_deep_is_compared_as_a_whole():
    deep = [{"leaf": number} for number in (0, 1)]
    for _ in range(60):
        deep = [{"k": inner} for inner in deep]
    [(name, values)] = differing(asset(deep[0]), asset(deep[1])).items()
    assert name == ".".join("k" * (comparison.MOST_LEVELS + 1))
    assert isinstance(values[0], dict)


def test_an_object_that_is_the_same_is_one_row():
    one = {"conditioning_settings": {"a": {"b": [1, {"c": 2}]}}}
    rows = {row.name: row.values for row in compare([asset(one), asset(respelled(one))])}
    assert same(rows["conditioning_settings"][0], one["conditioning_settings"])


def test_a_seed_in_the_settings_is_shown_only_where_it_says_something_else():
    assert [row.name for row in compare([asset({"seed": 7}), asset({"seed": 7})])].count("seed") == 1
    assert [row.name for row in compare([asset({"seed": 7}), asset({"seed": 8})])].count("seed") == 2


def test_spellings_that_contradict_each_other_are_rows_of_their_own():
    pair = asset({"steps": 30, "num_steps": 20}), asset({"steps": 30, "num_steps": 25})
    assert differing(*pair) == {"steps.num_steps": (20, 25)}
    trio = *pair, asset({"steps": 31})
    assert differing(*trio)["steps.num_steps"] == (20, 25, Missing.ABSENT)
    pair = asset({"steps": 30, "num_steps": 20}), asset({"steps": 30})
    assert differing(*pair) == {"steps.num_steps": (20, Missing.ABSENT)}


def test_parts_of_what_has_a_long_key_are_not_each_named_after_all_of_it():
    wide = [asset({"k" * 10_000: {f"{n}{'x' * 10_000}": n + more for n in range(3)}}) for more in (0, 1)]
    rows = [row for row in compare(wide) if row.differs]
    assert len(rows) == 3
    assert max(len(text) for row in rows for text in (row.name, row.label)) < 3 * comparison.MOST_KEY


def test_settings_that_were_not_read_differ_from_nothing():
    pair = asset({"steps": 30}), asset()
    pair[1].generation_settings = Missing.UNREAD
    assert differing(*pair) == {}
    assert (30, Missing.UNREAD) in [row.values for row in compare(pair)]


# --- What was asked for ------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "another", "values", "labels"),
    [
        ({}, {}, {"generation_seed": 8}, ["seed"]),
        ({"seed": 7}, {"seed": 8}, {"generation_seed": 8}, ["seed"]),
        ({"steps": 30}, {"numInferenceSteps": 30.0}, {}, []),
        ({"steps": 30}, {"steps": 20}, {"original_prompt": "a cat"}, ["prompt", "steps"]),
        ({"cfg_scale": 7, "loras": []}, {}, {}, ["LoRAs", "CFG scale"]),
        ({"width": 640}, {"width": 320}, {"width": 320}, ["size"]),
        ({}, {}, {"width": None}, []),
        ({"processing_time": 3}, {"processing_time": 4, "vramUsed": 1}, {}, []),
        ({}, {}, {"job_id": uuid4(), "asset_index": 3, "file_size_bytes": 5, "created_at": None}, []),
        ({"Odd": 1}, {"Odd": 2}, {}, ["Odd"]),
        ({"steps": 30, "num_steps": 20}, {"steps": 30, "num_steps": 25}, {}, ["steps"]),
        ({"x" * 99: 1}, {}, {}, [f"{'x' * 40}…"]),
        ([1], [2], {}, ["settings"]),
        ({"steps": 30, "num_steps": 20}, {"steps": 30}, {}, ["steps"]),
        ({"steps": 30, "worker_reported_steps": 28}, {"steps": 30, "workerReportedSteps": 30}, {}, []),
        ({"steps": 30}, {"worker_reported_steps": 30}, {}, ["steps"]),
        ({"steps": None, "worker_reported_steps": 28}, {"steps": None}, {}, []),
    ],
    ids=range(17),
)
def test_changes_name_what_was_asked_for_differently(one, another, values, labels):
    pair = asset(one), asset(another, **values)
    assert changes(*pair) == labels
    assert changes(*reversed(pair)) == labels


@pytest.mark.parametrize(
    ("changed", "sentence", "words"),
    [
        ([], "made with the same parameters", "same parameters"),
        (["seed"], "only the seed differs", "only the seed"),
        (["steps"], "only the steps differ", "only the steps"),
        (["seed", "steps"], "seed and steps differ", "seed, steps"),
        (list("abcde"), "5 differ: a, b, c, d, e", "a, b, c +2"),
        (list("abcdefgh"), "8 differ: a, b, c, d, e, f and 2 more", "a, b, c +5"),
    ],
    ids=range(6),
)
def test_changes_are_said_in_words(changed, sentence, words):
    assert (summary(changed), caption(changed)) == (sentence, words)


# --- Words -------------------------------------------------------------------


def test_words_are_kept_removed_and_added():
    assert word_diff("a red fox, in snow", "a blue fox in snow").pieces == [
        ("kept", "a "), ("removed", "red "), ("added", "blue "), ("kept", "fox "), ("removed", ", "),
        ("kept", "in snow"),
    ]  # fmt: skip


@given(st.text("ab, \n", max_size=40), st.text("ab, \n", max_size=40))
def test_pieces_make_both_texts(before, after):
    pieces, note = word_diff(before, after)
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == after
    assert "".join("".join(p.text for p in pieces if p.kind != "added").split()) == "".join(before.split())
    assert note == ""


HOSTILE = {
    "one word": ("x " * 50_000, "y " + "x " * 50_000),
    "other counts": ("x " * 900 + "y", "z " + "x " * 1_900),
    "few words": ("a b c a a b " * 17_000, "c b a b b a a " * 15_000),
    "letters": ("x" * 100_000, "x" * 99_999 + "y"),
    "no run": (" ".join(f"w{n} x{n}" for n in range(1_000)), " ".join(f"w{n} y{n}" for n in range(1_000))),
}


class Counted(SequenceMatcher):
    """Counts the places that a search looks at: each word of the old, and wherever it is in the new."""

    looked_at = 0

    def find_longest_match(self, low=0, high=None, new_low=0, new_high=None):
        Counted.looked_at += sum(1 + len(self.b2j.get(word, ())) for word in self.a[low:high])
        return super().find_longest_match(low, high, new_low, new_high)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_take_bounded_work_and_say_so(name, monkeypatch):
    monkeypatch.setattr(comparison, "SequenceMatcher", Counted)
    monkeypatch.setattr(Counted, "looked_at", 0)
    pieces, note = word_diff(*HOSTILE[name])
    assert Counted.looked_at <= comparison.MOST_WORK
    assert sum(len(piece.text) for piece in pieces) <= 2 * comparison.MOST_CHARACTERS
    assert note
