"""Coming in, going out, and being thrown out in the middle of something."""

import re

from django.contrib.sessions.models import Session
from playwright.sync_api import expect

LOGIN = re.compile(r"/accounts/login/")


def log_in(page, name, password):
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_logging_in_leads_to_the_page_that_was_asked_for(page, staff, workspace):
    page.goto("/assets/?model=flux")
    expect(page).to_have_url(LOGIN)
    expect(page.get_by_label("Name")).to_be_focused()
    log_in(page, "staff", "a good password")
    expect(page).to_have_url(re.compile(r"/assets/\?model=flux$"))
    expect(page.locator("[data-total]")).to_have_attribute("data-total", "3")


def test_a_wrong_password_is_said_and_the_name_kept(page, staff):
    page.goto("/accounts/login/")
    log_in(page, "staff", "a bad password")
    expect(page.get_by_role("alert")).to_contain_text("This name and password do not go together.")
    expect(page.get_by_label("Name")).to_have_value("staff")
    expect(page.get_by_label("Password")).to_have_value("")


def test_logging_out_ends_on_the_login_page(visit, workspace):
    page = visit()
    page.locator("#person-menu summary").click()
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(LOGIN)
    page.goto("/assets/")
    expect(page).to_have_url(LOGIN)


def test_a_filter_after_the_session_has_ended_leads_to_the_login_and_back(visit, workspace):
    page = visit()
    Session.objects.all().delete()
    page.get_by_role("region", name="Model").get_by_role("link", name="flux").click()
    expect(page).to_have_url(LOGIN)
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    log_in(page, "staff", "a good password")
    expect(page).to_have_url(re.compile(r"/assets/\?model=flux$"))
    expect(page.locator("[data-total]")).to_have_attribute("data-total", "3")


def test_back_after_the_session_has_ended_leads_to_the_login(visit, workspace):
    page = visit()
    page.get_by_role("region", name="Model").get_by_role("link", name="flux").click()
    expect(page).to_have_url(re.compile(r"\?model=flux$"))
    Session.objects.all().delete()
    page.go_back()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    log_in(page, "staff", "a good password")
    expect(page.locator("[data-total]")).to_have_attribute("data-total", "6")


def test_the_queries_menu_after_the_session_has_ended_leads_to_the_login(visit, workspace):
    page = visit()
    Session.objects.all().delete()
    page.locator("#queries-menu summary").click()
    expect(page).to_have_url(LOGIN)
    expect(page.get_by_role("button", name="Log in")).to_have_count(1)
