"""Small look-alikes of the data sets that the known layouts read, with decodable pictures and videos.

Folders and names are those of the published sets. Pictures are drawn with Pillow and PyAV only, so that nothing here is
shared with the readers under test.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

SIZE = (40, 48)  # rows, columns; even, as 4:2:0 video needs
FRAMES = 6
Names = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Expected:
    """The layout of a look-alike, and the names of its foregrounds and backgrounds by split; {} if it has none.

    A set without splits has the same names in both.
    """

    layout: str
    foregrounds: Names
    backgrounds: Names


def draw(name: str, root: Path) -> Expected:
    """Draw a look-alike, a key of `LOOK_ALIKES`, into a folder, and return what a reader should find."""
    root.mkdir(parents=True, exist_ok=True)
    return LOOK_ALIKES[name](root)


# Pictures


def colour(number: int) -> np.ndarray:
    """Foreground colour (H, W, 3) uint8, different for each number."""
    rows, columns = np.indices(SIZE)
    return np.dstack(((rows * 4 + number * 37) % 256, (columns * 5) % 256, np.full(SIZE, 60 + number * 11 % 190)))


def matte(number: int) -> np.ndarray:
    """Alpha (H, W) uint8: a soft disc that moves with the number; exactly 255 inside and 0 in the corners."""
    rows, columns = np.indices(SIZE)
    distance = np.hypot(rows - SIZE[0] / 2, columns - SIZE[1] / 2 - number % 5)
    return np.clip((14 - distance) * 40 + 128, 0, 255)


def scenery(number: int) -> np.ndarray:
    """Background colour (H, W, 3) uint8, different for each number."""
    rows, columns = np.indices(SIZE)
    return np.dstack((np.full(SIZE, number * 29 % 256), (rows + columns + number) * 2 % 256, columns * 3 % 256))


def cutout(number: int) -> np.ndarray:
    return np.dstack((colour(number), matte(number)))


def trimap(number: int) -> np.ndarray:
    alpha = matte(number)
    return np.where(alpha == 255, 255, np.where(alpha == 0, 0, 128))


def photo(number: int) -> np.ndarray:
    """A picture (H, W, 3) whose foreground is still mixed with its background."""
    alpha = matte(number)[..., None] / 255
    return np.rint(alpha * colour(number) + (1 - alpha) * scenery(number))


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"quality": 95} if path.suffix == ".jpg" else {}
    Image.fromarray(pixels.astype(np.uint8)).save(path, **options)


Drawing = Callable[[int], np.ndarray]


def save_frames(folder: Path, drawing: Drawing, first: int, *, digits: int = 5, suffix: str = ".jpg") -> None:
    """Write `FRAMES` numbered pictures, from 00000."""
    for index in range(FRAMES):
        save(folder / f"{index:0{digits}}{suffix}", drawing(first + index))


def save_video(path: Path, drawing: Drawing, first: int, *, codec: str = "libx264", form: str = "yuv420p") -> None:
    """Write `FRAMES` frames at 25 per second; grey drawings become equal R, G and B."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(25), options=OPTIONS.get(codec, {}))
        stream.height, stream.width, stream.pix_fmt = *SIZE, form
        if form.startswith("yuv"):
            stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1  # BT.709, limited
        for frame in video_frames(drawing, first, form):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


OPTIONS = {
    "libx264": {"crf": "8", "preset": "ultrafast"},
    "libvpx-vp9": {"lossless": "1"},
    "prores_ks": {"profile": "4444"},
}


def video_frames(drawing: Drawing, first: int, form: str) -> Iterator[av.VideoFrame]:
    for index in range(FRAMES):
        pixels = drawing(first + index).astype(np.uint8)
        if pixels.ndim == 2:
            pixels = np.dstack([pixels] * 3)
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(pixels), format="rgba" if pixels.shape[2] == 4 else "rgb24"
        )
        is_yuv = form.startswith("yuv")
        yield frame.reformat(format=form, dst_colorspace="ITU709", dst_color_range="MPEG") if is_yuv else frame


# Sets with splits


def dvm(root: Path) -> Expected:
    for split, first in (("train", 0), ("test", 20)):
        save(root / f"fg/image/{split}/fg/cat-{first}.png", colour(first))
        save(root / f"fg/image/{split}/alpha/cat-{first}.png", matte(first))
        save_video(root / f"fg/video/{split}/{first:04}/f.mp4", colour, first)
        save_video(root / f"fg/video/{split}/{first:04}/a.mp4", matte, first)
        for number in range(2):
            save_video(root / f"bg/{split}/{first + number:04}.mp4", scenery, first + 7 * number)
    save(root / "fg/image/test/trimap/cat-20.png", trimap(20))
    return Expected(
        "dvm",
        {"train": ("cat-0", "0000"), "test": ("cat-20", "0020")},
        {"train": ("0000", "0001"), "test": ("0020", "0021")},
    )


