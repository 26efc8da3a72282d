"""Versions of everything that touches pixels or the bytes of a shard."""

import platform
from importlib.metadata import version

import av
import cv2

PACKAGES = ("numpy", "Pillow", "pyarrow")


def versions() -> dict[str, str]:
    """By name; "machine" is the processor's kind, as vector units differ in the last bit."""
    libraries = {name: ".".join(map(str, number)) for name, number in sorted(av.library_versions.items())}
    used = {name: libraries[name] for name in ("libavcodec", "libavformat", "libavutil", "libswscale")}
    packages = {name: version(name) for name in PACKAGES}
    return {"av": version("av"), **used, "opencv": cv2.__version__, **packages, "machine": platform.machine()}
