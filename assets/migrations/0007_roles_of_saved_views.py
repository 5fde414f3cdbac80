from importlib import import_module

from django.db import migrations

ROLES = {"Admins": ["delete_savedview"]}  # those that others share


def widen_roles(apps, schema_editor):
    import_module("assets.migrations.0002_roles").grant(apps, schema_editor.connection.alias, ROLES)


class Migration(migrations.Migration):
    dependencies = [("assets", "0006_reviews_and_saved_views")]
    operations = [migrations.RunPython(widen_roles, migrations.RunPython.noop)]
