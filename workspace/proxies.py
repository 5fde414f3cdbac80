"""Who asks, where proxies stand in front of the dashboard."""

from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Whom the outermost of our proxies saw: each adds its own client to what it was told, true or not."""
    nearest = request.META.get("REMOTE_ADDR", "")
    told = [*request.META.get("HTTP_X_FORWARDED_FOR", "").split(","), nearest]
    try:
        # Without the zone of a link, which may be any text, and the database takes none.
        return str(ip_address(told[-1 - settings.TRUSTED_PROXIES].strip().partition("%")[0]))
    except (IndexError, ValueError):
        return nearest
