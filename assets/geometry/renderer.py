"""Pictures of a mesh without a screen: smooth shading, edges, and its shadow on the ground."""

from functools import cached_property
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from assets.geometry import colours, depth_buffer, normals, rays

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

# Where the camera stands: (degrees around the vertical axis, degrees above the ground).
VIEWS = {"front": (0, 0), "side": (90, 0), "top": (0, 90), "corner": (35, 25)}
_OVERSAMPLE = 2
_FILLED = 0.9  # of the picture's width or height
_COLOUR = np.array([138.0, 156.0, 178.0])
# From the camera's upper left: the light that shades, and a weaker one from the right, so that no side is black.
_LIGHT = np.array([-0.42, 0.56, 0.71])
_FILL = np.array([0.75, 0.1, 0.65])
_SUN = np.array([-0.35, 0.9, 0.3])  # throws the shadow, whatever the camera looks at
_SHADOW = 0.32  # how dark it is, of 1
_FADED = 0.16  # of the picture's width: so near to the border it ends softly
_EDGE = 0.62  # what is left of the light on an edge
_STEP = 0.02  # a jump in depth, of the mesh's size, that is drawn as an edge


def rotation(around: float, above: float) -> Floats:
    """Return the 3x3 matrix that turns the mesh before a camera which looks along -z, y up; angles in degrees."""
    a, b = np.radians([around, above])
    turn = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return np.asarray(tilt @ turn, dtype=float)


class Studio:
    """A mesh before a camera that moves: what does not depend on the view is worked out once."""

    def __init__(self, mesh: trimesh.Trimesh) -> None:
        self.mesh = mesh
        self.faces: Numbers = np.asarray(mesh.faces, dtype=np.int64)
        vertices = np.asarray(mesh.vertices, dtype=float)
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        # Within 1 of the origin: Embree computes with 32 bits.
        self.vertices: Floats = (vertices - (low + high) / 2) / max(float(np.linalg.norm(high - low)) / 2, 1e-300)

    @cached_property
    def scene(self) -> rays.Scene | None:
        """The mesh for rays, None where this machine has no Embree."""
        return rays.Scene(self.vertices, self.faces) if rays.available() else None

    @cached_property
    def flat(self) -> Floats:
        """Directions of the triangles themselves (n, 3), not of one length."""
        return normals.of_triangles(self.vertices, self.faces)

    @cached_property
    def normals(self) -> Floats:
        """Directions of the surface at each corner of each triangle (n, 3, 3)."""
        return normals.of_corners(self.vertices, self.faces)

    def picture(self, view: str, pixels: int = 512) -> Image.Image:
        """Return a square RGBA picture, `pixels` wide, of the mesh seen from `view` (a key of VIEWS), background clear."""
        image = _View(self, view, pixels * _OVERSAMPLE).image()
        return image.resize((pixels, pixels), Image.Resampling.LANCZOS)