# 0100 is one of the four clips that RobustVideoMatting's training guide moves to valid/
VIDEOMATTE = {"train": ("0001", "0002", "0100", "0345"), "test": ("0479", "0480")}
VIDEOMATTE_EXPECTED = Expected("videomatte240k", VIDEOMATTE | {"train": ("0001", "0002", "0345")}, {})


def videomatte240k(root: Path) -> Expected:
    """JPEG form; some mattes have one channel, some three."""
    for split, clips in VIDEOMATTE.items():
        for clip in clips:
            save_frames(root / split / "fgr" / clip, colour, int(clip))
            grey = matte if int(clip) % 2 else lambda number: np.dstack([matte(number)] * 3)
            save_frames(root / split / "pha" / clip, grey, int(clip))
    return VIDEOMATTE_EXPECTED


def videomatte240k_mp4(root: Path) -> Expected:
    for split, clips in VIDEOMATTE.items():
        for clip in clips:
            save_video(root / split / "fgr" / f"{clip}.mp4", colour, int(clip))
            save_video(root / split / "pha" / f"{clip}.mp4", matte, int(clip))
    return VIDEOMATTE_EXPECTED


def rvm_backgrounds(root: Path) -> Expected:
    """Both splits have an id 0003, of different videos."""
    for split, clips in {"train": (1, 3), "test": (3, 7)}.items():
        for clip in clips:
            first = clip if split == "train" else clip + 100
            save_frames(root / split / f"{clip:04}", scenery, first, digits=4)
    return Expected("rvm-backgrounds", {}, {"train": ("0001", "0003"), "test": ("0003", "0007")})


ADOBE_TRAIN = {"Adobe-licensed images": ("dandelion-1_o", "girl-beautiful-53000"), "Other": ("5452623794_2d",)}
ADOBE_TEST = ("16452523375_08591714cf_o", "retriever-348572_1920 (1)")


def adobe(root: Path) -> Expected:
    """Combined_Dataset: JPEG for training, PNG with 20 trimaps for tests; lists without a final newline."""
    for folder, names in ADOBE_TRAIN.items():
        for name in names:
            save(root / "Training_set" / folder / "fg" / f"{name}.jpg", colour(len(name)))
            save(root / "Training_set" / folder / "alpha" / f"{name}.jpg", matte(len(name)))
    (root / "Training_set/Other/license_info.txt").write_text("https://example.org/5452623794\n", encoding="utf-8")
    for name in ADOBE_TEST:
        folder = root / "Test_set/Adobe-licensed images"
        save(folder / "fg" / f"{name}.png", colour(len(name)))
        save(folder / "alpha" / f"{name}.png", matte(len(name)))
        for number in range(20):
            save(folder / "trimaps" / f"{name}_{number}.png", trimap(len(name)))
    train = tuple(sorted(name for names in ADOBE_TRAIN.values() for name in names))
    write_lines(root / "Training_set/training_fg_names.txt", [f"{name}.jpg" for name in train])
    write_lines(root / "Training_set/training_bg_names.txt", ["COCO_train2014_000000000009.jpg"])
    write_lines(root / "Test_set/test_fg_names.txt", [f"{name}.png" for name in ADOBE_TEST])
    write_lines(root / "Test_set/test_bg_names.txt", ["2007_000027.jpg"])
    (root / "README.txt").write_text("This is the data set.\n", encoding="utf-8")
    for part in ("Training_set/Composition_code.py", "Test_set/Composition_code.py"):
        (root / part).write_text("pass\n", encoding="utf-8")
    return Expected("adobe", {"train": train, "test": ADOBE_TEST}, {})


def write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines), encoding="utf-8")


def bg20k(root: Path) -> Expected:
    splits = {"train": ("h_0a1b2c3d", "h_0a1b2c3e"), "testval": ("h_ffee0011", "h_ffee0022")}
    for split, names in splits.items():
        for number, name in enumerate(names):
            save(root / split / f"{name}.jpg", scenery(3 * number + len(split)))
    return Expected("bg20k", {}, {"train": splits["train"], "test": splits["testval"]})


