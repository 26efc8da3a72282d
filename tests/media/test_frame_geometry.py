"""Videos are read like a player shows them: stream, orientation, pixel aspect ratio, crop.

Expected values: arrays rotated by hand, pixel counts, and FFmpeg's documented rules.
"""

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from av.stream import Disposition

from dvm_hf.check.videos import video_by_header
from dvm_hf.clips.reference import require_read_as_published
from dvm_hf.errors import SourceError
from dvm_hf.media.formats.matroska import pixel_crop
from dvm_hf.media.formats.mp4 import declared_track
from dvm_hf.media.frame_geometry import (
    ORIENTATION_NAMES,
    SIDEWAYS,
    Declared,
    Display,
    UnsupportedRotation,
    orientation,
    orientations_conflict,
)
from dvm_hf.media.pixels import Box, Size
from dvm_hf.media.video.containers import video_header
from dvm_hf.media.video.video_measures import measured
from dvm_hf.media.video.video_writing import write_video
from dvm_hf.media.video.videos import Video

ONE = 1 << 16
MATRICES = {  # (a, b, c, d) with x' = a x + c y, y' = b x + d y, like FFmpeg's autorotation of the array
    (1, 0, 0, 1): lambda p: p,
    (-1, 0, 0, 1): lambda p: p[:, ::-1],
    (-1, 0, 0, -1): lambda p: p[::-1, ::-1],
    (1, 0, 0, -1): lambda p: p[::-1],
    (0, 1, 1, 0): lambda p: p.swapaxes(0, 1),
    (0, 1, -1, 0): lambda p: np.rot90(p, -1),
    (0, -1, -1, 0): lambda p: p[::-1, ::-1].swapaxes(0, 1),
    (0, -1, 1, 0): lambda p: np.rot90(p),
}


def smooth(height: int = 48, width: int = 80) -> np.ndarray:
    """Different in each corner and channel."""
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([40 + rows * 3, 30 + columns * 2, 60 + rows + columns]).clip(0, 255).astype(np.uint8)


