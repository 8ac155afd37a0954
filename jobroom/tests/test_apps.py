"""What a project installs is all there is: an app that `APPS` forgets would have pages without tables."""

from pathlib import Path

import jobroom


def test_every_app_of_the_package_is_in_the_list():
    package = Path(jobroom.__file__).parent
    found = {".".join(("jobroom", *path.parent.relative_to(package).parts)) for path in package.rglob("apps.py")}
    assert found == {name for name in jobroom.APPS if name.partition(".")[0] == "jobroom"}
