"""What *Process asset* costs beside trimesh's own functions called in a script: 20 meshes of 1,000 to 500,000 triangles.

    python3 bench/process_asset.py [--rounds 3] [--mesh FILE …]

Both read the same file in a process of their own, measure, repair, simplify to 5,000 triangles, write GLB and make four
pictures of 512 pixels. The script shades each triangle flat, with the rays that trimesh sends through Embree; ours shades
smoothly, with edges and a shadow, and keeps files with job and asset. Pairs alternate; the ratio is of the medians' sums.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import surroundings
from bench.surroundings import table, verdict

surroundings.setup()

import numpy as np  # noqa: E402
import trimesh  # noqa: E402

BUDGET = 1.5
PEER = """
import sys, numpy as np, trimesh
from PIL import Image
mesh = trimesh.load_mesh(sys.argv[1])
facts = (mesh.area, mesh.volume, mesh.is_watertight, mesh.is_winding_consistent, mesh.euler_number, mesh.body_count, mesh.bounds)
mesh.merge_vertices()
mesh.update_faces(mesh.unique_faces() & mesh.nondegenerate_faces())
mesh.remove_unreferenced_vertices()
trimesh.repair.fix_normals(mesh)
trimesh.repair.fill_holes(mesh)
mesh.export(sys.argv[2] + "/repaired.ply")
small = mesh.simplify_quadric_decimation(face_count=min(5000, len(mesh.faces)))
small.export(sys.argv[2] + "/simplified.ply")
small.export(sys.argv[2] + "/converted.glb")
side = 1024
for number, (around, above) in enumerate(((0, 0), (90, 0), (0, 90), (35, 25))):
    turn = trimesh.transformations.euler_matrix(np.radians(above), np.radians(-around), 0)
    seen = mesh.copy().apply_transform(turn)
    low, high = seen.bounds
    grid = np.linspace(-0.5, 0.5, side) * (high - low)[:2].max() / 0.9
    x, y = np.meshgrid(grid + (low + high)[0] / 2, grid[::-1] + (low + high)[1] / 2)
    origins = np.stack([x.ravel(), y.ravel(), np.full(x.size, high[2] + 1)], axis=1)
    hit = seen.ray.intersects_first(origins, np.tile([0.0, 0.0, -1.0], (x.size, 1)))
    light = np.abs(seen.face_normals @ [-0.42, 0.56, 0.71])
    tone = np.where(hit >= 0, 255 * light[hit], 0).astype(np.uint8).reshape(side, side)
    Image.fromarray(tone).resize((512, 512)).save(f"{sys.argv[2]}/{number}.png")
"""


def meshes(folder: Path) -> list[Path]:
    """Return 20 meshes as PLY: balls, knots and boxes of 1,000 to 500,000 triangles, with holes and doubled triangles."""
    generator = np.random.default_rng(7)
    paths = []
    for number, faces in enumerate(np.geomspace(1_000, 500_000, 20).astype(int)):
        around = int(np.sqrt(faces / 2))
        mesh = trimesh.creation.torus(3, 1, major_sections=around, minor_sections=around)
        mesh.vertices += generator.normal(scale=0.2 / around, size=mesh.vertices.shape)
        keep = generator.random(len(mesh.faces)) > 0.0005
        mesh.update_faces(keep)
        path = folder / f"{number:02}-{len(mesh.faces)}.ply"
        mesh.export(path)
        paths.append(path)
    return paths


def ours(path: Path, asset_of) -> float:
    """Return the seconds of one run of the task itself, files kept."""
    from assets.tasks import ProcessAssetTask

    asset = asset_of(path)
    started = time.perf_counter()
    ProcessAssetTask().run(asset)
    return time.perf_counter() - started


def peers(path: Path, folder: Path) -> float:
    """Return the seconds of the script."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", PEER, str(path), str(folder)], check=True)
    return time.perf_counter() - started


def adder():
    """Return a function that makes an asset of a file."""
    from django.core.files.uploadedfile import SimpleUploadedFile
    from django.core.management import call_command

    from assets import services

    call_command("migrate", verbosity=0)
    return lambda path: services.add(upload=SimpleUploadedFile(path.name, path.read_bytes()), owner=None)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mesh", type=Path, nargs="*")
    options = parser.parse_args()
    asset_of = adder()
    rows, total = [], [0.0, 0.0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in options.mesh or meshes(folder):
            pairs = [(ours(path, asset_of), peers(path, folder)) for _ in range(options.rounds)]
            mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
            total = [total[0] + mine, total[1] + other]
            rows.append([path.stem, f"{mine:.2f} s", f"{other:.2f} s", f"{mine / other:.2f} x"])
    ratio = total[0] / total[1]
    rows.append(["all", f"{total[0]:.1f} s", f"{total[1]:.1f} s", f"{ratio:.2f} x {verdict(ratio, BUDGET)}"])
    table("Process asset", [["mesh", "Process asset", "trimesh in a script", "ratio"], *rows])


if __name__ == "__main__":
    main()
