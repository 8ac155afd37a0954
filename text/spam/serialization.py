"""Models as bytes and back, without pickle: reading a file must not be able to run what is in it.

skops writes a schema and arrays, and makes only objects of types that are trusted: its own list of scikit-learn's and
numpy's public classes, and the two of `TRUSTED`, which a calibrated classifier consists of.
"""

import zipfile
import zlib
from typing import Any

from text.exceptions import ModelRefused

TRUSTED = ["sklearn.calibration._CalibratedClassifier", "sklearn.calibration._SigmoidCalibration"]
# What a model may unpack to, in bytes; ours have about seven million.
LARGEST = 256 * 2**20

# What bytes that no one made on purpose lead to inside the library.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError, IndexError, ValueError, TypeError, AttributeError),
    *(ImportError, RecursionError, NotImplementedError),
)


def as_bytes(model: Any) -> bytes:
    """Return the model in the format of skops, compressed."""
    from skops import io

    return bytes(io.dumps(model, compression=zipfile.ZIP_DEFLATED, compresslevel=6))


def from_bytes(content: bytes) -> Any:
    """Return the model; raise ModelRefused when it is none, or holds a type that is not trusted."""
    from io import BytesIO

    from sklearn.pipeline import Pipeline
    from skops import io

    try:
        with zipfile.ZipFile(BytesIO(content)) as packed:
            if sum(part.file_size for part in packed.infolist()) > LARGEST:
                raise ModelRefused("The file of the model unpacks to more than any model of ours has.")
        model = io.loads(content, trusted=TRUSTED)
    except io.exceptions.UntrustedTypesFoundException as error:
        raise ModelRefused(f"The file of the model holds types that are not trusted: {error}") from error
    except _DAMAGE as error:
        raise ModelRefused(f"The file of the model is damaged: {type(error).__name__}.") from error
    if not isinstance(model, Pipeline):
        raise ModelRefused(f"The file of the model holds a {type(model).__name__}, not a pipeline.")
    return model
