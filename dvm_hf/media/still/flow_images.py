"""Read optical flow that is stored as PNG pictures."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.errors import SourceError
from dvm_hf.media.still.still_files import bit_depth, opened_still, require_valid_checksums

PER_PIXEL = 100  # stored units


def read_flow(path: Path) -> npt.NDArray[np.float32]:
    """Read a flow field of VideoMatting108 as float32 (H, W, 2): x, then y, in px; NaN where it is unknown.

    Source: TCVOM f5fa07a, utils/utils.py. The PNG has three channels of 16 bits, in OpenCV's order x, y and validity: x
    and y are signed, in 1/100 px, and a validity of 0 is unknown. Raises SourceError if the file cannot be read or has
    other channels.
    """
    require_valid_checksums(path)
    with opened_still(path) as image:
        found = image.mode, bit_depth(image, path)
        if found != ("RGB", 16):
            raise SourceError(
                f"{path}: has {found[0]} channels of {found[1]} bits, but a flow field must be a PNG with RGB channels "
                "of 16 bits; pass the files of VideoMatting108's folder flow_png"
            )
        stored = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
        if stored is None:
            raise ValueError("image file is truncated")
    flow = np.ascontiguousarray(stored[..., :2]).view(np.int16).astype(np.float32)
    flow /= PER_PIXEL
    flow[stored[..., 2] == 0] = np.nan
    return flow
