"""What is read from an MP4's parts, against what FFmpeg's decoder says."""

from pathlib import Path

import av
import numpy as np
import pytest
from conftest import TreeWriter

from dvm_hf.media.formats.mp4 import track_orientation

ORIENTATIONS = {0: 1, 90: 8, 180: 3, 270: 6}  # EXIF's, by degrees anticlockwise


def film(path: Path, degrees: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.set_display_rotation(degrees)
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270, -90])
def test_the_rotation_is_that_of_a_decoded_frame(tmp_path: Path, degrees: int, suffix: str) -> None:
    path = film(tmp_path / f"a{suffix}", degrees)
    with av.open(str(path)) as container:
        decoded = next(container.decode(video=0)).rotation
    assert decoded % 360 == degrees % 360
    assert track_orientation(path, 1) == ORIENTATIONS[degrees % 360]
    assert track_orientation(path, 2) is None


def test_other_containers_and_damaged_files_tell_no_rotation(tmp_path: Path, tree: TreeWriter) -> None:
    assert track_orientation(film(tmp_path / "a.mkv", 90), 1) is None
    data = tree.background().read_bytes()
    for changed in (b"", b"ftyp", data[:60], data.replace(b"tkhd", b"free"), data.replace(b"moov", b"free")):
        (tmp_path / "b.mp4").write_bytes(changed)
        assert track_orientation(tmp_path / "b.mp4", 1) is None
