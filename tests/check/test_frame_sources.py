"""Folders of numbered pictures, stills as backgrounds, and files with their own alpha are checked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from look_alikes import FRAMES, LOOK_ALIKES, colour, cutout, draw, matte, save, save_video, scenery
from PIL import Image
from placeholder_sources import written

from dvm_hf.check.check_cache import CheckCache
from dvm_hf.check.report import Report, check
from dvm_hf.dataset.config import DVMConfig

SAME_PICTURES = {"duplicate", "shared-content", "shared-foreground"}  # small sets repeat their drawings


def report(root: Path, layout: str, *, cache: Path | None = None) -> Report:
    configs = [DVMConfig(name="train", data_dir=str(root), layout=layout)]
    checked = None if cache is None else CheckCache(cache, root)
    return check(root, layout=layout, configs=configs, checked=checked, processes=0)


def severe(found: Report) -> set[str]:
    return {one.code for one in found.findings if one.severity == "error"}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_valid_set_has_no_error(name: str, tmp_path: Path) -> None:
    expected = draw(name, tmp_path / "set")
    for cache in (None, tmp_path / "cache"):
        found = report(tmp_path / "set", expected.layout, cache=cache)
        assert severe(found) <= SAME_PICTURES, [str(one) for one in found.findings if one.severity == "error"]
        counted = {(one.split, one.kind == "background"): 0 for one in found.holdings}
        for one in found.holdings:
            counted[one.split, one.kind == "background"] += one.count
        for names, is_background in ((expected.foregrounds, False), (expected.backgrounds, True)):
            for split in {one.split for one in found.holdings}:
                assert counted.get((split, is_background), 0) == len(names.get(split, ()))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A foreground as two folders of numbered pictures."""
    for number in range(FRAMES):
        save(tmp_path / f"fgr/cat/{number:04d}.png", colour(number))
        save(tmp_path / f"pha/cat/{number:04d}.png", matte(number))
    return tmp_path


def smaller(path: Path) -> None:
    with Image.open(path) as image:
        image.resize((20, 20)).save(path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def black(path: Path) -> None:
    with Image.open(path) as image:
        Image.new(image.mode, image.size).save(path)


@pytest.mark.parametrize(
    ("change", "code", "is_deep"),
    [
        (lambda root: smaller(root / "fgr/cat/0002.png"), "frame-size-changes", False),
        (lambda root: cut(root / "fgr/cat/0003.png"), "still-truncated", False),
        (lambda root: (root / "pha/cat/0005.png").unlink(), "frames", False),
        (lambda root: (root / "pha/cat/0002.png").unlink(), "frames", False),
        (lambda root: [smaller(path) for path in (root / "pha/cat").iterdir()], "size-differs", False),
        (lambda root: [black(path) for path in (root / "pha/cat").iterdir()], "alpha-dark", True),
    ],
)
def test_faults_of_a_folder_are_found(film: Path, change: Callable[[Path], object], code: str, is_deep: bool) -> None:
    change(film)
    found = report(film, "fgr-pha", cache=film / "cache" if is_deep else None)
    assert code in {one.code for one in found.findings}


@pytest.mark.parametrize(
    ("pixels", "code"),
    [
        (lambda: colour(0), "own-alpha-missing"),
        (lambda: np.dstack([colour(0), np.full(colour(0).shape[:2], 255, np.uint8)]), "own-alpha-opaque"),
        (lambda: cutout(0), ""),
    ],
)
def test_a_cutout_needs_an_alpha(tmp_path: Path, pixels: Callable[[], np.ndarray], code: str) -> None:
    save(tmp_path / "set/cat.png", pixels())
    found = report(tmp_path / "set", "cutouts", cache=tmp_path / "cache")
    assert severe(found) == ({code} if code else set())


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "code"),
    [
        ("cat.mov", "libx264", "yuv420p", "own-alpha-missing"),
        ("cat.webm", "libvpx-vp9", "yuv420p", "own-alpha-missing"),
        ("cat.webm", "libvpx-vp9", "yuva420p", ""),
        ("cat.mov", "prores_ks", "yuva444p10le", ""),
        ("cat.mkv", "ffv1", "bgra", ""),
    ],
)
def test_the_header_of_a_video_shows_that_it_has_no_alpha(
    tmp_path: Path, name: str, codec: str, pixel_format: str, code: str
) -> None:
    path = tmp_path / "set" / name
    path.parent.mkdir()
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options={"profile": "4444"} if "prores" in codec else {})
        stream.height, stream.width = cutout(0).shape[:2]
        stream.pix_fmt = pixel_format
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(cutout(number).astype(np.uint8), format="rgba")
            container.mux(stream.encode(frame.reformat(format=pixel_format)))
        container.mux(stream.encode(None))
    assert severe(report(tmp_path / "set", "alpha-videos")) - {"no-rows"} == ({code} if code else set())


