"""Real meshes, where the machine has them."""

from pathlib import Path

import pytest
from django.conf import settings

SHARED = Path(settings.BASE_DIR).parent / "shared" / "data" / "meshes"


@pytest.fixture(params=["bunny.ply", "fandisk.obj", "1002_tray_bottom.STL"])
def shared_mesh(request):
    path = SHARED / request.param
    if not path.exists():
        pytest.skip(f"no {request.param} beside the checkout (shared/data/meshes)")
    return path
