"""The generation settings as each program that makes assets writes them."""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

Settings = dict[str, Any]


class Made(NamedTuple):
    """What a writer knows of the asset."""

    model: str
    prompt: str
    seed: int
    width: int
    height: int
    frames: int  # 0 for a picture
    format: str
    template: str | None
    scene: str


def image_worker(rng: Random, made: Made) -> Settings:
    steps, guidance = rng.choice([20, 25, 30, 35, 50]), rng.choice([3.5, 5, 6.5, 7, 7.5, 9])
    return {
        **_shared(rng, made),
        **_reference(rng),
        "steps": steps,
        "guidance_scale": guidance,
        "worker_reported_steps": steps,
        "worker_reported_guidance_scale": guidance,
        "batch_size": rng.choice([1, 3, 6]),
        "vram_used": round(rng.uniform(9, 22), 2),
        "width": made.width,
        "height": made.height,
    }


def video_worker(rng: Random, made: Made) -> Settings:
    return {
        **_shared(rng, made),
        **_reference(rng),
        "frame_num": made.frames,
        "guidance_scale": rng.choice([5, 6.5]),
        "worker_reported_steps": rng.choice([25, 50, None]),
        "worker_reported_guidance_scale": None,
        "vram_used": f"{rng.uniform(18, 44):.1f} GB",
    }


def _shared(rng: Random, made: Made) -> Settings:
    return {
        "quality": rng.choice(["fast", "high"]),
        "format": made.format,
        "enhanced_prompt": f"{made.prompt}, finely detailed, balanced light" if rng.random() < 0.6 else None,
        "enhancement_source": rng.choice(["qwen_base", "qwen_instruct", None]),
        "system_prompt_used": rng.random() < 0.4,
        "template_name": made.template,
        "processing_time": round(rng.uniform(3, 190), 2),
    }


def _reference(rng: Random) -> Settings:
    if rng.random() < 0.7:
        return {"reference_image_url": None, "reference_strength": None, "exact_copy_mode": False}
    strength = rng.choice([0.35, 0.5, 0.75, 0.9])
    return {
        "reference_image_url": f"https://files.example.com/references/{rng.getrandbits(32):08x}.png",
        "reference_strength": strength,
        "reference_mode": rng.choice(["style", "composition", "character"]),
        "exact_copy_mode": rng.random() < 0.2,
        "denoise_strength": round(1 - strength, 2),
    }


def provider(rng: Random, made: Made) -> Settings:
    settings = {
        "model_key": made.model,
        "provider": rng.choice(["fal", "replicate"]),
        "content_mode": "sfw",
        "generation_mode": rng.choice(
            ["txt2vid", "i2v", "extend"] if made.frames else ["txt2img", "img2img"]
        ),
        "seed": made.seed,
        "scene_id": f"scene-{rng.getrandbits(40):010x}",
        "scene_template_name": made.scene,
        "original_scene_prompt": made.prompt.split(",")[0],
        "num_characters": 0,
        "loras": [{"path": "film-grain", "scale": 0.4}] if rng.random() < 0.3 else [],
    }
    if settings["generation_mode"] == "extend":
        settings["source_video_url"] = f"https://files.example.com/clips/{rng.getrandbits(32):08x}.mp4"
        settings["conditioning_settings"] = {"start_frame_num": 0, "max_num_frames": made.frames}
    return settings


def brief(rng: Random, made: Made) -> Settings:
    return {"model_type": made.model, "quality": rng.choice(["fast", "high"]), "provider": "fal"}


Writer = Callable[[Random, Made], Settings]


def writer_for(rng: Random, model: str, video: bool) -> Writer:
    if rng.random() < 0.08:
        return brief
    if "/" in model or model.lower() in ("flux", "kling-v1"):
        return provider
    return video_worker if video else image_worker
