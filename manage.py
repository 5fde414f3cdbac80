#!/usr/bin/env python
"""The command line: `manage.py help` lists what it can do."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "workspace.settings")
    from django.core.exceptions import ImproperlyConfigured, PermissionDenied
    from django.core.management import execute_from_command_line
    from django.db import DatabaseError

    from workspace.refusals import in_words

    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, PermissionDenied, DatabaseError) as error:
        reason = in_words(error)
        if "--traceback" in sys.argv or not reason:
            raise
        sys.exit(reason)


if __name__ == "__main__":
    main()