def test_a_folder_with_one_kind_of_sources_says_what_is_missing(tmp_path: Path) -> None:
    save(tmp_path / "cat.png", cutout(0))
    (note,) = (one for one in report(tmp_path, "cutouts").findings if one.code == "one-role")
    assert (note.severity, "no backgrounds" in note.text, "sources file" in note.hint) == ("note", True, True)


def test_black_around_the_matte_is_found(tmp_path: Path) -> None:
    alpha = np.zeros((60, 60), np.uint8)
    alpha[20:40, 20:40] = 255
    alpha[19, 20:40] = 128
    pixels = np.dstack([np.full((60, 60, 3), 200, np.uint8) * (alpha > 0)[..., None], alpha]).astype(np.uint8)
    save(tmp_path / "set/cat.png", pixels)
    codes = {one.code for one in report(tmp_path / "set", "cutouts", cache=tmp_path / "cache").findings}
    assert "colour-keyed" in codes


def test_the_duration_is_that_of_the_film(tmp_path: Path) -> None:
    """Ten frames at 50 frames/s take 0.2 s, by headers and decoded."""
    path = tmp_path / "set/cat.mkv"
    path.parent.mkdir()
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=50)
        stream.height, stream.width = cutout(0).shape[:2]
        stream.pix_fmt = "bgra"
        for number in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(cutout(number).astype(np.uint8), format="rgba")))
        container.mux(stream.encode(None))
    for cache in (None, tmp_path / "cache"):
        (one,) = report(tmp_path / "set", "alpha-videos", cache=cache).holdings
        assert (one.frames, one.seconds) == (10, pytest.approx(0.2, abs=0.03))


@pytest.mark.parametrize("rate", [None, 12.5, 50])
def test_the_frame_rate_of_an_entry_sets_the_duration_of_its_folders(tmp_path: Path, rate: float | None) -> None:
    """Six pictures at 25, 12.5 or 50 frames/s take 0.24, 0.48 or 0.12 s; those of other entries and videos do not."""
    for number in range(FRAMES):
        save(tmp_path / f"film/fgr/cat/{number:04d}.png", colour(number))
        save(tmp_path / f"film/pha/cat/{number:04d}.png", matte(number))
        save(tmp_path / f"plates/street/{number:04d}.png", scenery(number))
    save_video(tmp_path / "roads/road.mp4", scenery, 0)  # 6 frames at 25 frames/s
    rated = {"frame_rate": rate} if rate else {}
    foregrounds = [{"path": "film"} | rated]
    for cache in (None, tmp_path / "cache"):
        for is_rated in (False, True):
            backgrounds = [{"path": "plates"} | (rated if is_rated else {}), {"path": "roads"} | rated]
            file = written(tmp_path, {"train": {"foregrounds": foregrounds, "backgrounds": backgrounds}})
            seconds = {one.kind: one.seconds for one in report(file, "auto", cache=cache).holdings}
            film, usual = FRAMES / (rate or 25), FRAMES / 25
            behind = (film if is_rated else usual) + usual
            assert seconds == {"video": pytest.approx(film), "background": pytest.approx(behind, abs=0.01)}
