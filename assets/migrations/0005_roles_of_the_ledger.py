from importlib import import_module

from django.db import migrations

VIEW = ["view_disposition", "view_operation"]
ROLES = {"Staff": VIEW, "Reviewers": VIEW, "Admins": [*VIEW, "restore_disposition"]}


def widen_roles(apps, schema_editor):
    import_module("assets.migrations.0002_roles").grant(apps, schema_editor.connection.alias, ROLES)


class Migration(migrations.Migration):
    dependencies = [("assets", "0004_departure_trigger")]
    operations = [migrations.RunPython(widen_roles, migrations.RunPython.noop)]
