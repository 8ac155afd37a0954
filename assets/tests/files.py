"""Mesh files of tests: written, and checked as an upload is."""

from assets.geometry import formats, shapes


def check(path, name):
    with path.open("rb") as file:
        return formats.check(file, path.stat().st_size, name)


def write(path, mesh, file_type):
    shapes.save(mesh, path, file_type)
    return path