def videomatting108(root: Path) -> Expected:
    """frame_corr.json lists a .jpg background whose files are .png; one category has a space."""
    clips = {  # foreground, background, suffix in the list
        "train": (("girl/clip_01", "city/bg_7", ".png"), ("plush toy/bear", "forest/bg_2", ".jpg")),
        "val": (("dog/clip_02", "sea/bg_1", ".png"),),
    }
    pairs = {}
    for split, listed in clips.items():
        for number, (foreground, background, suffix) in enumerate(listed):
            save_frames(root / "FG_done" / foreground, cutout, 10 * number + len(split), suffix=".png")
            save_frames(root / "BG_done" / background, scenery, 10 * number + len(split), suffix=".png")
            pairs |= {f"{foreground}/{i:05}.png": f"{background}/{i:05}{suffix}" for i in range(FRAMES)}
        (root / f"{split}_videos.txt").write_text("".join(f"{one[0]}\n" for one in listed), encoding="utf-8")
        (root / f"{split}_videos_subset.txt").write_text(f"{listed[0][0]}\n", encoding="utf-8")
    (root / "frame_corr.json").write_text(json.dumps(pairs), encoding="utf-8")
    save_frames(root / "flow_png/dog/clip_02", matte, 0, suffix=".png")
    return Expected(
        "videomatting108",
        {"train": ("girl_clip_01", "plush toy_bear"), "test": ("dog_clip_02",)},
        {"train": ("city_bg_7", "forest_bg_2"), "test": ("sea_bg_1",)},
    )


def distinctions646(root: Path) -> Expected:
    splits = {"Train": ("13(2)", "girl 7"), "Test": ("test_0", "test_1")}
    for split, names in splits.items():
        for number, name in enumerate(names):
            save(root / split / "FG" / f"{name}.png", colour(number))
            save(root / split / "GT" / f"{name}.png", matte(number))
            if split == "Test":
                save(root / split / "Trimap" / f"{name}.png", trimap(number))
    return Expected("distinctions646", {"train": splits["Train"], "test": splits["Test"]}, {})


def distinctions646_ori(root: Path) -> Expected:
    """The folder names of the published script."""
    for split, name in (("Train_ori", "13(2)"), ("Test_ori", "test_0")):
        save(root / split / "Fg_images" / f"{name}.png", colour(3))
        save(root / split / "Alpha_matte" / f"{name}.png", matte(3))
    return Expected("distinctions646", {"train": ("13(2)",), "test": ("test_0",)}, {})


# fgr/ and pha/


def imagematte(root: Path) -> Expected:
    """RobustVideoMatting's ImageMatte: stills, with a split valid."""
    splits = {"train": ("girl-1467820_1280", "h_005"), "valid": ("man-2",)}
    for split, names in splits.items():
        for number, name in enumerate(names):
            save(root / split / "fgr" / f"{name}.jpg", colour(number))
            save(root / split / "pha" / f"{name}.jpg", matte(number))
    return Expected("fgr-pha", {"train": splits["train"], "test": splits["valid"]}, {})


def fgr_pha(root: Path) -> Expected:
    """No splits: a still with another suffix for its matte, a video, and a folder of frames."""
    save(root / "fgr/still.jpg", colour(1))
    save(root / "pha/still.png", matte(1))
    save_video(root / "fgr/clip a.mp4", colour, 2)
    save_video(root / "pha/clip a.mkv", matte, 2)
    save_frames(root / "fgr/frames", colour, 3, suffix=".png")
    save_frames(root / "pha/frames", matte, 3, suffix=".png")
    names = ("clip a", "frames", "still")
    return Expected("fgr-pha", {"train": names, "test": names}, {})


def fgr_new(root: Path) -> Expected:
    """MatAnyone's folder name for colours."""
    for number in range(2):
        save_frames(root / f"fgr_new/vid_{number}", colour, number)
        save_frames(root / f"pha/vid_{number}", matte, number)
    return Expected("fgr-pha", {"train": ("vid_0", "vid_1"), "test": ("vid_0", "vid_1")}, {})


# Pictures beside masks


def pictures_and_masks(root: Path, folders: dict[str, dict[str, str]], names: tuple[str, ...]) -> None:
    """Write pictures and masks: {folder: {"original": ".jpg", "mask": ".png"}}."""
    drawings = {"mask": matte, "matte": matte, "alpha": matte, "alphas": matte, "trimap": trimap}
    for folder, parts in folders.items():
        for part, suffix in parts.items():
            for number, name in enumerate(names):
                save(root / folder / part / f"{name}{suffix}", drawings.get(part, photo)(number))


def am2k(root: Path) -> Expected:
    train = {"original": ".jpg", "mask": ".png", "fg": ".png", "bg": ".png"}
    pictures_and_masks(root, {"train": train}, ("m_0a1b2c3d", "m_0a1b2c3e"))
    pictures_and_masks(root, {"validation": {"original": ".jpg", "mask": ".png", "trimap": ".png"}}, ("m_ff000000",))
    return Expected("image-mask", {"train": ("m_0a1b2c3d", "m_0a1b2c3e"), "test": ("m_ff000000",)}, {})


