"""Sessions in the database, read by a statement that is planned once."""

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.utils import timezone

from assets.prepared import instances

_SESSION = """SELECT session_key, session_data, expire_date FROM django_session
    WHERE session_key = %s AND expire_date > %s"""


class SessionStore(db.SessionStore):
    def _get_session_from_db(self) -> Session | None:
        found = instances(Session.objects, _SESSION, [self.session_key, timezone.now()])
        if not found:
            self._session_key = None
        return next(iter(found), None)
