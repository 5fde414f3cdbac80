"""Known parameters under their usual names, and nothing lost of the rest."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.parameters import _KNOWN, MEASURED, OTHER, parameters

UPSTREAM = (
    "quality format enhanced_prompt template_name reference_image_url reference_strength "
    "reference_mode exact_copy_mode denoise_strength guidance_scale steps worker_reported_steps "
    "worker_reported_guidance_scale width height frame_num processing_time vram_used batch_size "
    "enhancement_source system_prompt_used model_key provider content_mode generation_mode seed "
    "scene_id scene_template_name original_scene_prompt num_characters conditioning_settings "
    "source_video_url model_type"
)


def named(settings):
    return {parameter.name: parameter for parameter in parameters(settings)}


@pytest.mark.parametrize("key", UPSTREAM.split())
def test_every_key_of_the_product_is_known(key):
    [parameter] = parameters({key: "x"})
    assert parameter.group != OTHER
    assert parameter.keys == (key,)


@pytest.mark.parametrize(
    ("key", "name", "label"),
    [
        ("guidanceScale", "guidance_scale", "CFG scale"),
        ("CFG scale", "guidance_scale", "CFG scale"),
        ("cfg_scale", "guidance_scale", "CFG scale"),
        ("negativePrompt", "negative_prompt", "Negative prompt"),
        ("numInferenceSteps", "steps", "Steps"),
        ("num_inference_steps", "steps", "Steps"),
        ("worker_reported_steps", "steps", "Steps"),
        ("sampler_name", "sampler", "Sampler"),
        ("Schedule type", "scheduler", "Scheduler"),
        ("Denoising strength", "denoise_strength", "Denoising strength"),
        ("num_frames", "frame_num", "Frames"),
    ],
)
def test_spellings_are_folded(key, name, label):
    [parameter] = parameters({key: 1})
    assert (parameter.name, parameter.label, parameter.keys) == (name, label, (key,))


def test_no_word_means_two_parameters():
    words = Counter(
        word
        for _, known in _KNOWN.values()
        for word in {known.name, *known.aliases.split(), *known.reported.split()}
    )
    assert [word for word, number in words.items() if number > 1] == []


def test_what_was_asked_comes_before_what_was_reported():
    steps = named({"worker_reported_steps": 28, "num_inference_steps": 30.0, "steps": 30})["steps"]
    assert steps.value == 30
    assert steps.keys == ("steps", "num_inference_steps", "worker_reported_steps")
    assert steps.others == [("worker_reported_steps", 28)]


def test_null_gives_way_to_a_value_and_is_not_hidden():
    steps = named({"steps": None, "worker_reported_steps": 25})["steps"]
    assert (steps.value, steps.others) == (25, [("steps", None)])
    assert named({"steps": None})["steps"].value is None


def test_known_ones_come_group_by_group_and_then_the_others_in_their_order():
    settings = {
        "zeta": 1,
        "scene_id": "s",
        "width": 1,
        "provider": "fal",
        "seed": 1,
        "alpha": 2,
        "vram_used": 3,
    }
    shown = [(parameter.group, parameter.name) for parameter in parameters(settings)]
    assert shown == [
        ("Model", "provider"),
        ("Sampling", "seed"),
        ("Size", "width"),
        ("Timing", "vram_used"),
        ("Provenance", "scene_id"),
        ("Other", "zeta"),
        ("Other", "alpha"),
    ]


def test_unknown_keys_are_named_as_a_condition_names_them():
    assert [*named({"a.b": 1, "": 2, "é": 3})] == ['"a.b"', '""', "é"]


@pytest.mark.parametrize("value", [None, {}, [], ["steps"], "steps", 30, True])
def test_only_an_object_has_parameters(value):
    assert parameters(value) == []


def test_what_was_measured_is_told_from_what_was_asked():
    assert {"processing_time", "vram_used", "worker_reported_steps", "workerReportedSteps"} <= MEASURED
    assert not MEASURED & {"steps", "seed", "guidance_scale", "width", "frame_num"}


keys = st.sampled_from([*UPSTREAM.split(), "Steps", "cfg", "guidanceScale", "ſteps"]) | st.text(max_size=5)


@given(st.dictionaries(keys, st.none() | st.integers() | st.text(max_size=3), max_size=30))
def test_every_key_is_in_exactly_one_parameter(settings):
    found = parameters(settings)
    assert sorted(key for parameter in found for key in parameter.keys) == sorted(settings)
    assert len({parameter.name for parameter in found}) == len(found)
    for parameter in found:
        assert parameter.values == tuple(settings[key] for key in parameter.keys)
