"""What contradicts a setting: other keys, the worker, the row, the bytes of the file."""

from decimal import Decimal

import pytest

from assets.disagreements import Facts, disagreements
from assets.parameters import parameters


@pytest.mark.parametrize(
    ("said", "facts", "flags"),
    [
        ({"steps": 30, "worker_reported_steps": 28}, Facts(), {"steps": ["the worker reported 28"]}),
        ({"steps": 30, "worker_reported_steps": 30}, Facts(), {}),
        ({"steps": 30, "worker_reported_steps": "30.0"}, Facts(), {}),
        ({"steps": 30, "worker_reported_steps": None}, Facts(), {}),
        ({"steps": None, "worker_reported_steps": 25}, Facts(), {}),
        ({"steps": 30, "numInferenceSteps": 28}, Facts(), {"steps": ["numInferenceSteps says 28"]}),
        (
            {"guidance_scale": Decimal("7.0"), "worker_reported_guidance_scale": Decimal("6.5")},
            Facts(),
            {"guidance_scale": ["the worker reported 6.5"]},
        ),
        ({"guidance_scale": 7, "worker_reported_guidance_scale": Decimal("7.0")}, Facts(), {}),
        ({"seed": 8}, Facts(seed=7), {"seed": ["the row’s seed is 7"]}),
        ({"seed": 8}, Facts(seed=0), {"seed": ["the row’s seed is 0"]}),
        ({"seed": "7"}, Facts(seed=7), {}),
        ({"seed": None}, Facts(seed=7), {}),
        (
            {"width": 512, "height": 512},
            Facts(width=640, height=512, file_width=640, file_height=480),
            {"width": ["the row says 640", "the file has 640"], "height": ["the file has 480"]},
        ),
        ({"width": 512}, Facts(width=None, file_width=0), {}),
        ({"width": "wide"}, Facts(width=512), {"width": ["the row says 512"]}),
        ({"width": True}, Facts(width=1), {"width": ["the row says 1"]}),
        ({"size": "512x768"}, Facts(file_width=512, file_height=512), {"size": ["the file is 512 × 512"]}),
        ({"size": "512 × 768"}, Facts(file_width=512, file_height=768), {}),
        ({"size": "square"}, Facts(file_width=512, file_height=768), {}),
        ({"format": "png"}, Facts(file_mime="image/jpeg"), {"format": ["the file is image/jpeg"]}),
        ({"format": ".JPEG"}, Facts(mime="image/jpg", file_mime="image/jpeg"), {}),
        ({"format": "jpg"}, Facts(mime="image/png"), {"format": ["the row says image/png"]}),
        ({"format": "tiff"}, Facts(file_mime="image/png"), {"format": ["the file is image/png"]}),
        ({"format": "square"}, Facts(mime="image/png", file_mime="image/png"), {}),
        ({"format": ["png"]}, Facts(file_mime="image/jpeg"), {}),
        ({"steps": "9" * 9_000, "cfg": Decimal("1e-16383")}, Facts(seed=1), {}),
    ],
    ids=range(26),
)
def test_what_contradicts_a_setting_is_said(said, facts, flags):
    assert disagreements(parameters(said), facts) == flags


@pytest.mark.parametrize(
    ("said", "facts"),
    [
        ({"seed": -1, "worker_reported_seed": 7}, Facts(seed=7)),
        ({"seed": "-1"}, Facts(seed=7)),
        ({"seed": 2**70}, Facts(seed=-1)),
        (
            {"guidance_scale": Decimal("6.3"), "worker_reported_cfg_scale": Decimal("6.300000190734863")},
            Facts(),
        ),
        ({"model": "sdxl", "checkpoint": "sd_xl_base_1.0.safetensors", "model_id": "a/b"}, Facts()),
        ({"app": "ComfyUI", "version": "0.3.7"}, Facts()),
        ({"exact_copy_mode": True, "exactCopyMode": "true"}, Facts()),
        ({"cfg": 1, "guidance": Decimal("3.5")}, Facts()),
        ({"format": "json"}, Facts(mime="image/png", file_mime="image/png")),
        ({"format": "image/*"}, Facts(mime="image/png", file_mime="image/png")),
        ({"width": "512.0", "height": " 512 "}, Facts(width=512, height=512)),
        ({"cfg": "1e999999999", "cfg_scale": "1e999999999"}, Facts()),
        (
            {"width": 512, "height": "767", "hires_upscale": Decimal("1.5")},
            Facts(width=768, height=1150, file_width=768, file_height=1150),
        ),
    ],
    ids=range(13),
)
def test_other_ways_to_say_the_same_are_no_contradiction(said, facts):
    assert disagreements(parameters(said), facts) == {}


@pytest.mark.parametrize(
    ("said", "facts"),
    [
        ({"seed": 7, "worker_reported_seed": 8}, Facts()),
        ({"seed": 9007199254740993}, Facts(seed=9007199254740992)),
        ({"guidance_scale": Decimal("6.3"), "worker_reported_cfg_scale": Decimal("6.31")}, Facts()),
        ({"model_name": "sdxl", "modelName": "flux"}, Facts()),
        ({"steps": "30", "num_steps": "28"}, Facts()),
        ({"cfg": "1e999999999", "cfg_scale": "1e-999999999"}, Facts()),
        ({"width": 512, "hires_upscale": 2}, Facts(width=768)),
        ({"width": "1e999999999", "hires_upscale": "1e999999999"}, Facts(width=768)),
    ],
    ids=range(8),
)
def test_what_is_nearly_the_same_is_a_contradiction_still(said, facts):
    assert len(disagreements(parameters(said), facts)) == 1


def test_long_values_are_shortened_within_a_sentence():
    [[sentence]] = disagreements(parameters({"steps": 1, "num_steps": "x" * 9_000}), Facts()).values()
    assert len(sentence) < 100
