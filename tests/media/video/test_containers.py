"""Opening video files safely: header contents, and files refused before decoding."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import TreeWriter

from dvm_hf.errors import SourceError
from dvm_hf.media.video.containers import video_header
from dvm_hf.media.video.videos import Video


def test_a_header_matches_the_written_file(tree: TreeWriter) -> None:
    header = video_header(tree.background(size=(72, 96), frames=12))
    assert (header.display.stored, header.frame_count, header.codec) == ((72, 96), 12, "h264")
    assert (header.rate, header.seconds) == (Fraction(25), pytest.approx(12 / 25))
    assert (header.has_range, header.has_matrix, header.tags.colour_range) == (True, True, 1)


def test_missing_colour_tags_are_reported(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "plain.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    header = video_header(tmp_path / "plain.mp4")
    assert (header.has_range, header.has_matrix, header.tags.colour_range) == (False, False, 0)


def test_camera_headers(camera_media: Path) -> None:
    full, nasa = (video_header(camera_media / name) for name in ("bt709_full_range.mp4", "nasa_13013.mp4"))
    assert (full.tags.colour_range, full.display.stored, full.frame_count) == (2, (720, 1280), 30)
    assert (nasa.tags.colour_range, nasa.display.stored, nasa.frame_count) == (1, (180, 320), 325)
    assert video_header(camera_media / "av1_video.mkv").frame_count == 0


def test_more_declared_frames_than_bytes_are_refused(tree: TreeWriter) -> None:
    path = tree.background()
    data = bytearray(path.read_bytes())
    counts = data.index(b"stts") + 12  # the first entry's number of samples
    data[counts : counts + 4] = struct.pack(">I", 10**9)
    path.write_bytes(data)
    for read in (video_header, Video):
        with pytest.raises(SourceError, match=r"0000.mp4: declares 1,000,000,000 frames"):
            read(path)


def test_huge_declared_frames_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.avi"  # uncompressed, so that only the header gives the size
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="bgr24")))
    data = path.read_bytes()
    for height in (48, -48):  # AVI's sign for rows from the top
        data = data.replace(struct.pack("<Ii", 64, height), struct.pack("<Ii", 10**6, height))
    path.write_bytes(data)
    for read in (video_header, Video):
        with pytest.raises(SourceError, match=r"wide.avi: declares 1000000 x 48 px"):
            read(path)


@pytest.mark.parametrize(
    "text",
    ["ffconcat version 1.0\nfile 'other.mp4'\n", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n"],
    ids=["list of parts", "playlist"],
)
def test_a_text_file_that_references_another_file_is_not_followed(tree: TreeWriter, text: str) -> None:
    other = tree.background()
    path = other.with_name("leads.mp4")
    path.write_text(text.replace("other.mp4", other.name))
    with pytest.raises(SourceError, match=r"leads.mp4: cannot be read as a video"):
        video_header(path)
