"""Assets of the demo that have been saved and deleted, so that those pages have something to show."""

from django.contrib.auth.models import User

from assets import dispositions
from assets.demo.rows import Plan
from assets.models import Disposition
from assets.saving import Labels

SAVED = (
    (Labels("Harbour, first light", ["harbour", "campaign-7"]), slice(20, 24)),
    (Labels(None, ["reference"]), slice(60, 66)),
    (Labels("Poster", ["print"]), slice(120, 123)),
)
DELETED = slice(200, 212)


def add_departures(made: Plan, actor: User) -> None:
    """Once: what people have done since stays done."""
    if Disposition.objects.exists():
        return
    ids = [asset.id for asset in made.assets]
    for labels, chosen in SAVED:
        dispositions.promote(ids[chosen], actor=actor, labels=labels)
    dispositions.delete(ids[DELETED], actor=actor)
