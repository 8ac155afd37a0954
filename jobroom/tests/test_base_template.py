"""A project puts its own name and styles into all pages, by a base template that extends ours, as the guide says."""

import copy
import re
from pathlib import Path
from textwrap import dedent

import pytest
from django.conf import settings as django_settings

import jobroom

GUIDE = Path(django_settings.BASE_DIR) / "docs/how-to/put-it-into-your-project.md"
OURS = Path(jobroom.__file__).parent
BLOCKS = {"site_head", "site_top", "brand", "site_bottom"}


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/", "/tasks/demo.echo/", "/workers/"])
def test_the_base_template_of_a_project_adds_to_ours(address, admin_client, settings, tmp_path):
    """Those pages too that have styles and scripts of their own."""
    written = dedent(re.search(r"```html\n(.*?)```", GUIDE.read_text(), re.DOTALL)[1].replace("\n  ", "\n")).strip()
    (tmp_path / "jobroom").mkdir()
    (tmp_path / "jobroom/base.html").write_text(written)
    templates = copy.deepcopy(settings.TEMPLATES)
    templates[0]["DIRS"] = [tmp_path, *templates[0].get("DIRS", [])]
    settings.TEMPLATES = templates
    page = admin_client.get(address).content.decode()
    assert '<a class="brand" href="/">Shop</a>' in page
    assert page.index("main.css") < page.index("--accent: #7a2e8e") < page.index("</head>")
    assert 'id="content"' in page


def test_no_page_of_ours_fills_the_blocks_of_projects():
    named = re.compile(r"{% block (" + "|".join(BLOCKS) + r") %}")
    filled = {path.relative_to(OURS).as_posix(): set(named.findall(path.read_text())) for path in OURS.rglob("*.html")}
    assert {name: found for name, found in filled.items() if found} == {"ui/templates/jobroom/base.html": BLOCKS}
