"""Which values the settings of assets are known to have, as the worker found them.

No index answers `scene_id>2000`, but one does answer which assets have a value that is named: so the values
that are known name them. A key whose values are too many, too long or lists is not listed.
"""

from django.db import models
from django.db.models.functions import Now


class KnownSettings(models.Model):
    """How far the worker has looked: one row."""

    ONLY = 1

    id = models.SmallIntegerField(primary_key=True, default=ONLY)
    until = models.DateTimeField(db_default=Now())  # of what was created before, all is known but for what…
    pass_started_at = models.DateTimeField(db_default=Now())  # …was written with an older date since then
    pass_at = models.DateTimeField(null=True)  # how far the pass over all assets is
    complete_at = models.DateTimeField(null=True)  # when the last pass that ended was started
    has_other_keys = models.BooleanField(default=False)  # than are kept

    def __str__(self) -> str:
        return f"known until {self.until}"


class SettingKey(models.Model):
    """A key of settings; those within an object belong to the outermost."""

    key = models.TextField(primary_key=True)
    is_listed = models.BooleanField()  # whether all of its values are

    def __str__(self) -> str:
        return self.key


class SettingValue(models.Model):
    """One value, as settings that have nothing else: `{"steps": 30}`."""

    settings = models.JSONField(unique=True)
    key = models.TextField()
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            # The values of one key.
            models.Index(fields=["key"], name="settingvalue_key"),
        ]

    def __str__(self) -> str:
        return str(self.settings)