def film(path: Path, *, aspect: Fraction | None = None, picture: np.ndarray | None = None, **tags: int) -> Path:
    pixels = smooth() if picture is None else picture
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "yuv420p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def with_matrix(path: Path, matrix: Sequence[float], *, box: bytes = b"tkhd") -> Path:
    data = bytearray(path.read_bytes())
    a, b, c, d = (round(value * ONE) for value in matrix)
    struct.pack_into(">9i", data, data.index(box) + {b"tkhd": 44, b"mvhd": 40}[box], a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def first(path: Path) -> np.ndarray:
    with Video(path) as video:
        return next(video.colours([0]))[1]


def codes(path: Path, **options: Any) -> list[str]:
    return [one.code for one in video_by_header(path.parent, path.name, **options)[0]]


@pytest.mark.parametrize("matrix", MATRICES, ids=str)
def test_a_display_matrix_rotates_colour_alpha_and_every_crop(tmp_path: Path, matrix: tuple[int, ...]) -> None:
    undone = MATRICES[matrix]
    plain = film(tmp_path / "plain.mp4")
    upright = undone(first(plain))
    with Video(plain, role="alpha") as video:
        grey = undone(next(video.alphas([0]))[1])
    path = with_matrix(film(tmp_path / "turned.mp4"), matrix)
    with Video(path) as video:
        assert video.size == upright.shape[:2] == video_header(path).upright_size == measured(path).upright_size
        ((_, picture),) = video.pictures([0])
        assert np.array_equal(picture.rgb(Box(0, 0, *video.size)), upright)
        assert np.array_equal(picture.rgb(Box(3, 5, 17, 20)), upright[3:17, 5:20])
        assert np.array_equal(next(video.alphas([0]))[1], grey)
        assert video.orientation == video_header(path).orientation


def test_the_movie_header_matrix_rotates_too(tmp_path: Path) -> None:
    path = with_matrix(film(tmp_path / "a.mp4"), (-1, 0, 0, 1), box=b"mvhd")
    assert declared_track(path, 1).orientation == 2
    assert np.array_equal(first(path), first(film(tmp_path / "b.mp4"))[:, ::-1])
    both = with_matrix(path, (0, 1, -1, 0))  # clockwise, then mirrored
    assert np.array_equal(first(both), np.rot90(first(tmp_path / "b.mp4"), -1)[:, ::-1])


@pytest.mark.parametrize("degrees", [45, 10, 200])
def test_other_angles_are_refused_by_build_and_check(tmp_path: Path, degrees: int) -> None:
    turn = np.deg2rad(degrees)
    path = with_matrix(film(tmp_path / "a.mp4"), (np.cos(turn), np.sin(turn), -np.sin(turn), np.cos(turn)))
    with pytest.raises(SourceError, match="its display matrix rotates it by"):
        Video(path)
    assert codes(path) == ["video-unreadable"]


@pytest.mark.parametrize("matrix", [(1, 0.5, 0, 1), (1, 0, -0.5, 1), (1, 0.5, 0.5, 1), (0.5, 1, -1, 0)])
def test_skewed_pictures_are_refused_by_build_and_check(tmp_path: Path, matrix: tuple[float, ...]) -> None:
    """Matrices that move the corners of a square to those of a parallelogram with other angles."""
    path = with_matrix(film(tmp_path / "a.mp4"), matrix)
    with pytest.raises(SourceError, match="its display matrix skews it, which is not supported"):
        Video(path)
    assert codes(path) == ["video-unreadable"]


def test_a_rotation_is_not_called_skewed_if_it_also_scales_or_mirrors() -> None:
    for matrix in ((866, 500, -250, 433), (-866, -500, -500, 866), (8660, 5000, -5, 9)):
        a, b, c, d = matrix
        with pytest.raises(UnsupportedRotation, match="rotates it by"):
            orientation((a, b, 0, c, d, 0, 0, 0, 1 << 30))


def test_small_angles_and_zero_matrices_are_ignored() -> None:
    turn = np.deg2rad(0.5)
    a, b = round(np.cos(turn) * ONE), round(np.sin(turn) * ONE)
    assert orientation((a, b, 0, -b, a, 0, 0, 0, 1 << 30)) == 1
    assert orientation((0,) * 9) == 1
    with pytest.raises(UnsupportedRotation, match="330 degrees"):
        orientation((866, 500, 0, -500, 866, 0, 0, 0, 1 << 30))


@pytest.mark.parametrize(
    ("aspect", "size"), [((64, 45), (144, 256)), ((8, 9), (162, 180)), ((1, 2), (288, 180)), ((1281, 1280), (144, 180))]
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_pixels_are_made_square(tmp_path: Path, aspect: tuple[int, int], size: tuple[int, int], suffix: str) -> None:
    """A displayed circle is as wide as high, within the pixels of its blurred edge."""
    ratio = aspect[0] / aspect[1]
    rows, columns = np.mgrid[:144, :180]
    inside = ((columns - 89.5) * ratio) ** 2 + (rows - 71.5) ** 2 < (50 * min(1, ratio)) ** 2
    picture = np.where(inside[..., None], np.uint8(230), np.uint8(40)) * np.ones((1, 1, 3), np.uint8)
    path = film(tmp_path / f"a.{suffix}", aspect=Fraction(*aspect), picture=picture)
    with Video(path) as video:
        assert video.size == size == video_header(path).upright_size == measured(path).upright_size
        ((_, shown),) = video.pictures([0])
        whole = shown.rgb(Box(0, 0, *size))
        assert np.array_equal(shown.rgb(Box(10, 12, 40, 60)), whole[10:40, 12:60])
        assert next(video.alphas([0]))[1].shape == size
    high, wide = (np.ptp(axis) + 1 for axis in np.nonzero(whole[..., 0] > 135))
    assert abs(high - wide) <= 3
    assert ("reshaped" in codes(path)) == (size != (144, 180))


def test_an_absurd_aspect_is_ignored_and_noted(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", aspect=Fraction(9, 2))
    with Video(path) as video:
        assert video.size == (48, 80)
    assert "odd-aspect" in codes(path)


def with_clap(path: Path, *values: int) -> Path:
    """With a clap box at the end of its sample description; `moov` is the last box, so no offset changes."""
    data = path.read_bytes()
    box = struct.pack(">I4s8i", 40, b"clap", *values)
    at = data.index(b"avc1", data.index(b"stsd")) - 4
    (length,) = struct.unpack_from(">I", data, at)
    grown = bytearray(data[: at + length] + box + data[at + length :])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
        start = grown.index(kind) - 4
        struct.pack_into(">I", grown, start, struct.unpack_from(">I", grown, start)[0] + 40)
    struct.pack_into(">I", grown, at, length + 40)
    path.write_bytes(grown)
    return path


@pytest.mark.parametrize(
    ("values", "box"),
    [
        ((60, 1, 40, 1, 0, 1, 0, 1), Box(4, 10, 44, 70)),
        ((60, 1, 40, 1, -10, 1, 4, 1), Box(8, 0, 48, 60)),
        ((161, 2, 48, 1, 0, 1, 0, 1), Box(0, 0, 48, 80)),  # 80.5 px: wider than the frame
        ((60, 0, 40, 1, 0, 1, 0, 1), Box(0, 0, 48, 80)),
    ],
)
def test_a_clean_aperture_is_cropped(tmp_path: Path, values: tuple[int, ...], box: Box) -> None:
    plain = first(film(tmp_path / "plain.mp4"))
    path = with_clap(film(tmp_path / "a.mp4"), *values)
    assert np.array_equal(first(path), plain[box.top : box.bottom, box.left : box.right])
    assert ("reshaped" in codes(path)) == (box != Box(0, 0, 48, 80))


def test_a_track_size_equal_to_the_clean_aperture_does_not_stretch_pixels(tmp_path: Path) -> None:
    """QuickTime's track header has the size of the clean aperture; without pasp, pixels are square."""
    path = with_clap(film(tmp_path / "a.mp4"), 60, 1, 40, 1, 0, 1, 0, 1)
    data = bytearray(path.read_bytes().replace(b"pasp", b"free"))
    at = data.index(b"tkhd") - 4
    (length,) = struct.unpack_from(">I", data, at)
    struct.pack_into(">2I", data, at + length - 8, 60 << 16, 40 << 16)
    path.write_bytes(data)
    with Video(path) as video:
        assert video.size == video_header(path).upright_size == (40, 60)
    struct.pack_into(">2I", data, at + length - 8, 120 << 16, 40 << 16)  # displayed twice as wide
    path.write_bytes(data)
    with Video(path) as video:
        assert video.size == video_header(path).upright_size == (40, 120)


def test_a_mov_without_a_file_type_box_has_the_same_geometry(tmp_path: Path) -> None:
    path = with_clap(film(tmp_path / "a.mov"), 60, 1, 40, 1, 0, 1, 0, 1)
    path.write_bytes(path.read_bytes().replace(b"ftyp", b"free", 1))
    with Video(path) as video:
        assert video.size == video_header(path).upright_size == (40, 60)


def coded(kind: int, content: bytes) -> bytes:
    return kind.to_bytes((kind.bit_length() + 7) // 8, "big") + (0x4000 | len(content)).to_bytes(2, "big") + content


@pytest.mark.parametrize("crops", [{}, {0x54BB: 8}, {0x54AA: 2, 0x54BB: 4, 0x54CC: 6, 0x54DD: 10}])
def test_a_matroska_crop_is_read_from_the_right_track(tmp_path: Path, crops: dict[int, int]) -> None:
    sides = [coded(0xB0, bytes([80])), coded(0xBA, bytes([48]))]
    sound = coded(0xAE, coded(0x83, b"\2"))
    other = coded(0xAE, coded(0x83, b"\1") + coded(0xE0, b"".join(sides)))
    cut = coded(
        0xAE, coded(0x83, b"\1") + coded(0xE0, b"".join([*sides, *(coded(k, bytes([v])) for k, v in crops.items())]))
    )
    unknown = b"\x18\x53\x80\x67\x01" + b"\xff" * 7
    (tmp_path / "a.mkv").write_bytes(coded(0x1A45DFA3, b"") + unknown + coded(0x1654AE6B, sound + other + cut))
    bottom, top, left, right = (crops.get(kind, 0) for kind in (0x54AA, 0x54BB, 0x54CC, 0x54DD))
    assert pixel_crop(tmp_path / "a.mkv", 0) is None
    assert pixel_crop(tmp_path / "a.mkv", 1) == (Box(top, left, 48 - bottom, 80 - right) if crops else None)
    assert pixel_crop(tmp_path / "a.mkv", 2) is None
    (tmp_path / "b.mkv").write_bytes(b"no Matroska")
    assert pixel_crop(tmp_path / "b.mkv", 0) is None


@pytest.mark.parametrize(
    ("first", "second", "size", "expected"),
    [
        (1, 1, Size(48, 80), False),
        (1, 3, Size(48, 80), True),
        (2, 4, Size(48, 80), True),
        (1, 6, Size(48, 80), False),  # the sizes show it
        (8, 3, Size(48, 80), False),
        (6, 8, Size(48, 80), True),
        (1, 6, Size(48, 48), True),
        (6, 6, Size(48, 48), False),
    ],
)
def test_conflicting_orientations_are_found(first: int, second: int, size: Size, expected: bool) -> None:
    assert orientations_conflict(first, second, sideways=SIDEWAYS, size=size) is expected
    assert orientations_conflict(second, first, sideways=SIDEWAYS, size=size) is expected
    assert {*ORIENTATION_NAMES} == {*range(1, 9)}


def test_crop_then_resize_then_rotate() -> None:
    stored = np.arange(6 * 8, dtype=np.uint8).reshape(6, 8)
    display = Display(Size(6, 8), 6, Declared(Fraction(1), Box(1, 2, 5, 8)))
    assert display.size == (6, 4)
    assert np.array_equal(display.shown(stored), np.rot90(stored[1:5, 2:8], -1))
    wide = Display(Size(6, 8), 6, Declared(Fraction(2), Box(1, 2, 5, 8)))
    assert wide.size == wide.shown(stored).shape == (12, 4)


@pytest.mark.parametrize("change", ["mirrored", "aspect", "clap"])
def test_the_published_recipe_refuses_geometry_that_opencv_ignores(tmp_path: Path, change: str) -> None:
    path = film(tmp_path / "a.mp4", aspect=Fraction(4, 3) if change == "aspect" else None)
    if change == "mirrored":
        with_matrix(path, (-1, 0, 0, 1))
    if change == "clap":
        with_clap(path, 60, 1, 40, 1, 0, 1, 0, 1)
    with Video(path) as video, pytest.raises(SourceError, match="the published pipeline ignores"):
        require_read_as_published(video)
    with Video(with_matrix(film(tmp_path / "b.mp4"), (0, 1, -1, 0))) as video:
        require_read_as_published(video)


def two_streams(path: Path, *, flags: tuple[Disposition, Disposition], cover: bool = False) -> Path:
    with av.open(str(path), "w") as container:
        streams = []
        for (height, width), flag in zip(((144, 192) if cover else SMALL, LARGE), flags, strict=True):
            codec = "png" if cover and not streams else "libx264"
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = height, width, "rgb24" if codec == "png" else "yuv420p"
            stream.disposition = flag
            streams.append(stream)
        for index in range(4):
            for stream in streams if index == 0 or not cover else streams[1:]:
                pixels = np.full((stream.height, stream.width, 3), 200, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


NONE, DEFAULT = Disposition(0), Disposition.default
SMALL, LARGE = (36, 48), (72, 96)


@pytest.mark.parametrize(
    ("suffix", "flags", "size"),
    [
        ("mkv", (NONE, DEFAULT), LARGE),
        ("mkv", (DEFAULT, NONE), SMALL),
        ("mkv", (DEFAULT, DEFAULT), LARGE),
        ("mp4", (NONE, DEFAULT), LARGE),
        ("mp4", (DEFAULT, NONE), SMALL),
        ("mp4", (DEFAULT, DEFAULT), SMALL),  # alternatives, the first one preferred
    ],
)
def test_the_default_stream_is_read(
    tmp_path: Path, flags: tuple[Disposition, Disposition], size: tuple[int, int], suffix: str
) -> None:
    path = two_streams(tmp_path / f"a.{suffix}", flags=flags)
    with Video(path) as video:
        assert video.size == size == video_header(path).upright_size == measured(path).upright_size
        assert next(video.colours([0]))[1].shape[:2] == size
    assert "other-streams" in codes(path)


def test_cover_art_is_never_read(tmp_path: Path) -> None:
    path = two_streams(tmp_path / "a.mp4", flags=(Disposition.attached_pic, NONE), cover=True)
    with av.open(str(path)) as container:
        assert any(stream.disposition & Disposition.attached_pic for stream in container.streams.video)
    with Video(path) as video:
        assert video.size == LARGE
    assert "other-streams" not in codes(path)


def test_an_ordinary_video_is_displayed_as_stored(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [smooth()] * 3)
    assert codes(tmp_path / "a.mp4") == []
    with Video(tmp_path / "a.mp4") as video:
        assert video.display.is_stored
        assert not video.display.changes


def filtered(source: Path, path: Path, options: str) -> Path:
    """The same packets through FFmpeg's h264_metadata."""
    with av.open(source) as opened, av.open(path, "w") as out:
        stream = opened.streams.video[0]
        filters = BitStreamFilterContext(f"h264_metadata={options}", stream)
        copy = out.add_stream_from_template(stream)
        for packet in opened.demux(stream):
            for changed in filters.filter(packet if packet.size else None):
                changed.stream = copy
                out.mux(changed)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("rotate=180", lambda frame: frame[::-1, ::-1]),
        ("flip=horizontal", lambda frame: frame[:, ::-1]),
        ("rotate=90", lambda frame: np.rot90(frame)),
    ],
    ids=["turned by 180", "mirrored", "turned by 90"],
)
def test_an_orientation_in_the_stream_applies_to_all_frames(
    tmp_path: Path, suffix: str, change: str, expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    path = filtered(film(tmp_path / "a.mp4"), tmp_path / f"b{suffix}", f"display_orientation=insert:{change}")
    with Video(tmp_path / "a.mp4") as plain, Video(path) as turned:
        shown = [pixels for _, pixels in turned.colours(range(3))]
        stored = [pixels for _, pixels in plain.colours(range(3))]
    assert len(shown) == len(stored) > 1
    assert all(np.array_equal(a, expected(b)) for a, b in zip(shown, stored, strict=True))


@pytest.mark.parametrize(("in_stream", "in_container"), [("smpte2084", 1), ("bt709", 16)])
def test_a_stream_that_contradicts_its_container_about_hdr_is_refused(
    tmp_path: Path, in_stream: str, in_container: int
) -> None:
    path = tmp_path / "a.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": f"transfer={in_stream}"})
        stream.height, stream.width, stream.pix_fmt = 48, 80, "yuv420p"
        stream.codec_context.color_trc = in_container
        stream.codec_context.color_primaries = stream.codec_context.colorspace = 1
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(smooth(), format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(path) as container:
        stream = container.streams.video[0]
        (decoded,) = {int(frame.color_trc) for frame in container.decode(stream)}
    assert decoded == (16 if in_stream == "smpte2084" else 1)
    for read in (Video, measured):
        with pytest.raises(SourceError, match="is HDR video with the transfer PQ"):
            read(path)
