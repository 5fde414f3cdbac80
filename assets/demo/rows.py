"""The rows of the demo, as the product would have written them, and the orders for their files."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import cycle
from random import Random
from typing import Any
from uuid import UUID, uuid5

from assets.demo.art import COMPOSITIONS, Motif
from assets.demo.inscriptions import inscription
from assets.demo.palettes import PALETTES
from assets.demo.prompts import prompt_for
from assets.demo.studio import Order, Reel, Series, Still
from assets.demo.video import Take
from assets.demo.writers import Made, writer_for
from assets.models import Job, Profile, WorkspaceAsset
from assets.models.upstream import ASSET_LIFETIME

# ruff: noqa: S311  (what is drawn must be the same every time, not unpredictable)

NAMESPACE = UUID("5b0b8f3e-6d0c-4c55-9a55-2f6f1f6c7f10")

NAMES = (
    "mira.okafor", "jonas_weber", "aiko.t", "ravi", "lucia.fern", "tomasz-k", "noor", "emil.hansen",
    "petra_novak", "samuel.o", "yuki", None,
)  # fmt: skip
OWNER_WEIGHTS = (30, 22, 14, 9, 7, 5, 4, 3, 2, 2, 1, 1)
IMAGE_MODELS = {
    "sdxl": 44,
    "rv51": 20,
    "flux": 18,
    "SDXL": 3,
    "fal-ai/flux-pro": 6,
    "sd35-large": 3,
    "playground-v3": 1,
}
VIDEO_MODELS = {"wan": 50, "fal-ai/wan-i2v": 28, "kling-v1": 8, "ltx-video": 5, "Wan": 2}
SHAPES = ((576, 576), (640, 426), (426, 640), (640, 360), (360, 640), (512, 512), (512, 512), (768, 432))
CLIP_SHAPES = (
    (320, 320),
    (384, 224),
    (224, 384),
    (384, 256),
    (320, 256),
)  # an encoder wants rows of 32 bytes
FORMATS = ("png", "jpg", "webp", "jpg", "jpg")
MIMES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "mp4": "video/mp4",
    "webm": "video/webm",
}
TEMPLATES = (None, None, "Cinematic still", "Wallpaper", "Texture study", "Poster")
SIZES = (1, 2, 2, 3, 3, 3, 4, 4, 5, 6)  # assets of a job of pictures

PICTURE_JOBS, CLIP_JOBS, OTHER_JOBS = 190, 44, 6
FRAME_RATE = 12


@dataclass
class Plan:
    """All that the demo writes; sizes of files are filled in when they are made."""

    now: datetime
    profiles: list[Profile] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    assets: list[WorkspaceAsset] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    keys: dict[UUID, str] = field(default_factory=dict)  # of the file of each asset

    def pictures(self) -> Iterator[WorkspaceAsset]:
        return (asset for asset in self.assets if asset.asset_type == WorkspaceAsset.Type.IMAGE)

    def clips(self) -> Iterator[WorkspaceAsset]:
        return (asset for asset in self.assets if asset.asset_type == WorkspaceAsset.Type.VIDEO)

    def draw_as(self, asset: WorkspaceAsset, **changes: Any) -> None:
        """Orders the picture of one asset otherwise."""
        key = self.keys[asset.id]
        for position, order in enumerate(self.orders):
            if isinstance(order, Series) and key in order.keys:
                stills = (replace(still, **changes) if still.key == key else still for still in order.stills)
                self.orders[position] = replace(order, stills=tuple(stills))


def made_id(label: str) -> UUID:
    return uuid5(NAMESPACE, label)


def plan(now: datetime, scale: float = 1) -> Plan:
    """The whole demo as of `now`; a smaller scale has fewer jobs of each kind."""
    made = Plan(now)
    rng = Random("demo")
    made.profiles = [
        Profile(
            id=made_id(f"user {number}"),
            username=name,
            subscription_status=rng.choice(["free", "premium", "trial"]),
            token_balance=rng.randrange(2000),
            created_at=now - timedelta(days=rng.randrange(30, 900)),
            updated_at=now - timedelta(days=rng.randrange(30)),
            age_verified=rng.random() < 0.8,
        )
        for number, name in enumerate(NAMES)
    ]
    looks = _looks(rng)
    for number in range(round(PICTURE_JOBS * scale)):
        _add_pictures(made, Random(f"pictures {number}"), f"pictures {number}", *next(looks))
    for number in range(round(CLIP_JOBS * scale)):
        _add_clips(made, Random(f"clips {number}"), f"clips {number}", *next(looks))
    for number in range(round(OTHER_JOBS * scale)):
        _add_job(
            made, Random(f"other {number}"), f"other {number}", rng.choice(["failed", "processing", "queued"])
        )
    return made


def _looks(rng: Random) -> Iterator[tuple[str, str]]:
    """Compositions and palettes in an order that puts unlike ones side by side."""
    compositions, palettes = list(COMPOSITIONS), list(PALETTES)
    rng.shuffle(compositions)
    rng.shuffle(palettes)
    for number, composition in enumerate(cycle(compositions)):
        yield composition, palettes[(number * 5 + number // len(compositions)) % len(palettes)]


def _add_job(made: Plan, rng: Random, label: str, status: str = "completed", prompt: str = "") -> Job:
    created_at = made.now - _age(rng)
    ended = status in ("completed", "failed")
    job = Job(
        id=made_id(f"job {label}"),
        user=rng.choices(made.profiles, OWNER_WEIGHTS)[0],
        job_type="video" if label.startswith("clips") else "image",
        status=status,
        error_message="The worker ran out of memory" if status == "failed" else None,
        attempts=1 if status == "completed" else rng.randrange(4),
        metadata={"source": rng.choice(["web", "mobile", "api"]), "batch": rng.random() < 0.3},
        created_at=created_at,
        started_at=None if status == "queued" else created_at + timedelta(seconds=2),
        completed_at=created_at + timedelta(seconds=rng.randrange(5, 90)) if ended else None,
        quality=rng.choice(["fast", "high"]),
        original_prompt=prompt or "a picture that was never finished",
        enhanced_prompt=f"{prompt}, finely detailed" if prompt and rng.random() < 0.5 else None,
        moderation_status=rng.choice(["approved", "approved", "pending", None]),
        destination=rng.choice(["workspace", "workspace", "library"]),
        template_name=rng.choice(TEMPLATES),
    )
    made.jobs.append(job)
    return job


def _age(rng: Random) -> timedelta:
    """Mostly spread over the week; some on their last day, a few in their last hour, a few overdue."""
    draw = rng.random()
    if draw < 0.04:
        return ASSET_LIFETIME - timedelta(minutes=rng.uniform(3, 58))
    if draw < 0.16:
        return ASSET_LIFETIME - timedelta(hours=rng.uniform(1, 24))
    if draw < 0.20:
        return ASSET_LIFETIME + timedelta(hours=rng.uniform(0.2, 30))
    return timedelta(hours=rng.uniform(0.05, 144))


def _add_pictures(made: Plan, rng: Random, label: str, composition: str, palette: str) -> None:
    prompt = prompt_for(rng, composition, palette, video=False)
    job = _add_job(made, rng, label, prompt=prompt)
    width, height = rng.choice(SHAPES)
    kind = rng.choice(FORMATS)
    job.format, job.model_type = kind, _weighted(rng, IMAGE_MODELS)
    stills = []
    for index in range(rng.choice(SIZES)):
        asset = _asset(rng, job, index, kind, width, height, frames=0)
        key = f"{job.user_id}/{job.id}/{index}.{kind}"
        if kind == "jpg" and rng.random() < 0.5:
            key = f"{job.user_id}/{asset.id}.jpeg"
        _place(made, asset, key)
        stills.append(Still(key, kind, texts=inscription(asset) if kind == "png" else ()))
    made.orders.append(Series(Motif(composition, palette, rng.getrandbits(30), width, height), tuple(stills)))


def _add_clips(made: Plan, rng: Random, label: str, composition: str, palette: str) -> None:
    prompt = prompt_for(rng, composition, palette, video=True)
    job = _add_job(made, rng, label, prompt=prompt)
    width, height = rng.choice(CLIP_SHAPES)
    kind = rng.choice(["mp4", "mp4", "webm"])
    job.format, job.model_type = kind, _weighted(rng, VIDEO_MODELS)
    for index in range(rng.choice([1, 1, 2])):
        length = min(rng.randrange(FRAME_RATE, 6 * FRAME_RATE + 1) for _ in range(2))  # short ones are more
        take = Take(FRAME_RATE, length, kind)
        asset = _asset(rng, job, index, kind, width, height, take.length)
        asset.duration_seconds = round(Decimal(take.length) / FRAME_RATE, 3)
        key = f"{job.user_id}/{job.id}_{1_760_000_000_000 + rng.randrange(10**9)}.{kind}"
        _place(made, asset, key)
        motif = Motif(composition, palette, rng.getrandbits(30), width, height)
        poster_key = f"{key.rsplit('.', 1)[0]}.thumb.webp" if rng.random() < 0.6 else ""
        asset.thumbnail_path = poster_key or None
        made.orders.append(Reel(motif, take, key, poster_key))


def _place(made: Plan, asset: WorkspaceAsset, key: str) -> None:
    asset.temp_storage_path = key
    made.keys[asset.id] = key
    made.assets.append(asset)


def _asset(
    rng: Random, job: Job, index: int, kind: str, width: int, height: int, frames: int
) -> WorkspaceAsset:
    seed = rng.getrandbits(32)
    facts = Made(
        job.model_type or "", job.original_prompt or "", seed, width, height, frames, kind, job.template_name,
        scene=job.template_name or "Open scene",
    )  # fmt: skip
    return WorkspaceAsset(
        id=made_id(f"asset {job.id} {index}"),
        user=job.user,
        job=job,
        asset_type="video" if frames else "image",
        mime_type=MIMES[kind],
        asset_index=index,
        generation_seed=seed,
        original_prompt=job.original_prompt,
        model_used=job.model_type,
        generation_settings=writer_for(rng, job.model_type or "", bool(frames))(rng, facts),
        created_at=job.completed_at,
        expires_at=job.completed_at + ASSET_LIFETIME if job.completed_at else None,
        width=width,
        height=height,
    )


def _weighted(rng: Random, weights: dict[str, int]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]
