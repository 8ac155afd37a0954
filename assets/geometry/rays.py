"""Which triangle is seen through each pixel, by rays: Intel's Embree, in the wheel `embreex`.

Wald, Woop, Benthin, Johnson, Ernst: "Embree: a kernel framework for efficient CPU ray tracing" (2014).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.float32]

_FAR = 4.0  # where rays start; the mesh lies within 1 of the origin
_OFF = 1e-4  # how far above a surface a ray to the light starts, so that it does not meet that surface


class Scene:
    """A mesh, scaled to lie within 1 of the origin, that rays are sent through."""

    def __init__(self, vertices: Floats, faces: NDArray[np.int64]) -> None:
        from embreex import rtcore_scene
        from embreex.mesh_construction import TriangleMesh

        self._scene: Any = rtcore_scene.EmbreeScene()
        TriangleMesh(self._scene, vertices.astype(np.float32), faces.astype(np.int32))

    def nearest(self, places: Places, along: Floats) -> NDArray[np.int64]:
        """Return the first triangle behind each of `places` (n, 3) in the direction `along` (3), -1 for none."""
        found: NDArray[np.int32] = self._scene.run(
            *_rays(places - np.float32(_FAR) * along.astype(np.float32), along), query="INTERSECT"
        )
        return found.astype(np.int64)

    def shaded(self, places: Places, towards: Floats) -> NDArray[np.bool_]:
        """Return for each of `places` (n, 3) whether the mesh stands between it and a light in direction `towards` (3)."""
        found: NDArray[np.int32] = self._scene.run(
            *_rays(places + np.float32(_OFF) * towards.astype(np.float32), towards), query="OCCLUDED"
        )
        return found >= 0


def _rays(origins: Places, direction: Floats) -> tuple[Places, Places]:
    return (
        np.ascontiguousarray(origins, dtype=np.float32),
        np.ascontiguousarray(np.broadcast_to(direction, origins.shape), dtype=np.float32),
    )


def available() -> bool:
    """Return whether there is a wheel of Embree for this machine."""
    try:
        import embreex.rtcore_scene  # noqa: F401 — asked for, not used
    except ImportError:
        return False
    return True
