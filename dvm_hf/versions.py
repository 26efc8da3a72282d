"""Versions of all libraries that affect pixels or the bytes of a shard."""

import platform

import av
import cv2
import numpy as np
import PIL
import pyarrow
from zlib_ng import zlib_ng


def versions() -> dict[str, str]:
    """Return versions by name; "machine" is the CPU architecture, because vector units differ in the last bit."""
    libraries = {name: ".".join(map(str, number)) for name, number in sorted(av.library_versions.items())}
    used = {name: libraries[name] for name in ("libavcodec", "libavformat", "libavutil", "libswscale")}
    pixels = {
        "av": av.__version__,
        **used,
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "Pillow": PIL.__version__,
    }
    stored = {"pyarrow": pyarrow.__version__, "zlib-ng": zlib_ng.ZLIBNG_RUNTIME_VERSION}
    return {**pixels, **stored, "machine": platform.machine()}
