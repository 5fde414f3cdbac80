"""Sessions in the database, read by a statement that is written once."""

from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.utils import timezone

# Written out, since the ORM takes longer to write it than the database to answer.
_SESSION = "SELECT * FROM django_session WHERE session_key = %s AND expire_date > %s"


class SessionStore(db.SessionStore):
    def _get_session_from_db(self) -> Session | None:
        found = next(iter(Session.objects.raw(_SESSION, [self.session_key, timezone.now()])), None)
        if found is None:
            self._session_key = None
        return found