class _View:
    """One picture: `side` pixels wide before it is made smaller."""

    def __init__(self, studio: Studio, view: str, side: int) -> None:
        self.studio, self.side = studio, side
        self.turn = rotation(*VIEWS[view])
        self.seen_from_above = VIEWS[view][1] > 0
        self.points: Floats = studio.vertices @ self.turn.T
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        self.middle = (low + high) / 2
        self.scale = _FILLED * side / max(float((high - low)[:2].max()), 1e-12)  # pixels for a unit
        # The middles of the pixels before the camera, left to right and top to bottom.
        along = ((np.arange(side) + 0.5 - side / 2) / self.scale).astype(np.float32)
        self.x, self.y = np.tile(self.middle[0] + along, side), np.repeat(self.middle[1] - along, side)
        self.triangles = self._triangles()
        self.hit = np.flatnonzero(self.triangles >= 0)

    def image(self) -> Image.Image:
        """Return the picture, all in one size."""
        picture = np.zeros((self.side * self.side, 4))
        weights = self._weights()
        of_hit = self.triangles[self.hit]
        directions = self._directions(of_hit, weights)
        light = _brightness(directions) * self._edges(directions, weights)
        base = colours.at(self.studio.mesh, of_hit, weights)
        picture[self.hit, :3] = (_COLOUR if base is None else base) * light[:, None]
        picture[self.hit, 3] = 255
        drawn = Image.fromarray(picture.clip(0, 255).astype(np.uint8).reshape(self.side, self.side, 4))
        shadow = self._shadow()
        return drawn if shadow is None else Image.alpha_composite(shadow, drawn)

    def _in_mesh(self, pixels: Numbers | slice) -> NDArray[np.float32]:
        """Return the middles of `pixels` (n, 3) in the mesh's own directions, as far from the camera as its middle."""
        right, up, back = self.turn.astype(np.float32)
        return np.asarray(self.x[pixels, None] * right + self.y[pixels, None] * up + np.float32(self.middle[2]) * back)

    def _triangles(self) -> Numbers:
        if self.studio.scene is not None:
            return self.studio.scene.nearest(self._in_mesh(slice(None)), -self.turn[2])
        screen = (self.points - self.middle) * self.scale
        screen[:, 0] += self.side / 2
        screen[:, 1] = self.side / 2 - screen[:, 1]
        return depth_buffer.nearest(screen[self.studio.faces], self.side)

    def _weights(self) -> Floats:
        """Return how near each seen point is to the corners of its triangle (n, 3); the three add up to 1."""
        corners = self.points[self.studio.faces[self.triangles[self.hit]]][:, :, :2]
        here = np.stack([self.x[self.hit], self.y[self.hit]], axis=1)
        one, two, to = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], here - corners[:, 0]
        area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
        area[area == 0] = np.inf  # seen from its edge: its first corner will do
        second = (to[:, 0] * two[:, 1] - to[:, 1] * two[:, 0]) / area
        third = (one[:, 0] * to[:, 1] - one[:, 1] * to[:, 0]) / area
        weights = np.stack([1 - second - third, second, third], axis=1).clip(0, 1)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def _directions(self, triangles: Numbers, weights: Floats) -> Floats:
        """Return the unit directions of the surface (n, 3) before the camera, at points of `triangles`.

        They face the camera: scans are often open, and both sides of a triangle are lit.
        """
        smooth = np.einsum("nk,nkd->nd", weights, self.studio.normals[triangles])
        behind = self.studio.flat[triangles] @ self.turn[2] < 0
        smooth[behind] *= -1
        return normals.unit(smooth @ self.turn.T)

    def _edges(self, directions: Floats, weights: Floats) -> Floats:
        """Return what is left of the light at each seen point: less where the surface bends sharply or ends."""
        depth = np.full(self.side * self.side, -np.inf)
        depth[self.hit] = np.einsum("nk,nk->n", weights, self.points[self.studio.faces[self.triangles[self.hit]], 2])
        facing = np.zeros((self.side * self.side, 3))
        facing[self.hit] = directions
        square = (self.side, self.side)
        edge = np.zeros(square, dtype=bool)
        for axis in (0, 1):
            edge |= _bends(depth.reshape(square), facing.reshape(*square, 3), axis)
        return np.where(edge.ravel()[self.hit], _EDGE, 1.0)

    def _shadow(self) -> Image.Image | None:
        """Return the shadow on the ground, which is seen from above only; None without Embree."""
        scene = self.studio.scene
        if scene is None or not self.seen_from_above:
            return None
        away = -self.turn[2].astype(np.float32)  # from the camera, in the mesh's own directions
        empty = np.flatnonzero(self.triangles < 0)
        places = self._in_mesh(empty)
        floor = float(self.studio.vertices[:, 1].min())
        ground = places + ((floor - places[:, 1]) / away[1])[:, None] * away
        sun = _SUN / np.linalg.norm(_SUN)
        dark = np.zeros(self.side * self.side)
        dark[empty] = scene.shaded(ground, sun)
        dark[self.hit] = 1  # so that the soft rim does not fade before it reaches the mesh
        soft = Image.fromarray((dark.reshape(self.side, self.side) * 255 * _SHADOW).astype(np.uint8))
        soft = soft.filter(ImageFilter.GaussianBlur(self.side * 0.008))
        soft = Image.fromarray((np.asarray(soft) * _fading(self.side)).astype(np.uint8))
        return Image.merge("RGBA", [Image.new("L", soft.size, 0)] * 3 + [soft])


def _bends(depth: Floats, facing: Floats, axis: int) -> NDArray[np.bool_]:
    """Return where a pixel and the next one along `axis` lie on both sides of an edge; the nearer pixel has it."""
    here, there = [slice(None)] * 2, [slice(None)] * 2
    here[axis], there[axis] = slice(None, -1), slice(1, None)
    one, two = depth[tuple(here)], depth[tuple(there)]
    with np.errstate(invalid="ignore"):
        jump = np.abs(one - two)
    # A surface seen at a grazing angle falls away by itself: that is no edge.
    slope = np.minimum(np.abs(facing[tuple(here)][..., 2]), np.abs(facing[tuple(there)][..., 2])).clip(0.05)
    bent = np.einsum("ijk,ijk->ij", facing[tuple(here)], facing[tuple(there)]) < normals.SMOOTH
    seen = np.isfinite(one) & np.isfinite(two)
    found = (seen & (bent | (jump > _STEP / slope))) | (np.isfinite(one) != np.isfinite(two))
    edge = np.zeros(depth.shape, dtype=bool)
    edge[tuple(here)] |= found & (one >= two)
    edge[tuple(there)] |= found & (two > one)
    return edge


def _fading(side: int) -> Floats:
    """Return how much of a shadow is left at each pixel: none at the picture's border, which would cut it off."""
    inside = np.minimum(np.arange(side), np.arange(side)[::-1]) / (_FADED * side)
    line = inside.clip(0, 1)
    line = line * line * (3 - 2 * line)
    return np.asarray(line[:, None] * line[None, :])


def _brightness(directions: Floats) -> Floats:
    key = (directions @ (_LIGHT / np.linalg.norm(_LIGHT))).clip(0)
    fill = (directions @ (_FILL / np.linalg.norm(_FILL))).clip(0)
    sky = 0.5 + 0.5 * directions[:, 1]
    return np.asarray(0.22 + 0.72 * key + 0.16 * fill + 0.12 * sky)


def save(studio: Studio, view: str, path: Path, pixels: int = 512) -> None:
    """Write the picture as PNG."""
    studio.picture(view, pixels).save(path, "PNG")
