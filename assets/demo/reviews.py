"""Verdicts on some assets of the demo, by its people."""

from django.contrib.auth.models import User

from assets import reviews
from assets.demo.rows import Plan
from assets.models import Review, Verdict

FOUND = (
    ("reviewer", Verdict.APPROVED, "Good light, and the horizon is straight.", slice(0, 2)),
    ("reviewer", Verdict.FLAGGED, "A seam runs down the middle.", slice(4, 5)),
    ("admin", Verdict.APPROVED, "", slice(5, 9)),
    ("reviewer", Verdict.FLAGGED, "Too close to the reference:\nask before it is used.", slice(12, 14)),
    ("admin", Verdict.APPROVED, "The owner of the reference agrees.", slice(13, 14)),
    ("reviewer", Verdict.APPROVED, "For the campaign.", slice(20, 24)),
    ("reviewer", Verdict.FLAGGED, "Not what was asked for.", slice(200, 203)),
)


def add_reviews(made: Plan) -> None:
    """Once, and before anything leaves: what people have found since stays."""
    if Review.objects.exists():
        return
    ids = [asset.id for asset in made.assets]
    for name, verdict, note, chosen in FOUND:
        reviewer = User.objects.get(username=name)
        reviews.review(ids[chosen], verdict=verdict, note=note, reviewer=reviewer)
