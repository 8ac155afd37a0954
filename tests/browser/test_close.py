"""What the tests themselves do with a browser when one of them is over."""

import pytest

from tests.browser.conftest import opened

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


def test_a_page_on_its_way_is_left_before_it_is_closed(browser):
    shown = []
    with opened(browser) as context:
        page = context.new_page()
        page.route("**/*", lambda route: None)  # which is never answered
        page.on("framenavigated", lambda frame: shown.append(frame.url))
        with page.expect_request("http://testserver/"):
            page.evaluate("location.href = 'http://testserver/'")
    assert shown == ["about:blank"]
    assert page.is_closed()
