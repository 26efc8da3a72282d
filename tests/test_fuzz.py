"""Fuzz targets, bounded and the same in every run: pair lists, and decoders on changed bytes.

Each example writes one file: a case takes milliseconds, so all of them take less than a minute.
"""

from pathlib import Path

import pytest
from conftest import TreeWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dvm_hf.errors import SourceError
from dvm_hf.media.still.still_headers import still_header
from dvm_hf.media.still.stills import read_colour, read_grey
from dvm_hf.media.video.containers import video_header
from dvm_hf.media.video.video_measures import measured
from dvm_hf.media.video.videos import Video
from dvm_hf.sources.pair_lists import listed_pairs
from dvm_hf.sources.records import KINDS

pytestmark = [pytest.mark.one_lane, pytest.mark.slow]

# No deadline: a decoder's first call is slow on a busy machine. The fixture is one read-only folder of valid files and
# one scratch file that each example overwrites (function_scoped_fixture).
BOUNDED = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PIECES = st.sampled_from(
    [
        b"image",
        b"video",
        b"+",
        b"\n",
        b"\r",
        b"..",
        b"/",
        b"\\",
        b"\0",
        b".png",
        b"0000",
        b"\xff",
        b" ",
        b"\xe2\x80\xa8",
    ]
)
LISTS = st.one_of(st.binary(max_size=200), st.lists(PIECES | st.binary(max_size=4), max_size=40).map(b"".join))
CHANGES = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "repeat", "remove"]), st.floats(0, 1), st.integers(0, 255)),
    min_size=1,
    max_size=8,
)


@given(data=LISTS)
@settings(BOUNDED, max_examples=300)
def test_any_bytes_give_pairs_or_faults_of_lines(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "pairs.txt"
    path.write_bytes(data)
    pairs, faults = listed_pairs(path)
    lines = [line for line in data.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    assert len(pairs) + len(faults) == len(lines)  # every line is one or the other
    for pair in pairs:
        assert pair.kind in KINDS
        for name in (pair.foreground, pair.background):
            assert Path("folder", name).parent == Path("folder")  # no way out
            assert name == Path(name).name != ".."
            assert "\0" not in name
    assert all(text.isprintable() for _, text in faults)


def changed(data: bytes, changes: list[tuple[str, float, int]]) -> bytes:
    for what, place, value in changes:
        at = int(place * max(len(data) - 1, 0))
        if what == "set":
            data = data[:at] + bytes([value]) + data[at + 1 :]
        elif what == "cut":
            data = data[: max(at, 1)]
        elif what == "repeat":
            data = data[:at] + data[at : at + value] * 2 + data[at + value :]
        else:
            data = data[:at] + data[at + value :]
    return data


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Bytes of a valid PNG, JPEG and MP4."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("valid")
    tree = TreeWriter(folder)
    still, video = tree.still(), tree.background(frames=3)
    Image.open(still).save(folder / "still.jpg")
    return {"a.png": still.read_bytes(), "a.jpg": (folder / "still.jpg").read_bytes(), "a.mp4": video.read_bytes()}


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
@given(changes=CHANGES)
@settings(BOUNDED, max_examples=500)
def test_a_changed_still_is_read_or_named(
    tmp_path: Path, valid: dict[str, bytes], name: str, changes: list[tuple[str, float, int]]
) -> None:
    path = tmp_path / name
    path.write_bytes(changed(valid[name], changes))
    for read, dimensions in ((read_colour, 3), (read_grey, 2)):
        message = ""
        try:
            pixels = read(path)
        except SourceError as error:
            message = str(error)
        if message:
            assert str(path) in message
        else:
            assert (pixels.ndim, pixels.dtype) == (dimensions, "uint8")
            assert pixels.shape[:2] == still_header(path).size


@given(changes=CHANGES)
@settings(BOUNDED, max_examples=500)
def test_a_changed_video_is_read_or_named(
    tmp_path: Path, valid: dict[str, bytes], changes: list[tuple[str, float, int]]
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(changed(valid["a.mp4"], changes))
    message = ""
    try:
        header = video_header(path)
        measures = measured(path)
        with Video(path) as video:
            frames = [frame for _, frame in zip(range(20), video.colours(range(20)), strict=False)]
            assert all(frame.shape == (*video.size, 3) for _, frame in frames)
    except SourceError as error:
        message = str(error)
    if message:
        assert str(path) in message
    else:
        assert measures.frames >= 1
        assert header.frame_count <= path.stat().st_size
