"""Rows of a busy product, of a seed, so that anybody measures the same.

Skewed users and models, three or four assets to a job, a tenth of them videos, prompts of 8 to 60 words,
a dozen settings.
"""

import random
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple
from uuid import UUID

from assets.models.upstream import ASSET_LIFETIME

# ruff: noqa: S311  (the same for everybody is what is wanted)

USERS = 20_000
ASSETS_OF_A_JOB = 3.5  # on average
VIDEOS = 0.1
MODELS = (
    "sdxl", "flux", "wan", "rv51", "fal-ai/wan-i2v", "sd15", "pony", "qwen-image", "hidream", "kolors",
    "fal-ai/flux-pro", "cogvideox",
)  # fmt: skip
RARE_MODELS = ("flux-ultra-preview", "wan-2.2-nightly", "sdxl-lora-test")
RARELY = 20_000  # a rare model once in so many rows
# Words that are searched for, and how many prompts have them.
COMMON, MEDIUM, RARE, ABSENT = "portrait", "lighthouse", "zeppelin", "quokka"
_WORD_SHARES = {COMMON: 0.2, MEDIUM: 0.005, RARE: 0.00002}
RARE_STEPS, RARE_SCENE = 137, 2_000  # settings of a few alone: just that, and more than that
_RARE_SETTING = 0.00001

_MODEL_WEIGHTS = list(accumulate(0.5**rank + 0.01 for rank in range(len(MODELS))))
_STEPS = (20, 25, 28, 30, 30, 30, 35, 40, 50)
_SIZES = ("1024\t1024", "832\t1216", "1216\t832", "768\t768")
_SYLLABLES = (
    "ba", "co", "di", "fen", "gor", "hul", "ki", "lo", "mar", "ne", "pra", "qui", "ros", "su", "tel",
)  # fmt: skip


class Batch(NamedTuple):
    """So many assets of a span of time, which no other batch shares."""

    number: int
    assets: int
    start: datetime
    length: timedelta


JOB_COLUMNS = "id, user_id, status, created_at, original_prompt"
ASSET_COLUMNS = (
    "id, user_id, asset_type, temp_storage_path, file_size_bytes, mime_type, duration_seconds, job_id,"
    " asset_index, generation_seed, original_prompt, model_used, generation_settings, created_at, expires_at,"
    " width, height"
)


@lru_cache
def user_ids() -> list[str]:
    """The earlier, the busier."""
    source = random.Random("users")
    return [str(UUID(int=source.getrandbits(128), version=4)) for _ in range(USERS)]


@lru_cache
def _phrases() -> list[str]:
    """Of four to fifteen words, which are as unevenly frequent as in a language."""
    source = random.Random("phrases")
    words = [f"{a}{b}{c}" for a in _SYLLABLES for b in _SYLLABLES for c in ("", *_SYLLABLES)]
    source.shuffle(words)
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    lengths = [source.randint(4, 15) for _ in range(40_000)]
    return [" ".join(source.choices(words, cum_weights=weights, k=length)) for length in lengths]


def rows_of(batch: Batch) -> tuple[list[str], list[str]]:
    """Its jobs and its assets, as lines for COPY."""
    source = random.Random(batch.number)
    jobs: list[str] = []
    assets: list[str] = []
    while len(assets) < batch.assets:
        created = batch.start + batch.length * len(assets) / batch.assets
        most = batch.assets - len(assets)
        job, its_assets = _job(source, created, min(most, 3 + (source.random() < 0.5)))
        jobs.append(job)
        assets += its_assets
    return jobs, assets


def _job(source: random.Random, created: datetime, assets: int) -> tuple[str, list[str]]:
    user = user_ids()[int(USERS * source.random() ** 3)]
    job = f"{source.getrandbits(128):032x}"
    prompt, model = _prompt(source), _model(source)
    is_video = source.random() < VIDEOS
    settings = _settings(source, model, is_video)
    lines = []
    for index in range(assets):
        at = created + timedelta(seconds=index * 2 + source.random())
        file = _file(source, f"{user}/{job}/{index}", is_video)
        lines.append(
            f"{source.getrandbits(128):032x}\t{user}\t{file}\t{job}\t{index}\t{source.getrandbits(32)}"
            f'\t{prompt}\t{model}\t{settings}, "processing_time": {source.random() * 60:.2f}}}'
            f"\t{at}\t{at + ASSET_LIFETIME}\t{source.choice(_SIZES)}\n"
        )
    return f"{job}\t{user}\tcompleted\t{created}\t{prompt}\n", lines


def _prompt(source: random.Random) -> str:
    parts = [source.choice(_phrases()) for _ in range(2 + int(source.random() * 3))]
    parts += [word for word, share in _WORD_SHARES.items() if source.random() < share]
    return ", ".join(parts)


def _model(source: random.Random) -> str:
    if source.random() * RARELY < 1:
        return source.choice(RARE_MODELS)
    return source.choices(MODELS, cum_weights=_MODEL_WEIGHTS)[0]


def _file(source: random.Random, path: str, is_video: bool) -> str:
    if is_video:
        size, seconds = 5_000_000 + source.getrandbits(24), source.choice((3, 5, 8))
        return f"video\t{path}.mp4\t{size}\tvideo/mp4\t{seconds}"
    return f"image\t{path}.png\t{400_000 + source.getrandbits(21)}\timage/png\t\\N"


def _settings(source: random.Random, model: str, is_video: bool) -> str:
    """JSON, but for its end."""
    rand, choice = source.random, source.choice
    steps = RARE_STEPS if rand() < _RARE_SETTING else choice(_STEPS)
    text = (
        f'{{"steps": {steps}, "guidance_scale": {1 + int(rand() * 24) / 2},'
        f' "quality": "{choice(("fast", "high"))}",'
        f' "format": "{"mp4" if is_video else "png"}", "provider": "{choice(("local", "local", "fal"))}",'
        f' "content_mode": "{"nsfw" if rand() < 0.2 else "sfw"}", "batch_size": {choice((1, 3, 4))},'
        f' "generation_mode": "{"i2v" if is_video else choice(("txt2img", "txt2img", "img2img"))}",'
        f' "model_key": "{model}", "worker_reported_steps": {steps}'
    )
    if rand() < 0.2:
        is_rare = rand() < 10 * _RARE_SETTING
        scene = RARE_SCENE + 1 + int(rand() * 5) if is_rare else int(rand() * RARE_SCENE)
        text += f', "scene_id": {scene}'
    if is_video:
        text += f', "conditioning_settings": {{"start_frame_num": {int(rand() * 9)}, "max_num_frames": 81}}'
    return text
