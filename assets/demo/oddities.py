"""What product databases hold besides ordinary rows; each of these is one asset of the demo, or a few."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from assets.demo.prompts import HOSTILE, LONG
from assets.demo.rows import Plan, made_id
from assets.demo.studio import Note, Reel
from assets.models import WorkspaceAsset
from assets.storage import WORKSPACE_BUCKET

GONE_USER, GONE_JOB = made_id("a user who is gone"), made_id("a job that is gone")
ORPHAN_KEY = f"{made_id('user 0')}/without-a-row.txt"

Oddity = Callable[[Plan, WorkspaceAsset], None]


def add_oddities(plan: Plan) -> None:
    pictures = _last_of_each_job(plan)
    for oddity in ODDITIES:
        oddity(plan, next(pictures))
    with_thumbnail = [asset for asset in plan.clips() if asset.thumbnail_path]
    with_thumbnail[0].thumbnail_path = None  # though the thumbnail is there
    _film_poster_as(plan, with_thumbnail[1], "jpg")  # under a name that says WebP
    plan.orders.append(Note(ORPHAN_KEY, "No row names this file.\n"))


def _last_of_each_job(plan: Plan) -> Iterator[WorkspaceAsset]:
    """One picture of each job that has others."""
    by_job: dict[UUID, list[WorkspaceAsset]] = {}
    for asset in plan.pictures():
        by_job.setdefault(asset.job_id, []).append(asset)
    return iter([assets[-1] for assets in by_job.values() if len(assets) > 1])


def _film_poster_as(plan: Plan, clip: WorkspaceAsset, kind: str) -> None:
    for position, order in enumerate(plan.orders):
        if isinstance(order, Reel) and order.key == plan.keys[clip.id]:
            plan.orders[position] = replace(order, poster_format=kind)


# --- Of rows ---------------------------------------------------------------------


def with_values(**values: Any) -> Oddity:
    def change(plan: Plan, asset: WorkspaceAsset) -> None:
        for name, value in values.items():
            setattr(asset, name, value)

    return change


def already_expired(plan: Plan, asset: WorkspaceAsset) -> None:
    asset.created_at, asset.expires_at = plan.now - timedelta(days=9), plan.now - timedelta(days=2)


def not_safe_for_work(plan: Plan, asset: WorkspaceAsset) -> None:
    asset.generation_settings = {"content_mode": "nsfw", "model_key": asset.model_used, "provider": "fal"}


def wrong_mime(plan: Plan, asset: WorkspaceAsset) -> None:
    plan.draw_as(asset, format="jpg")
    asset.mime_type = "image/png"


# --- Of paths and files ------------------------------------------------------------


def prefixed_path(plan: Plan, asset: WorkspaceAsset) -> None:
    asset.temp_storage_path = f"{WORKSPACE_BUCKET}/{asset.temp_storage_path}"


def full_url(plan: Plan, asset: WorkspaceAsset) -> None:
    path = f"/storage/v1/object/sign/{WORKSPACE_BUCKET}/{asset.temp_storage_path}"
    asset.temp_storage_path = f"https://product.example.com{path}?token=demo"


def missing_file(plan: Plan, asset: WorkspaceAsset) -> None:
    asset.temp_storage_path = f"{asset.user_id}/{asset.job_id}/gone.png"


def cut_short(plan: Plan, asset: WorkspaceAsset) -> None:
    plan.draw_as(asset, share=0.4)


def not_a_picture(plan: Plan, asset: WorkspaceAsset) -> None:
    key = f"{asset.user_id}/{asset.job_id}/page.png"
    plan.orders.append(Note(key, "<!doctype html><title>Not a picture</title><script>alert(1)</script>\n"))
    plan.keys[asset.id] = asset.temp_storage_path = key


def on_the_file_of_another(plan: Plan, asset: WorkspaceAsset) -> None:
    other = next(one for one in plan.pictures() if one.job_id == asset.job_id)
    plan.keys[asset.id] = asset.temp_storage_path = plan.keys[other.id]


ODDITIES: list[Oddity] = [
    with_values(file_size_bytes=0),
    with_values(width=None, height=None),
    with_values(job_id=GONE_JOB),
    with_values(user_id=GONE_USER),
    with_values(expires_at=None),
    with_values(created_at=None),
    with_values(created_at=None, expires_at=None),
    already_expired,
    with_values(generation_settings=None),
    with_values(generation_settings={}),
    with_values(generation_settings=[{"steps": 30}, "sdxl"]),
    with_values(generation_settings="steps: 30"),
    with_values(generation_seed=0),
    not_safe_for_work,
    not_safe_for_work,
    wrong_mime,
    prefixed_path,
    full_url,
    missing_file,
    with_values(temp_storage_path=""),
    with_values(temp_storage_path="../../etc/passwd"),
    cut_short,
    not_a_picture,
    on_the_file_of_another,
    with_values(original_prompt=LONG),
    with_values(original_prompt=HOSTILE),
]