def p3m10k(root: Path) -> Expected:
    pictures_and_masks(root, {"train": {"blurred_image": ".jpg", "mask": ".png"}}, ("p_00000001", "p_00000002"))
    parts = {"mask": ".png", "trimap": ".png"}
    pictures_and_masks(root, {"validation/P3M-500-P": parts | {"blurred_image": ".jpg"}}, ("p_0000000a",))
    pictures_and_masks(root, {"validation/P3M-500-NP": parts | {"original_image": ".jpg"}}, ("p_0000000b",))
    return Expected("image-mask", {"train": ("p_00000001", "p_00000002"), "test": ("p_0000000a", "p_0000000b")}, {})


def aim500(root: Path) -> Expected:
    parts = {"original": ".jpg", "mask": ".png", "trimap": ".png", "usr": ".png"}
    pictures_and_masks(root, {".": parts}, ("o_1234abcd", "o_5678abcd"))
    names = ("o_1234abcd", "o_5678abcd")
    return Expected("image-mask", {"train": names, "test": names}, {})


def ppm100(root: Path) -> Expected:
    pictures_and_masks(root, {".": {"image": ".jpg", "matte": ".jpg"}}, ("10006_o", "10007_o"))
    return Expected("image-mask", {"train": ("10006_o", "10007_o"), "test": ("10006_o", "10007_o")}, {})


def transparent460(root: Path) -> Expected:
    pictures_and_masks(root, {"Train": {"fg": ".jpg", "alpha": ".jpg"}}, ("1", "10", "2"))
    pictures_and_masks(root, {"Test": {"fg": ".png", "alpha": ".png", "trimap": ".png"}}, ("11",))
    return Expected("image-mask", {"train": ("1", "10", "2"), "test": ("11",)}, {})


def hhm50k(root: Path) -> Expected:
    parts = {"images": ".jpg", "alphas": ".png", "foregrounds": ".jpg", "backgrounds": ".jpg"}
    pictures_and_masks(root, {".": parts}, ("a1", "a2"))
    return Expected("image-mask", {"train": ("a1", "a2"), "test": ("a1", "a2")}, {})


# Folders of files


def cutouts(root: Path) -> Expected:
    for number, name in enumerate(("fern", "glass (2)")):
        save(root / f"{name}.png", cutout(number))
    return Expected("cutouts", {"train": ("fern", "glass (2)"), "test": ("fern", "glass (2)")}, {})


def alpha_videos(root: Path) -> Expected:
    save_video(root / "prores.mov", cutout, 1, codec="prores_ks", form="yuva444p10le")
    save_video(root / "vp9.webm", cutout, 4, codec="libvpx-vp9", form="yuva420p")
    return Expected("alpha-videos", {"train": ("prores", "vp9"), "test": ("prores", "vp9")}, {})


def alpha_frames(root: Path) -> Expected:
    for number, name in enumerate(("smoke", "steam")):
        save_frames(root / name, cutout, 9 * number, suffix=".png")
    return Expected("alpha-videos", {"train": ("smoke", "steam"), "test": ("smoke", "steam")}, {})


def stills(root: Path) -> Expected:
    """A flat folder of background stills."""
    for number in range(3):
        save(root / f"{number:016x}.jpg", scenery(number))
    names = tuple(f"{number:016x}" for number in range(3))
    return Expected("bg20k", {}, {"train": names, "test": names})


def videos(root: Path) -> Expected:
    for number, name in enumerate(("street", "woods")):
        save_video(root / f"{name}.mp4", scenery, 11 * number)
    return Expected("videos", {}, {"train": ("street", "woods"), "test": ("street", "woods")})


LOOK_ALIKES: dict[str, Callable[[Path], Expected]] = {
    "dvm": dvm,
    "videomatte240k": videomatte240k,
    "videomatte240k-mp4": videomatte240k_mp4,
    "rvm-backgrounds": rvm_backgrounds,
    "adobe": adobe,
    "bg20k": bg20k,
    "stills": stills,
    "videomatting108": videomatting108,
    "fgr-pha": fgr_pha,
    "fgr-new": fgr_new,
    "imagematte": imagematte,
    "am-2k": am2k,
    "p3m-10k": p3m10k,
    "aim-500": aim500,
    "ppm-100": ppm100,
    "transparent-460": transparent460,
    "hhm-50k": hhm50k,
    "distinctions646": distinctions646,
    "distinctions646-ori": distinctions646_ori,
    "cutouts": cutouts,
    "alpha-videos": alpha_videos,
    "alpha-frames": alpha_frames,
    "videos": videos,
}
