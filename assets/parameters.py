"""What the keys of generation settings mean: known parameters under their usual names, spellings folded."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from assets.lossless import same
from assets.setting_conditions import path_text

OTHER = "Other"
UNKNOWN_SEED = -1  # what the community writes for any seed, and for one that is not told; 0 is a real one


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str  # canonical; of an unknown key its path, as a condition names it
    label: str
    group: str
    keys: tuple[str, ...]  # the raw keys that said it, at the top of the settings
    value: Any  # as it was asked for; as a worker reported it only where nobody asked
    values: tuple[Any, ...]  # what each of the keys said

    @property
    def others(self) -> list[tuple[str, Any]]:
        """The keys that say something else."""
        pairs = zip(self.keys, self.values, strict=True)
        return [(key, value) for key, value in pairs if not same(value, self.value)]


class _Known(NamedTuple):
    name: str
    label: str
    aliases: str = ""  # in snake_case; other ways to write a word are folded
    reported: str = ""  # keys of what the worker says it did


_GROUPS: dict[str, tuple[_Known, ...]] = {
    "Model": (
        _Known("model", "Model", "model_name model_id checkpoint ckpt ckpt_name base_model unet_name"),
        _Known("model_key", "Model key"),
        _Known("model_type", "Model type"),
        _Known("model_hash", "Model hash"),
        _Known("model_version", "Model version"),
        _Known("provider", "Provider", "provider_name"),
        _Known("generation_mode", "Mode", "mode"),
        _Known("content_mode", "Content"),
        _Known("quality", "Quality"),
        _Known("refiner", "Refiner", "refiner_model"),
        _Known("vae", "VAE", "vae_name vae_model"),
        _Known("loras", "LoRAs", "lora lora_name lora_weights"),
        _Known("lora_hashes", "LoRA hashes"),
        _Known("controlnets", "ControlNets", "controlnet"),
        _Known("clip_skip", "Clip skip", "clip_stop_at_last_layers"),
    ),
    "Sampling": (
        _Known("negative_prompt", "Negative prompt", "negative uncond_prompt"),
        _Known("steps", "Steps", "num_inference_steps num_steps sampling_steps", "worker_reported_steps"),
        _Known("sampler", "Sampler", "sampler_name"),
        _Known("scheduler", "Scheduler", "schedule_type schedule scheduler_name noise_schedule"),
        _Known(
            "guidance_scale",
            "CFG scale",
            "cfg_scale cfg guidance",
            "worker_reported_guidance_scale worker_reported_cfg_scale",
        ),
        _Known("guidance_rescale", "CFG rescale", "cfg_rescale cfg_rescale_multiplier"),
        _Known("true_cfg_scale", "True CFG scale"),
        _Known("distilled_guidance", "Distilled CFG scale", "distilled_cfg_scale distilled_guidance_scale"),
        _Known("seed", "Seed", "noise_seed generation_seed", "worker_reported_seed"),
        _Known("variation_seed", "Variation seed", "subseed"),
        _Known("variation_seed_strength", "Variation seed strength", "variation_strength subseed_strength"),
        _Known("denoise_strength", "Denoising strength", "denoising_strength denoise strength"),
        _Known("shift", "Shift", "flow_shift"),
        _Known("eta", "Eta"),
        _Known("rng", "RNG", "rand_device"),
        _Known("hires_upscaler", "Hires upscaler", "hr_upscaler"),
        _Known("hires_upscale", "Hires upscale", "hr_scale"),
        _Known("hires_steps", "Hires steps", "hr_second_pass_steps"),
        _Known("batch_size", "Batch size", "num_images num_images_per_prompt num_outputs n_samples"),
    ),
    "Size": (
        _Known("width", "Width", "", "worker_reported_width"),
        _Known("height", "Height", "", "worker_reported_height"),
        _Known("size", "Size", "image_size"),
        _Known("resolution", "Resolution"),
        _Known("aspect_ratio", "Aspect ratio"),
        _Known("format", "Format", "output_format image_format file_format"),
        _Known(
            "frame_num", "Frames", "num_frames frames frame_count video_length", "worker_reported_frame_num"
        ),
        _Known("fps", "Frames a second", "frame_rate frames_per_second"),
        _Known("duration", "Duration", "duration_seconds video_duration"),
    ),
    "References": (
        _Known("reference_image_url", "Reference image", "reference_image reference_image_path"),
        _Known("reference_strength", "Reference strength"),
        _Known("reference_mode", "Reference mode"),
        _Known("exact_copy_mode", "Exact copy"),
        _Known("source_image_url", "Source image", "source_image image_url init_image init_image_url"),
        _Known("source_video_url", "Source video", "source_video video_url"),
        _Known("mask_url", "Mask", "mask mask_image mask_image_url"),
        _Known("conditioning_settings", "Conditioning", "conditioning"),
    ),
    "Timing": (
        _Known("processing_time", "Processing time", "", "processing_time inference_time generation_time"),
        _Known("queue_time", "Time in the queue", "", "queue_time"),
        _Known("vram_used", "VRAM used", "", "vram_used vram peak_vram"),
    ),
    "Provenance": (
        _Known("prompt", "Prompt", "positive_prompt"),
        _Known("enhanced_prompt", "Enhanced prompt"),
        _Known("enhancement_source", "Enhanced by", "enhancement_model"),
        _Known("system_prompt_used", "System prompt used"),
        _Known("template_name", "Template"),
        _Known("scene_id", "Scene"),
        _Known("scene_template_name", "Scene template"),
        _Known("original_scene_prompt", "Scene prompt"),
        _Known("num_characters", "Characters"),
        _Known("styles", "Styles", "style style_preset"),
        _Known("generator", "Generator", "software app app_version version"),
        _Known("request_id", "Request", "", "request_id task_id prediction_id"),
        _Known("worker_id", "Worker", "", "worker_id worker"),
    ),
}

_KNOWN = {known.name: (group, known) for group, members in _GROUPS.items() for known in members}
RANKS = {name: rank for rank, name in enumerate(_KNOWN)}  # in the order of a page; what is unknown is last
_REPORTED = {key: known.name for _, known in _KNOWN.values() for key in known.reported.split()}
_ASKED = {key: known.name for _, known in _KNOWN.values() for key in (known.name, *known.aliases.split())}


def folded(key: str) -> str:
    """guidanceScale, guidance_scale and Guidance scale are one word."""
    return re.sub(r"[ _-]", "", key).lower() if key.isascii() else key


def _camel(key: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), key)


# Each folded key to its parameter's name, and to how much its word counts: what was asked comes first.
_MEANING = {
    folded(key): (name, rank) for rank, (key, name) in enumerate([*_ASKED.items(), *_REPORTED.items()])
}

# Raw keys that say what came of it rather than what was asked for.
MEASURED = frozenset(spelling for key in _REPORTED for spelling in (key, _camel(key)))
# Siblings of a job differ in these, though they were asked for in the same way.
NOT_ASKED = sorted(MEASURED | {"seed"})


def parameters(settings: Any) -> list[Parameter]:
    """Known ones first, group by group; then every other key, in its order. Only an object has any."""
    if not isinstance(settings, dict):
        return []
    said: dict[str, list[tuple[int, str]]] = {}
    others = []
    for key in settings:
        if meaning := _MEANING.get(folded(key)):
            said.setdefault(meaning[0], []).append((meaning[1], key))
        else:
            others.append(Parameter(path_text([key]), key, OTHER, (key,), settings[key], (settings[key],)))
    return [*_known(settings, said), *others]


def _known(settings: dict[str, Any], said: dict[str, list[tuple[int, str]]]) -> Iterator[Parameter]:
    for name, (group, known) in _KNOWN.items():
        if name in said:
            keys = tuple(key for _, key in sorted(said[name]))
            values = tuple(settings[key] for key in keys)
            value = next((value for value in values if value is not None), None)
            yield Parameter(name, known.label, group, keys, value, values)
