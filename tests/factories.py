"""Rows as the product writes them, with only what a test is about spelt out."""

from datetime import timedelta
from uuid import UUID, uuid4

from django.db import connection
from django.utils import timezone

from assets.models import Job, Profile, WorkspaceAsset


def make_user(name=None):
    return Profile.objects.create(id=uuid4(), username=name or f"user-{uuid4().hex[:8]}")


def make_job(user=None, **values):
    return Job.objects.create(
        **({"id": uuid4(), "user": user or make_user(), "job_type": "txt2img"} | values)
    )


def make_asset(user=None, job=None, *, ago=None, expires_in=None, **values):
    """An asset created some time ago that expires after some time; by default now and in 7 days."""
    return make_assets(1, user, job, ago=ago, expires_in=expires_in, **values)[0]


def make_assets(number, user=None, job=None, *, ago=None, expires_in=None, **values):
    user = user or make_user()
    job = job or make_job(user)
    now = timezone.now()
    created_at = now - (ago or timedelta(0))
    expires_at = now + expires_in if expires_in is not None else created_at + timedelta(days=7)
    first = WorkspaceAsset.objects.filter(job=job).count()
    defaults = {
        "user": user,
        "job": job,
        "asset_type": "image",
        "temp_storage_path": f"{user.pk}/{job.pk}/0.png",
        "file_size_bytes": 1_000,
        "mime_type": "image/png",
        "generation_seed": 7,
        "original_prompt": "a red fox in the snow",
        "model_used": "sdxl",
        "generation_settings": {"steps": 30},
        "created_at": created_at,
        "expires_at": expires_at,
    }
    return WorkspaceAsset.objects.bulk_create(
        WorkspaceAsset(**({"id": uuid4(), "asset_index": first + index} | defaults | values))
        for index in range(number)
    )


def unenforce_keys():
    """Lets rows name users and jobs that are gone, as product databases do, until the test ends."""
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, "workspace_assets")
        for name, constraint in constraints.items():
            if constraint["foreign_key"]:
                cursor.execute(f'ALTER TABLE workspace_assets DROP CONSTRAINT "{name}"')


GONE = UUID("00000000-0000-4000-8000-00000000dead")
