"""What generators write into the pictures of the demo: mostly what the row says, sometimes something else."""

import json
from random import Random
from typing import Any

from assets.models import WorkspaceAsset

Texts = tuple[tuple[str, str], ...]

# ruff: noqa: S311  (what is drawn must be the same every time, not unpredictable)


def inscription(asset: WorkspaceAsset) -> Texts:
    settings, rng = asset.generation_settings, Random(f"inscription {asset.id}")
    if "steps" in settings:
        return (("parameters", web_ui(asset, settings, rng)),)
    if "scene_id" in settings:
        return tuple((name, json.dumps(value)) for name, value in graph(asset, rng).items())
    return ()


def web_ui(asset: WorkspaceAsset, settings: dict[str, Any], rng: Random) -> str:
    changed = rng.random() < 0.25  # somebody has edited the row, or made the picture again
    values = {
        "Steps": settings["steps"] + 5 * changed,
        "Sampler": rng.choice(["DPM++ 2M", "Euler a", "UniPC"]),
        "CFG scale": settings["guidance_scale"],
        "Seed": asset.generation_seed + changed,
        "Size": f"{asset.width}x{asset.height}",
        "Model": asset.model_used,
    }
    line = ", ".join(f"{name}: {value}" for name, value in values.items())
    return f"{asset.original_prompt}\nNegative prompt: blurry, watermark, lettering\n{line}"


def graph(asset: WorkspaceAsset, rng: Random) -> dict[str, Any]:
    sampler = {
        "seed": asset.generation_seed, "steps": rng.choice([20, 28]), "cfg": 3.5, "sampler_name": "euler",
        "scheduler": "simple", "denoise": 1, "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0],
        "latent_image": ["4", 0],
    }  # fmt: skip
    nodes = {
        "1": ("CheckpointLoaderSimple", {"ckpt_name": f"{asset.model_used}.safetensors"}),
        "2": ("CLIPTextEncode", {"text": asset.original_prompt, "clip": ["1", 1]}),
        "3": ("CLIPTextEncode", {"text": "blurry, watermark", "clip": ["1", 1]}),
        "4": ("EmptyLatentImage", {"width": asset.width, "height": asset.height, "batch_size": 1}),
        "5": ("KSampler", sampler),
    }
    prompt = {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in nodes.items()}
    return {"prompt": prompt, "workflow": {"nodes": [], "links": [], "version": 0.4}}
