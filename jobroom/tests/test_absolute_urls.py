"""Full addresses are made of Jobroom's own option, which a project need not have as a setting of Django."""

from django.urls import reverse, set_script_prefix

from jobroom import absolute_urls


def test_a_project_without_the_setting_of_django_has_links_by_its_option(settings):
    del settings.SITE_URL
    settings.JOBROOM = settings.JOBROOM | {"SITE_URL": "https://jobs.example.org/room/"}
    assert absolute_urls.full("/jobs/1/") == "https://jobs.example.org/room/jobs/1/"
    set_script_prefix("/room/")
    try:
        assert absolute_urls.full(reverse("jobroom:jobs:job", args=["1"])) == "https://jobs.example.org/room/jobs/1/"
    finally:
        set_script_prefix("/")


def test_without_either_they_lead_to_this_machine(settings):
    del settings.SITE_URL
    settings.JOBROOM = {name: value for name, value in settings.JOBROOM.items() if name != "SITE_URL"}
    assert absolute_urls.full("/jobs/1/") == "http://127.0.0.1:8000/jobs/1/"
