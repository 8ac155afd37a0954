"""People, meshes and uploads for the tests of the assets."""

from io import BytesIO
from pathlib import Path

import pytest
import trimesh
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from assets import services
from jobroom import redis

SHARED = Path(settings.BASE_DIR).parent / "shared" / "data" / "meshes"


@pytest.fixture(params=["bunny.ply", "fandisk.obj", "1002_tray_bottom.STL"])
def shared_mesh(request):
    path = SHARED / request.param
    if not path.exists():
        pytest.skip(f"no {request.param} beside the checkout (shared/data/meshes)")
    return path


@pytest.fixture
def empty_redis():
    redis.client().flushdb()


@pytest.fixture
def ada(db):
    return User.objects.create_user("ada", password="lovelace")


@pytest.fixture
def bob(db):
    return User.objects.create_user("bob", password="builder")


@pytest.fixture
def grace(db):
    return User.objects.create_superuser("grace", password="hopper")


@pytest.fixture
def ply():
    """Return the bytes of a cube as PLY."""
    return trimesh.creation.box().export(file_type="ply")


@pytest.fixture
def upload(ply):
    """Return a function that makes an upload."""
    return lambda content=ply, name="cube.ply": SimpleUploadedFile(name, content)


@pytest.fixture
def cube(ada, upload):
    """Return an asset of Ada's."""
    return services.add(upload=upload(), owner=ada)


@pytest.fixture
def png():
    """Return the bytes of a picture."""
    from PIL import Image

    out = BytesIO()
    Image.new("RGBA", (4, 4)).save(out, "PNG")
    return out.getvalue()
