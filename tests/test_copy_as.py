"""Parameters text that other programs read, and a call in Python that is nothing but a call."""

import ast
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from sd_parsers import ParserManager

from assets.copy_as import Made, diffusers_call, parameters_text
from assets.parameters import parameters

FOX = Made("a red fox, (snow:1.2)\nat dawn", "sdxl", 7, 640, 480, False)
SETTINGS = {
    "steps": 30,
    "sampler": "Euler a",
    "scheduler": "Karras",
    "guidance_scale": Decimal("7.5"),
    "negativePrompt": "blurry, low quality\nwatermark",
    "width": 512,
    "height": 768,
    "denoise_strength": Decimal("0.35"),
    "seed": 8,
}


def text_of(settings, made=FOX):
    return parameters_text(made, parameters(settings))


def call_of(settings, made=FOX):
    return diffusers_call(made, parameters(settings))


def test_the_text_is_as_the_community_writes_it():
    assert text_of(SETTINGS) == (
        "a red fox, (snow:1.2)\nat dawn\nNegative prompt: blurry, low quality\nwatermark\n"
        "Steps: 30, Sampler: Euler a, Schedule type: Karras, CFG scale: 7.5, Seed: 7, Size: 512x768, "
        "Model: sdxl, Denoising strength: 0.35"
    )


def test_what_is_not_known_is_left_out():
    bare = Made("a fox", "", None, None, None, False)
    assert text_of({"steps": None, "sampler": "", "cfg": [7]}, bare) == "a fox"
    assert text_of(None) == "a red fox, (snow:1.2)\nat dawn\nSeed: 7, Size: 640x480, Model: sdxl"
    assert text_of({"width": 512}).endswith("Seed: 7, Model: sdxl")


@pytest.mark.parametrize(
    ("model", "written"),
    [
        ("sd, xl", '"sd, xl"'),
        ("a:b", '"a:b"'),
        ('é\n"x"', '"é\\n\\"x\\""'),
        ('"x"', '"x"'),
        ("fal-ai/wan", "fal-ai/wan"),
    ],
)
def test_values_with_a_mark_of_the_text_itself_are_quoted(model, written):
    assert text_of({}, Made("", model, 7, None, None, False)) == f"Seed: 7, Model: {written}"


def test_sd_parsers_reads_the_text_back_from_a_picture():
    info = PngImagePlugin.PngInfo()
    info.add_itxt("parameters", text_of(SETTINGS))
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=info)
    file.seek(0)
    read = ParserManager(normalize_parameters=False).parse(file)
    assert read.full_prompt == FOX.prompt
    assert read.full_negative_prompt == SETTINGS["negativePrompt"]
    [sampler] = read.samplers
    assert sampler.name == "Euler a"
    assert sampler.model.name == "sdxl"
    said = sampler.parameters | read.metadata
    assert {key: str(value) for key, value in said.items()} == {
        "Steps": "30",
        "Schedule type": "Karras",
        "CFG scale": "7.5",
        "Seed": "7",
        "Size": "512x768",
        "Denoising strength": "0.35",
    }


def test_the_call_is_what_one_would_write():
    assert call_of(SETTINGS | {"num_frames": 16}) == (
        "import torch\n"
        "from diffusers import DiffusionPipeline\n"
        "\n"
        "pipe = DiffusionPipeline.from_pretrained('sdxl')\n"
        "image = pipe(\n"
        "    prompt='a red fox, (snow:1.2)\\nat dawn',\n"
        "    negative_prompt='blurry, low quality\\nwatermark',\n"
        "    num_inference_steps=30,\n"
        "    guidance_scale=7.5,\n"
        "    width=512,\n"
        "    height=768,\n"
        "    generator=torch.Generator().manual_seed(7),\n"
        ").images[0]\n"
    )
    assert call_of(SETTINGS | {"steps": "30", "guidance_scale": " 7.50 ", "width": Decimal("512.0")}) == (
        call_of(SETTINGS).replace("7.5,", "7.50,")
    )
    video = call_of({"frame_num": 16}, Made("a fox", "wan", -1, None, None, True))
    assert "    num_frames=16,\n" in video
    assert video.endswith(").frames[0]\n")


def test_what_is_no_number_is_no_argument_for_one():
    settings = {"steps": "many", "guidance_scale": True, "width": "auto", "height": "", "negative_prompt": 7}
    assert call_of(settings, Made("a fox", "sdxl", None, None, None, False)).splitlines()[4:] == [
        "image = pipe(",
        "    prompt='a fox',",
        "    negative_prompt='7',",
        ").images[0]",
    ]


@pytest.mark.parametrize(
    ("said", "row", "text", "call"),
    [
        (None, -1, "a fox", ""),
        (-1, -1, "a fox\nSeed: -1", ""),
        (2**64 - 1, -1, f"a fox\nSeed: {2**64 - 1}", f"manual_seed({2**64 - 1})"),
        (2**64, -1, f"a fox\nSeed: {2**64}", ""),
        (True, -1, "a fox\nSeed: true", ""),
        (8, 7, "a fox\nSeed: 7", "manual_seed(7)"),
    ],
    ids=range(6),
)
def test_a_seed_that_is_not_known_is_left_to_the_settings(said, row, text, call):
    made = Made("a fox", "", row, None, None, False)
    assert text_of({"seed": said}, made) == text
    assert (call or "\n)") in call_of({"seed": said}, made)
    assert ("manual_seed" in call_of({"seed": said}, made)) is bool(call)


hostile = st.text() | st.sampled_from(["'''", '"""', "\\", "')\nimport os\n('", "\\N{", "{0}", "\u202e", "#"])
number = st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.just(Decimal("9" * 5_000))
value = hostile | number | st.booleans() | st.none() | st.lists(hostile, max_size=2)
KEYS = ["negative_prompt", "steps", "guidance_scale", "width", "height", "frame_num", "clip_skip"]
seeds = st.none() | st.integers(-(2**63), 2**63 - 1)
made = st.builds(Made, hostile, hostile, seeds, st.integers(), st.integers(), st.booleans())


@given(made, st.dictionaries(st.sampled_from(KEYS), value))
def test_whatever_the_values_are_they_stay_literals(made, settings):
    tree = ast.parse(call_of(settings, made))
    assert [type(node) for node in tree.body] == [ast.Import, ast.ImportFrom, ast.Assign, ast.Assign]
    assert tree.body[2].value.args[0].value == made.model
    call = tree.body[3].value.value.value
    arguments = {keyword.arg: keyword.value for keyword in call.keywords}
    arguments.pop("generator", None)
    read = {name: ast.literal_eval(argument) for name, argument in arguments.items()}
    assert read["prompt"] == made.prompt
    if settings.get("negative_prompt") and isinstance(settings["negative_prompt"], str):
        assert read["negative_prompt"] == settings["negative_prompt"]
    assert parameters_text(made, parameters(settings)) is not None
