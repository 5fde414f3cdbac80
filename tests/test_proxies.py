"""Whose word counts about who asks, and over what: only that of proxies that are declared."""

import pytest
from axes.models import AccessAttempt

from workspace.proxies import client_address

pytestmark = pytest.mark.django_db

OURS = "10.0.0.5"  # the proxy before the dashboard


@pytest.mark.parametrize(
    ("proxies", "told", "address"),
    [
        (0, "203.0.113.9", OURS),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (2, "198.51.100.1, 203.0.113.9, 10.0.0.4", "203.0.113.9"),
        (1, "2001:db8::7", "2001:db8::7"),
        (1, "fe80::7%<eth0>", "fe80::7"),
        (1, "not an address", OURS),
        (1, "", OURS),
        (3, "203.0.113.9", OURS),
    ],
)
def test_the_address_is_what_the_outermost_of_our_proxies_saw(rf, settings, proxies, told, address):
    settings.TRUSTED_PROXIES = proxies
    request = rf.get("/", headers={"X-Forwarded-For": told}, REMOTE_ADDR=OURS)
    assert client_address(request) == address


def test_without_a_proxy_its_headers_change_nothing(client, staff):
    claims = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "elsewhere.example"}
    for number in range(5):
        wrong = {"username": "staff", "password": "wrong"}
        client.post("/accounts/login/", wrong, headers=claims | {"X-Forwarded-For": f"203.0.113.{number}"})
    right = {"username": "staff", "password": "a good password"}
    response = client.post("/accounts/login/", right, headers=claims | {"X-Forwarded-For": "203.0.113.99"})
    assert response.status_code == 429
    assert set(AccessAttempt.objects.values_list("ip_address", flat=True)) == {"127.0.0.1"}
    request = client.get("/accounts/login/", headers=claims).wsgi_request
    assert not request.is_secure()
    assert request.get_host() == "testserver"


def test_behind_a_proxy_a_guesser_does_not_lock_out_others(client, staff, settings):
    settings.TRUSTED_PROXIES = 1
    wrong, right = ({"username": "staff", "password": word} for word in ("wrong", "a good password"))
    for number in range(6):
        # What the guesser writes into the header itself comes first.
        client.post("/accounts/login/", wrong, headers={"X-Forwarded-For": f"192.0.2.{number}, 203.0.113.9"})
    guessed = client.post("/accounts/login/", right, headers={"X-Forwarded-For": "192.0.2.77, 203.0.113.9"})
    assert guessed.status_code == 429
    assert (
        client.post("/accounts/login/", right, headers={"X-Forwarded-For": "198.51.100.1"}).status_code == 302
    )


def test_behind_a_proxy_that_speaks_tls_cookies_and_pages_are_for_tls_alone(client, settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_HSTS_SECONDS = 60
    settings.CSRF_COOKIE_SECURE = True
    answer = client.get("/accounts/login/", headers={"X-Forwarded-Proto": "https"})
    assert answer["Strict-Transport-Security"] == "max-age=60"
    assert answer.cookies["csrftoken"]["secure"]
    assert "Strict-Transport-Security" not in client.get("/accounts/login/")
