"""Opens pictures of strangers, within limits that hold before anything is decoded."""

import io
from collections.abc import Callable
from typing import IO

from PIL import Image


class Budget:
    """How much the pictures of one file may be, all together: one of a few bytes may have billions of pixels."""

    BYTES = 64 * 2**20
    PIXELS = 64_000_000

    def __init__(self) -> None:
        self.bytes, self.pixels = self.BYTES, self.PIXELS

    def read(self, opened: Callable[[], IO[bytes]]) -> Image.Image | None:
        """Return the PNG or JPEG in a file, opaque; None where it is none, damaged, or more than is left of the limits."""
        try:
            with opened() as file:
                data = file.read(self.bytes + 1)
            if len(data) > self.bytes:
                return None
            self.bytes -= len(data)
            image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))  # looks at its head alone
            pixels = image.width * image.height
            if pixels > self.pixels:
                return None
            self.pixels -= pixels
            image.load()
            return image if image.mode == "RGB" else image.convert("RGB")
        except Exception:  # noqa: BLE001 - whatever a decoder trips over: the mesh is worth reading without its picture
            return None
