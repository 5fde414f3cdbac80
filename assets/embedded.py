"""What a file itself says of how it was made, under the names that the dashboard uses.

The file is read by the decoder's process; what that answers was still written by a stranger.
"""

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, BinaryIO

from assets.lossless import LosslessDecoder, encode
from assets.parameters import OTHER, parameters
from assets.previews import ask
from assets.storage import FileFault

MAX_ANSWER = 4 * 1024 * 1024  # bytes
MOST_NAME = 100  # characters of a generator's
MOST_RAW = 100_000  # characters of the texts as they are


class MetadataFault(FileFault):
    """Why nothing is known of how a file was made."""


@dataclass(frozen=True)
class Embedded:
    generator: str = ""
    prompt: str = ""
    negative_prompt: str = ""
    seed: int | None = None
    model: str = ""
    settings: dict[str, Any] = field(default_factory=dict)  # the rest, under canonical names where known
    raw: str = ""  # the texts as they are in the file
    note: str = ""


def read(source: BinaryIO) -> Embedded:
    """What the file says; FileFault where it says nothing, or cannot be read."""
    with tempfile.TemporaryFile() as output:
        ask(source, output, metadata=True)
        output.seek(0)
        return understood(output.read(MAX_ANSWER))


def understood(answer: bytes) -> Embedded:
    """What the decoder's JSON means."""
    try:
        said = storable(json.loads(answer, cls=LosslessDecoder, parse_constant=str))
        raw = _raw_text(said["raw"])
        if "generator" not in said:
            return Embedded(raw=raw, note="The file has texts, but of no generator that is known here.")
        return _of_generator(said, raw)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        raise MetadataFault("The metadata makes no sense") from None


def _of_generator(said: dict[str, Any], raw: str) -> Embedded:
    settings = canonical(_merged(said))
    seed = whole(settings.get("seed"))
    if seed is not None:
        del settings["seed"]
    model = settings.pop("model", "")
    settings.setdefault("generator", said["generator"])
    return Embedded(
        generator=_text(said["generator"])[:MOST_NAME],
        prompt=_text(said["prompt"]) or _text(settings.pop("prompt", "")),
        negative_prompt=_text(said["negative_prompt"]) or _text(settings.pop("negative_prompt", "")),
        seed=seed,
        model=_text(model),
        settings=settings,
        raw=raw,
    )


def _merged(said: dict[str, Any]) -> dict[str, Any]:
    """All that was set, in one object; of several samplers the first, and the others beside it."""
    metadata, samplers = said["metadata"], said["samplers"]
    settings = dict(metadata)
    if said["generator"] == "ComfyUI":
        settings = {**_of_nodes(metadata), **settings}
    if samplers:
        first, *others = samplers
        model = first["model"] or {}
        settings |= {
            "model": model.get("name"),
            "model_hash": model.get("hash"),
            "model_details": model.get("metadata"),
            "sampler": first["name"],
            **first["parameters"],
            "other_samplers": others,
        }
    settings["prompt_details"] = said["prompt_details"]
    return {key: value for key, value in settings.items() if value not in (None, [], {})}


# What nodes of every kind call the same.
_NODE_INPUTS = {
    "seed", "noise_seed", "steps", "cfg", "guidance", "sampler_name", "scheduler", "denoise",
    "width", "height", "ckpt_name", "unet_name", "positive_prompt", "negative_prompt",
}  # fmt: skip


def _of_nodes(metadata: dict[str, Any]) -> dict[str, Any]:
    """What the other nodes of a graph say, the first of each: not every sampler is one that parsers know."""
    found: dict[str, Any] = {}
    texts = set()
    for node in _nodes(metadata):
        for key, value in node.items():
            if key in _NODE_INPUTS and not isinstance(value, dict | list):
                found.setdefault(key, value)
        if isinstance(node.get("text"), str):
            texts.add(node["text"])
    if len(texts) == 1:  # of two, either may be the negative one
        found.setdefault("positive_prompt", texts.pop())
    return found


def _nodes(metadata: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for nodes in metadata.values():
        for node in nodes if isinstance(nodes, list) else ():
            if isinstance(node, dict):
                yield node


# --- Names and values --------------------------------------------------------

_NUMERIC = {
    "steps", "guidance_scale", "guidance_rescale", "seed", "variation_seed", "variation_seed_strength",
    "denoise_strength", "clip_skip", "width", "height", "hires_upscale", "hires_steps", "batch_size", "shift",
    "distilled_guidance", "true_cfg_scale", "frame_num", "fps", "eta",
}  # fmt: skip
_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?")
_SIZE = re.compile(r"(\d{1,6})\s*[x×]\s*(\d{1,6})")


def canonical(settings: dict[str, Any]) -> dict[str, Any]:
    """Known parameters under their usual names and as numbers, the others as they are."""
    result: dict[str, Any] = {}
    for parameter in parameters(settings):
        if parameter.group == OTHER:
            result[parameter.keys[0]] = parameter.value
        else:
            result[parameter.name] = (
                _number(parameter.value) if parameter.name in _NUMERIC else parameter.value
            )
            result |= {key: value for key, value in parameter.others if key not in result}
    size = result.get("size")
    if isinstance(size, str) and (match := _SIZE.fullmatch(size)):
        del result["size"]
        result |= {"width": int(match[1]), "height": int(match[2])}
    return result


def _number(value: Any) -> Any:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value) if "." in value else int(value)
    return value


def whole(value: Any) -> int | None:
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else encode(value, indent=None)


def _raw_text(raw: dict[str, Any]) -> str:
    texts = {key: _text(value) for key, value in raw.items()}
    text = "\n\n".join(texts.values() if len(texts) == 1 else (f"{key}: {texts[key]}" for key in texts))
    return (
        text
        if len(text) <= MOST_RAW
        else f"{text[:MOST_RAW]}\n… and {len(text) - MOST_RAW:,} more characters"
    )


# --- What the database can hold ------------------------------------------------

_HALVES = re.compile("[\ud800-\udfff]")
_MOST_MAGNITUDE = 1_000  # digits before or behind the point


def _is_short(number: Decimal) -> bool:
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):  # no number at all
        return False
    return abs(exponent) < _MOST_MAGNITUDE and abs(number.adjusted()) < _MOST_MAGNITUDE


def storable(value: Any) -> Any:
    """The same JSON without what PostgreSQL refuses: NUL, halves of characters, endless numbers."""
    if isinstance(value, str):
        return _HALVES.sub("\N{REPLACEMENT CHARACTER}", value.replace("\0", ""))
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, Decimal) and not _is_short(value):
        return str(value)
    return value
