"""Options of the assets app."""

from jobroom.conf import AppSettings


class AssetSettings(AppSettings):
    """Options of the work on 3D assets."""

    prefix = "ASSETS"

    # Largest file that may be uploaded, in bytes.
    MAX_BYTES: int = 200 * 2**20
    # What the process that reads a foreign file may use: bytes of memory, seconds of processor time and of waiting.
    MEMORY: int = 3 * 2**30
    CPU_SECONDS: int = 600
    SECONDS: float = 900.0
    # Width of the pictures, in pixels.
    PIXELS: int = 512


settings = AssetSettings()
