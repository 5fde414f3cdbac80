"""How an asset was made, written for other programs: as parameters text, and as a call of diffusers."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from assets.lossless import encode, is_number, number_of
from assets.parameters import UNKNOWN_SEED, Parameter

_MOST_DIGITS = 30  # of whole numbers that are written as such


@dataclass(frozen=True, slots=True)
class Made:
    """What the row says of how it was made, besides the settings."""

    prompt: str
    model: str
    seed: int | None
    width: int | None
    height: int | None
    is_video: bool


# --- Parameters, as the community writes them ---------------------------------

_LABELS = {
    "steps": "Steps",
    "sampler": "Sampler",
    "scheduler": "Schedule type",
    "guidance_scale": "CFG scale",
    "distilled_guidance": "Distilled CFG Scale",
    "seed": "Seed",
    "size": "Size",
    "model_hash": "Model hash",
    "model": "Model",
    "vae": "VAE",
    "denoise_strength": "Denoising strength",
    "clip_skip": "Clip skip",
    "variation_seed": "Variation seed",
    "variation_seed_strength": "Variation seed strength",
    "hires_upscale": "Hires upscale",
    "hires_steps": "Hires steps",
    "hires_upscaler": "Hires upscaler",
    "eta": "Eta",
    "rng": "RNG",
    "frame_num": "Frames",
    "fps": "FPS",
}


def parameters_text(made: Made, parameters: Iterable[Parameter]) -> str:
    """The prompt, the negative prompt, and a line of the rest: what AUTOMATIC1111's web UI reads."""
    values = _values(made, parameters)
    negative = values.get("negative_prompt")
    pairs = [f"{label}: {_quoted(values[name])}" for name, label in _LABELS.items() if name in values]
    lines = [made.prompt, f"Negative prompt: {_plain(negative)}" if negative else "", ", ".join(pairs)]
    return "\n".join(filter(None, lines))


def _quoted(value: Any) -> str:
    text = _plain(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",:\n") else text


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else encode(value, indent=None)


# --- Diffusers ----------------------------------------------------------------

_ARGUMENTS = {
    "negative_prompt": "negative_prompt",
    "steps": "num_inference_steps",
    "guidance_scale": "guidance_scale",
    "clip_skip": "clip_skip",
    "width": "width",
    "height": "height",
}


def diffusers_call(made: Made, parameters: Iterable[Parameter]) -> str:
    """A few lines of Python; whatever the values are, they are literals in it."""
    values = _values(made, parameters)
    arguments = _ARGUMENTS | ({"frame_num": "num_frames"} if made.is_video else {})
    lines = [f"prompt={made.prompt!r}"]
    lines += [f"{argument}={literal}" for argument, literal in _literals(values, arguments)]
    if _is_seed(seed := values.get("seed")):
        lines.append(f"generator=torch.Generator().manual_seed({seed})")
    result, output = ("frames", "frames") if made.is_video else ("image", "images")
    return "\n".join(
        [
            "import torch",
            "from diffusers import DiffusionPipeline",
            "",
            f"pipe = DiffusionPipeline.from_pretrained({made.model!r})",
            f"{result} = pipe(",
            *(f"    {line}," for line in lines),
            f").{output}[0]",
            "",
        ]
    )


def _literals(values: dict[str, Any], arguments: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Text for a prompt, and numbers for all else: what is none would only be refused."""
    for name, argument in arguments.items():
        if name == "negative_prompt" and name in values:
            yield argument, repr(_plain(values[name]))
        elif (number := number_of(values.get(name))) is not None:
            yield argument, _literal(number)


def _literal(number: Decimal) -> str:
    is_whole = number == number.to_integral_value()
    if is_whole and number.adjusted() < _MOST_DIGITS:
        return str(int(number))
    text = encode(number)
    # Python reads no whole number of very many digits.
    return text if "." in text or "E" in text else f"{text}.0"


def _is_seed(value: Any) -> bool:
    """Whether torch takes it for one, and it is not any."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return is_whole and -(2**63) <= value < 2**64 and value != UNKNOWN_SEED


# --- Both ---------------------------------------------------------------------


def _values(made: Made, parameters: Iterable[Parameter]) -> dict[str, Any]:
    """What can be written as one value, by name; the row fills in, and decides on seed and model."""
    said = {each.name: each.value for each in parameters if each.name in _LABELS or each.name in _ARGUMENTS}
    values = {name: value for name, value in said.items() if _is_one_value(value)}
    values |= dict(_of_row(made, values))
    if {"width", "height"} <= values.keys():
        values["size"] = f"{_plain(values['width'])}x{_plain(values['height'])}"
    return values


def _is_one_value(value: Any) -> bool:
    return is_number(value) or isinstance(value, bool) or (isinstance(value, str) and value != "")


def _of_row(made: Made, asked: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if made.model:
        yield "model", made.model
    if made.seed not in (None, UNKNOWN_SEED):
        yield "seed", made.seed
    if made.width and made.height and not {"width", "height"} & asked.keys():
        yield "width", made.width
        yield "height", made.height
