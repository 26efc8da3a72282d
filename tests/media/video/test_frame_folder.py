"""A folder of numbered pictures is read as a video, and only the requested pictures are opened."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from media_arrays import noise, scaled
from own_alpha import film, recorded_opens, write_pictures, write_video
from PIL import Image

from dvm_hf.errors import MachineError, SourceError
from dvm_hf.media.pixels import Box, Size
from dvm_hf.media.still.still_files import is_still
from dvm_hf.media.video.frame_folder import FrameFolder
from dvm_hf.media.video.frame_pairing import pair_fault, require_pair
from dvm_hf.media.video.frame_sources import opened_backdrop, opened_frames, source_version
from dvm_hf.media.video.held_still import HeldStill
from dvm_hf.media.video.videos import Video

RGB = [noise(13, 19, 3, seed=seed) for seed in range(12)]


@pytest.fixture
def opened_files(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    return recorded_opens(monkeypatch)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".webp", ".PNG"])
def test_frames_of_lossless_pictures_are_exact(suffix: str, tmp_path: Path) -> None:
    with FrameFolder(write_pictures(tmp_path / "one", RGB, suffix=suffix)) as folder:
        assert (folder.size, folder.frame_count) == (Size(13, 19), 12)
        frames = dict(folder.colours(range(99)))
        assert all(np.array_equal(frames[index], RGB[index]) for index in range(12))
        ((_, picture),) = folder.pictures([4])
        assert np.array_equal(picture.rgb(Box(2, 3, 9, 11)), RGB[4][2:9, 3:11])


def test_frames_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in range(8, 12):
        Image.fromarray(RGB[number]).save(tmp_path / f"clip2_{number}_rgb.png")
    (tmp_path / "._clip2_7_rgb.png").write_bytes(b"not a picture")
    with FrameFolder(tmp_path) as folder:
        assert [np.array_equal(frame, RGB[8 + index]) for index, frame in folder.colours(range(4))] == [True] * 4


def test_only_the_requested_pictures_are_opened(tmp_path: Path, opened_files: set[str]) -> None:
    """And the header of the first one, which determines the size."""
    path = write_pictures(tmp_path / "one", RGB)
    opened_files.clear()
    with opened_frames(path, max_frames=12) as folder:
        assert opened_files == {"one/00000.png"}
        assert [index for index, _ in folder.colours([7, 9])] == [7, 9]
    assert opened_files == {"one/00000.png", "one/00007.png", "one/00009.png"}


def test_the_first_picture_is_not_decoded_for_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_pictures(tmp_path / "one", RGB, suffix=".jpg")
    decoded: list[str] = []
    original = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda image: (decoded.append(""), original(image))[1])
    with FrameFolder(path) as folder:
        assert folder.size == (13, 19)
    assert not decoded


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_are_rounded_to_8(suffix: str, tmp_path: Path) -> None:
    """OpenCV writes them: grey, RGB and RGBA."""
    deep = np.random.default_rng(0).integers(0, 65536, (13, 19, 4), dtype=np.uint16)
    for name, values in (("grey", deep[..., 0]), ("rgb", deep[..., :3]), ("rgba", deep)):
        (tmp_path / name).mkdir()
        bgr = values if values.ndim == 2 else values[..., [2, 1, 0, 3][: values.shape[2]]]
        assert cv2.imwrite(str(tmp_path / name / f"0{suffix}"), bgr)
    for name in ("rgb", "rgba"):
        with FrameFolder(tmp_path / name) as folder:
            assert np.array_equal(dict(folder.colours([0]))[0], scaled(deep[..., :3]))
    with FrameFolder(tmp_path / "grey", role="alpha") as folder:
        assert np.array_equal(dict(folder.alphas([0]))[0], scaled(deep[..., 0]))
    with FrameFolder(tmp_path / "rgba", role="both") as folder:
        assert np.array_equal(dict(folder.layers([0]))[0].alpha, scaled(deep[..., 3]))


def test_a_folder_with_a_missing_frame_is_refused(tmp_path: Path) -> None:
    (write_pictures(tmp_path / "one", RGB) / "00005.png").unlink()
    with pytest.raises(SourceError, match=r"one: frame 5 is missing between 00004\.png and 00006\.png"):
        FrameFolder(tmp_path / "one")


def test_a_frame_of_another_size_is_named(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "one", [*RGB[:4], noise(19, 13, 3)])
    with FrameFolder(path) as folder:
        assert len(list(folder.colours(range(4)))) == 4
        with pytest.raises(SourceError, match=r"00004\.png: is 13 x 19 px, but the first frame, 00000\.png, is"):
            list(folder.colours([4]))


@pytest.mark.parametrize("wanted", [range(12), [5], [2, 5, 8]])
@pytest.mark.parametrize("damage", ["truncated", "changed"])
def test_a_damaged_frame_is_an_error_however_it_is_reached(wanted: Any, damage: str, tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "one", RGB)
    data = bytearray((path / "00005.png").read_bytes())
    if damage == "truncated":
        del data[len(data) // 2 :]
    else:
        data[len(data) // 2] ^= 255
    (path / "00005.png").write_bytes(data)
    with FrameFolder(path) as folder:
        read = []
        with pytest.raises(SourceError, match=r"00005\.png: cannot be read as an image"):
            read += [index for index, _ in folder.colours(wanted)]
        assert [index for index, _ in folder.colours(index for index in wanted if index != 5)] == [
            index for index in wanted if index != 5
        ]


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES])
def test_a_frame_that_is_gone_or_forbidden_is_not_dropped(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_pictures(tmp_path / "one", RGB)
    with FrameFolder(path) as folder:
        if number == errno.ENOENT:
            (path / "00003.png").unlink()
        else:
            monkeypatch.setattr(Image, "open", failing(number))
        with pytest.raises(SourceError, match=r"00003\.png: cannot be read as an image"):
            list(folder.colours([3]))


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_damaged_first_frame_is_refused(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "one", RGB)
    (path / "00000.png").write_bytes(b"")
    with pytest.raises(SourceError, match=r"00000\.png: cannot be read as an image"):
        FrameFolder(path)


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ESTALE])
def test_a_fault_of_the_machine_is_not_a_damaged_frame(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = FrameFolder(write_pictures(tmp_path / "one", RGB))
    monkeypatch.setattr(Image, "open", failing(number))
    with pytest.raises(MachineError, match=r"0000[3]\.png: cannot be read"):
        list(folder.colours([3]))
    monkeypatch.setattr(os, "listdir", failing(number))
    with pytest.raises(MachineError, match="one: cannot be read"):
        FrameFolder(tmp_path / "one")


def test_an_alpha_channel_decides_for_all_frames_like_in_a_video(tmp_path: Path) -> None:
    grey, opaque = noise(13, 19), np.full((13, 19), 255, np.uint8)
    matte = np.dstack([grey, grey, grey, opaque])
    cut_out = np.dstack([RGB[0], grey])
    with FrameFolder(write_pictures(tmp_path / "grey", [matte] * 2), role="alpha") as folder:
        assert not folder.reads_alpha_channel
        assert all(np.array_equal(alpha, grey) for _, alpha in folder.alphas([0, 1]))
    with FrameFolder(write_pictures(tmp_path / "rgba", [cut_out] * 2), role="alpha") as folder:
        assert folder.reads_alpha_channel
        assert all(np.array_equal(alpha, grey) for _, alpha in folder.alphas([0, 1]))
    with FrameFolder(write_pictures(tmp_path / "mixed", [matte, cut_out]), role="alpha") as folder:
        with pytest.raises(SourceError, match=r"00001\.png: its alpha channel is not opaque, but that of the first"):
            list(folder.alphas([1]))
    with FrameFolder(write_pictures(tmp_path / "late", [cut_out, RGB[0]]), role="both") as folder:
        with pytest.raises(SourceError, match=r"00001\.png: has no alpha channel"):
            list(folder.layers([1]))


def test_orientation_tags_are_honoured(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(RGB[0]).save(tmp_path / "0.png", exif=exif)
    with FrameFolder(tmp_path) as folder:
        assert (folder.size, folder.orientation) == (Size(19, 13), 6)
        assert np.array_equal(dict(folder.colours([0]))[0], np.rot90(RGB[0], -1))


def opened_pair(colour: Path, alpha: Path) -> tuple[Any, Any]:
    return opened_frames(colour), opened_frames(alpha, role="alpha")


@pytest.mark.parametrize("alphas", [11, 13])
@pytest.mark.parametrize("is_video", [False, True])
def test_frames_are_paired_by_index_only_if_the_counts_are_the_same(
    alphas: int, is_video: bool, tmp_path: Path
) -> None:
    drawing = film(alphas, size=(16, 24))
    colour = write_pictures(tmp_path / "fgr", film(12, size=(16, 24)).colours)
    alpha = (
        write_video(tmp_path / "a.mkv", drawing.alphas, "ffv1", "gray")
        if is_video
        else write_pictures(tmp_path / "pha", drawing.alphas)
    )
    with pytest.raises(SourceError) as caught:
        require_pair(*opened_pair(colour, alpha))
    assert str(caught.value).startswith(f"{colour}: has 12 frames, but its alpha {alpha} has {alphas};")


def test_a_folder_and_a_video_of_any_rate_are_paired(tmp_path: Path) -> None:
    drawing = film(12, size=(16, 24))
    colour = write_video(tmp_path / "f.mp4", drawing.colours, "libx264", "yuv420p")
    pair = opened_pair(colour, write_pictures(tmp_path / "pha", drawing.alphas, first=7))
    assert isinstance(pair[0], Video)
    assert pair_fault(*pair) is None
    assert pair_fault(*reversed(pair)) is None


def test_a_path_is_opened_by_what_it_is(tmp_path: Path) -> None:
    still = tmp_path / "one.jpg"
    Image.fromarray(RGB[0]).save(still)
    folder = write_pictures(tmp_path / "two.png", RGB)
    video = write_video(tmp_path / "three.mkv", RGB, "ffv1", "bgr0")
    kinds = {still: HeldStill, folder: FrameFolder, video: Video}
    for path, kind in kinds.items():
        source = opened_backdrop(path, max_frames=7)
        assert isinstance(source, kind)
        source.close()
    with pytest.raises(SourceError, match=r"one\.jpg: is a still, but a video or a folder"):
        opened_frames(still)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="empty: contains no numbered pictures"):
        opened_frames(tmp_path / "empty")
    assert is_still(Path("x.TIF"))


def test_a_change_of_the_first_frame_or_of_the_names_changes_the_version(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "one", RGB)
    versions = [source_version(path)]
    Image.fromarray(RGB[1][:5]).save(path / "00000.png")
    versions.append(source_version(path))
    (path / "00011.png").unlink()
    versions.append(source_version(path))
    assert len(set(versions)) == 3
