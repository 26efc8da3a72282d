"""`check` of trees with one defect each: the finding's code, its path, and nothing else; a sound tree has none."""

import json
import os
import shutil
import signal
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from conftest import TreeWriter, soft_disc
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dvm_hf.check import check_cache, videos, worker_check
from dvm_hf.check.build_estimate import build_estimate, synthetic_costs
from dvm_hf.check.check_cache import CheckCache
from dvm_hf.check.findings import SEVERITIES, finding
from dvm_hf.check.report import Report, check
from dvm_hf.check.rules import RULES
from dvm_hf.check.source import Facts, Source, SourceCheck
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.windows import render
from dvm_hf.dataset.config import DVMConfig, plans
from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Size
from dvm_hf.media.video_measures import Measures
from dvm_hf.sources.tree import SPLITS, survey

STILL = "fg/image/train"
SIZE = (48, 64)  # px of the drawn videos


def drawn_soundly(root: Path) -> Path:
    """Both splits with a still, a moving foreground and two backgrounds, no two files alike."""
    tree = TreeWriter(root)
    for split, shift in (("train", 0), ("test", 3)):
        tree.still("disc", split=split, value=200 - shift)
        tree.moving("0000", split=split, frames=12 + shift)
        for number in range(2):
            tree.background(f"{10 * shift + number:04}", split=split, frames=12 + shift + number)
    return root


@pytest.fixture(scope="session")
def sound_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn_soundly(tmp_path_factory.mktemp("sound") / "DVM")


@pytest.fixture
def root(sound_tree: Path, tmp_path: Path) -> Path:
    """A copy of the sound tree, to damage."""
    return shutil.copytree(sound_tree, tmp_path / "DVM")


def looked_at(root: Path, *, deep: bool = False, require_rows: bool = False, **fields: object) -> Report:
    pairs = fields.pop("pairs", None)
    configs = [
        DVMConfig(name=name, data_dir=str(root), pairs=pairs if name == "test" else None, **fields)  # type: ignore[arg-type]
        for name in ("train", "test")
    ]
    checked = CheckCache(root.parent / "checked", root) if deep else None
    return check(root, configs=configs, checked=checked, processes=0, require_rows=require_rows)


def found(root: Path, **options: object) -> list[tuple[str, str]]:
    return [(one.code, one.path) for one in looked_at(root, **options).findings]  # type: ignore[arg-type]


@pytest.mark.parametrize("deep", [False, True])
def test_nothing_is_found_in_a_sound_tree(sound_tree: Path, tmp_path: Path, deep: bool) -> None:
    assert found(sound_tree, deep=deep) == []


@pytest.mark.parametrize("deep", [False, True])
def test_nothing_is_found_in_the_demos_sources(drawn_sources: Path, deep: bool) -> None:
    assert found(drawn_sources, deep=deep, pairs="test_fg_bg_names.txt") == []


# Layout


def move(old: str, new: str) -> Callable[[Path], object]:
    return lambda root: (root / old).rename(root / new)


def remove(path: str) -> Callable[[Path], object]:
    return lambda root: (root / path).unlink()


def copy(old: str, new: str) -> Callable[[Path], object]:
    return lambda root: shutil.copy(root / old, root / new)


def write(path: str, data: bytes = b"x") -> Callable[[Path], object]:
    def change(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)

    return change


def cut(path: str, *, keep: float) -> Callable[[Path], object]:
    def change(root: Path) -> None:
        data = (root / path).read_bytes()
        (root / path).write_bytes(data[: int(len(data) * keep)])

    return change


LAYOUT: dict[str, tuple[Callable[[Path], object], list[tuple[str, str]]]] = {
    "misspelt top folder": (
        move("bg", "backgrounds"),
        [("folder-misspelt", "backgrounds"), ("tree-empty", ".")],
    ),
    "misspelt split": (
        move("bg/test", "bg/Test"),
        [("folder-misspelt", "bg/Test"), ("split-empty", ".")],
    ),
    "misspelt part": (
        move(f"{STILL}/alpha", f"{STILL}/alphas"),
        [
            ("no-alpha", f"{STILL}/fg/disc.png"),
            ("folder-misspelt", f"{STILL}/alphas"),
        ],
    ),
    "missing part": (
        lambda root: shutil.rmtree(root / STILL / "alpha"),
        [("folder-missing", f"{STILL}/alpha"), ("no-alpha", f"{STILL}/fg/disc.png")],
    ),
    "missing split": (
        lambda root: [shutil.rmtree(root / part / "test") for part in ("fg/image", "fg/video", "bg")],
        [("split-empty", ".")],
    ),
    "nothing at all": (
        lambda root: [shutil.rmtree(root / part) for part in ("fg", "bg")],
        [("tree-empty", ".")],
    ),
    "f without a": (remove("fg/video/train/0000/a.mp4"), [("no-alpha", "fg/video/train/0000")]),
    "a without f": (remove("fg/video/train/0000/f.mp4"), [("no-colour", "fg/video/train/0000")]),
    "colour without alpha": (
        copy(f"{STILL}/fg/disc.png", f"{STILL}/fg/other.png"),
        [("no-alpha", f"{STILL}/fg/other.png")],
    ),
    "alpha without colour": (
        copy(f"{STILL}/alpha/disc.png", f"{STILL}/alpha/other.png"),
        [("no-colour", f"{STILL}/alpha/other.png")],
    ),
    "trimap without still": (
        copy("fg/image/test/trimap/disc.png", "fg/image/test/trimap/other.png"),
        [("trimap-without-still", "fg/image/test/trimap/other.png")],
    ),
    "still without trimap": (
        lambda root: (TreeWriter(root).still("two", split="test", value=9).parents[1] / "trimap/two.png").unlink(),
        [("still-without-trimap", "fg/image/test/fg/two.png")],
    ),
    "trimaps of train": (
        lambda root: (root / STILL / "trimap").mkdir(),
        [("trimap-unread", f"{STILL}/trimap")],
    ),
    "stray file": (write("bg/train/notes.txt"), [("stray", "bg/train/notes.txt")]),
    "stray folder": (write("fg/image/train/old_versions/x.png"), [("stray", "fg/image/train/old_versions")]),
    "stray video": (write("fg/video/train/0000/extra.mp4"), [("stray", "fg/video/train/0000/extra.mp4")]),
    "stray folder at the top": (write("zzz/x.png"), [("stray", "zzz")]),
    "prepared shards": (write("prepared/manifest.json"), []),
    "notes at the top": (write("README.md"), []),
    "a file of no kind at the top": (write("licence"), []),
    "case": (
        lambda root: TreeWriter(root).still("DISC", value=77),
        [("case-collision", f"{STILL}/alpha/disc.png"), ("case-collision", f"{STILL}/fg/disc.png")],
    ),
    "accents": (
        lambda root: [
            TreeWriter(root).background(name, frames=20 + i) for i, name in enumerate(("cafe\u0301", "caf\u00e9"))
        ],
        [("same-name", "bg/train/caf\u00e9.mp4"), ("case-collision", "bg/train/caf\u00e9.mp4")],
    ),
    "shared background": (
        copy("bg/train/0000.mp4", "bg/test/0900.mp4"),
        [("shared-content", "bg/train/0000.mp4")],
    ),
    "shared still": (
        copy("fg/image/train/fg/disc.png", "fg/image/test/fg/disc.png"),
        [("shared-foreground", "fg/image/train/fg/disc.png")],
    ),
    "shared moving foreground": (
        copy("fg/video/train/0000/f.mp4", "fg/video/test/0000/f.mp4"),
        [("counts-differ", "fg/video/test/0000"), ("shared-foreground", "fg/video/train/0000/f.mp4")],
    ),
    "colour for an alpha": (
        copy(f"{STILL}/fg/disc.png", f"{STILL}/alpha/disc.png"),
        [("alpha-is-colour", f"{STILL}/alpha/disc.png"), ("alpha-not-grey", f"{STILL}/alpha/disc.png")],
    ),
    "f for a": (
        copy("fg/video/train/0000/f.mp4", "fg/video/train/0000/a.mp4"),
        [("alpha-is-colour", "fg/video/train/0000/a.mp4")],
    ),
    "alpha for a trimap": (
        copy("fg/image/test/alpha/disc.png", "fg/image/test/trimap/disc.png"),
        [("trimap-is-copy", "fg/image/test/trimap/disc.png")],
    ),
    "one matte of two stills": (
        lambda root: TreeWriter(root).still("other", value=50),
        [],
    ),
    "duplicate": (copy("bg/train/0000.mp4", "bg/train/0900.mp4"), [("duplicate", "bg/train/0900.mp4")]),
    "empty file": (write("bg/train/0000.mp4", b""), [("empty", "bg/train/0000.mp4")]),
    "link out": (
        lambda root: (root / "bg/train/9.mp4").symlink_to("/etc/passwd"),
        [("link-out", "bg/train/9.mp4")],
    ),
    "pipe": (lambda root: os.mkfifo(root / "bg/train/9.mp4"), [("not-a-file", "bg/train/9.mp4")]),
}


@pytest.mark.parametrize("damage", LAYOUT)
def test_layout(root: Path, damage: str) -> None:
    change, expected = LAYOUT[damage]
    change(root)
    assert sorted(found(root)) == sorted(expected)


def test_a_folder_that_leads_out_of_the_root_is_not_even_listed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "diary.mp4").write_bytes(b"x")
    shutil.rmtree(root / "bg/test")
    (root / "bg/test").symlink_to(tmp_path / "secret")
    report = looked_at(root)
    assert ("link-out", "bg/test") in [(one.code, one.path) for one in report.findings]
    assert "diary" not in json.dumps(report.plain())


ESCAPE = "\x1b[2J"


def test_no_control_character_of_a_name_gets_out(root: Path) -> None:
    (root / "fg/video/train" / ESCAPE).symlink_to("nowhere")
    (root / "fg/video/train" / f"{ESCAPE}.txt").write_text("x")
    shutil.copy(root / B, root.parent / f"{ESCAPE}.mp4")
    (root / "bg/train/out.mp4").symlink_to(root.parent / f"{ESCAPE}.mp4")
    (root / "bg/train" / f"{ESCAPE}.avi").write_bytes(b"x")
    os.link(root / "bg/train/0000.mp4", root / "bg/test" / f"{ESCAPE}.mp4")
    (root / f"fg/image/train/{ESCAPE}").mkdir()
    told = looked_at(root).findings
    assert {"dead-link", "link-out", "bad-name", "shared-background", "stray"} <= {one.code for one in told}
    for text in (*map(str, told), *(str(one) for split in SPLITS for one in survey(root, split).problems)):
        assert text.isprintable(), ascii(text)
    assert all(path.isprintable() for split in SPLITS for path in survey(root, split).passed_over)


def test_a_stray_file_is_told_what_may_lie_there(root: Path) -> None:
    folder = root / "fg/video/train/0000"
    shutil.copy(folder / "f.mp4", folder / "F.MP4")
    (root / "bg/train/more").mkdir()
    (root / "bg/train/x.doc").write_bytes(b"x")
    (root / "fg/video/train/notes.txt").write_bytes(b"x")
    told = {one.path: one.text.partition("; ")[2] for one in looked_at(root).findings if one.code == "stray"}
    assert told["fg/video/train/0000/F.MP4"] == "its name must be f or a in lower case, such as f.mp4"
    assert told["bg/train/more"] == "folders here are not searched"
    assert told["bg/train/x.doc"].startswith("files here end in .mp4, ")
    assert told["fg/video/train/notes.txt"] == "a foreground is a folder with f.mp4 and a.mp4"


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        looked_at(tmp_path / "nowhere")


def test_files_of_one_size_that_differ_in_the_middle_are_no_duplicates(root: Path) -> None:
    path = root / "bg/train/0000.mp4"
    data = bytearray(path.read_bytes() + struct.pack(">I4s", 8 + 300_000, b"free") + bytes(300_000))
    path.write_bytes(data)
    data[-150_000] = 1
    (root / "bg/train/0900.mp4").write_bytes(data)
    assert found(root) == []


PAIRS = {
    "sound": (b"image+disc.png+0030.mp4\nvideo+0000+0031.mp4\n", []),
    "missing background": (b"image+disc.png+0030.mp4\nimage+disc.png+9.mp4\n", ["pair-missing"]),
    "missing still": (b"image+disc.png+0030.mp4\nimage+no.png+0031.mp4\n", ["pair-missing"]),
    "missing folder": (b"image+disc.png+0030.mp4\nvideo+0077+0031.mp4\n", ["pair-missing"]),
    "bad lines": (b"nonsense\nimage+disc.png+0030.mp4\nimage+../x+0030.mp4\n", ["pair-line", "pair-line"]),
    "empty": (b"\n", ["plan"]),
    "many bad lines": (b"nonsense\n" * 1001, ["pair-line"] * 1000 + ["pair-lines"]),
}


@pytest.mark.parametrize("case", PAIRS)
def test_pair_lists(root: Path, case: str) -> None:
    data, expected = PAIRS[case]
    (root / "pairs.txt").write_bytes(data)
    assert sorted(code for code, _ in found(root, pairs="pairs.txt")) == sorted(expected)


# Stills


def save(path: str, pixels: np.ndarray, **options: object) -> Callable[[Path], object]:
    return lambda root: Image.fromarray(pixels).save(root / path, **options)


ALPHA, COLOUR, TRIMAP = f"{STILL}/alpha/disc.png", f"{STILL}/fg/disc.png", "fg/image/test/trimap/disc.png"
DISC = soft_disc(48, 40)
TESTED = DISC  # the split test has the same matte
HEADERS: dict[str, tuple[Callable[[Path], object], list[tuple[str, str]]]] = {
    "text for a still": (write(COLOUR, b"just words"), [("still-unreadable", COLOUR)]),
    "size of the alpha": (save(ALPHA, soft_disc(48, 42)), [("size-differs", COLOUR)]),
    "size of the trimap": (save(TRIMAP, np.zeros((9, 9), np.uint8)), [("trimap-size", TRIMAP)]),
    "alpha of 16 bit": (save(ALPHA, DISC.astype(np.uint16) * 257), [("alpha-16-bit", ALPHA)]),
    "alpha in RGB": (save(ALPHA, np.dstack([DISC] * 3)), [("alpha-not-grey", ALPHA)]),
    "alpha as its own channel": (save(ALPHA, np.dstack([DISC] * 4)), [("alpha-not-grey", ALPHA)]),
    "colour with alpha": (save(COLOUR, np.zeros((48, 40, 4), np.uint8)), [("colour-has-alpha", COLOUR)]),
    "CMYK": (
        lambda root: (
            Image.new("CMYK", (40, 48)).save(root / STILL / "fg/disc.jpg"),
            (root / COLOUR).unlink(),
        ),
        [("still-unreadable", f"{STILL}/fg/disc.jpg")],
    ),
    "palette": (lambda root: Image.new("P", (40, 48)).save(root / COLOUR), [("still-palette", COLOUR)]),
    "JPEG alpha": (
        lambda root: (
            Image.fromarray(DISC).save(root / STILL / "alpha/disc.jpg"),
            (root / ALPHA).unlink(),
        ),
        [("alpha-jpeg", f"{STILL}/alpha/disc.jpg")],
    ),
    "no end": (cut(COLOUR, keep=0.9), [("still-truncated", COLOUR)]),
}


@pytest.mark.parametrize("damage", HEADERS)
def test_headers_of_stills(root: Path, damage: str) -> None:
    change, expected = HEADERS[damage]
    change(root)
    assert found(root) == expected


def test_a_rotated_and_an_animated_still_are_noted(root: Path) -> None:
    turned = Image.new("RGB", (48, 40))
    exif = turned.getexif()
    exif[0x112] = 6
    turned.save(root / COLOUR, exif=exif, save_all=True, append_images=[Image.new("RGB", (48, 40), "red")])
    assert found(root) == [("still-animated", COLOUR), ("still-rotated", COLOUR)]


# Turned by a tag: what one of both has and the other has not


def oriented(path: str, tag: int, *, how: str = "exif") -> Callable[[Path], object]:
    """The same pixels, with an EXIF orientation that a viewer undoes."""

    def change(root: Path) -> None:
        image, exif, told = Image.open(root / path), Image.Exif(), PngInfo()
        image.load()
        exif[0x112] = tag
        if how == "xmp":
            told.add_itxt("XML:com.adobe.xmp", f'<rdf:Description tiff:Orientation="{tag}"/>')
        image.save(root / path, pnginfo=told, **({"exif": exif} if how == "exif" else {}))
        if how == "behind":
            data = (root / path).read_bytes()
            part = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
            part = struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
            (root / path).write_bytes(data[:-12] + part + data[-12:])

    return change


def turned_film(path: str, degrees: int, *, size: tuple[int, int] = SIZE) -> Callable[[Path], object]:
    def change(root: Path) -> None:
        with av.open(str(root / path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
            stream.codec_context.color_range = stream.codec_context.colorspace = 1
            stream.set_display_rotation(degrees)
            for index in range(12):
                picture = (
                    np.dstack([soft_disc(*size)] * 3) if path.endswith("a.mp4") else np.full((*size, 3), 9 * index)
                )
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24")))
            container.mux(stream.encode(None))

    return change


def square(root: Path) -> None:
    TreeWriter(root).still("disc", size=(40, 40))


def build_error(root: Path, split: str = "train", **fields: Any) -> str:
    """The text that a build of these sources ends with, or none."""
    try:
        for plan in plans(DVMConfig(name=split, data_dir=str(root), clip_length=2, **fields)).clips:
            next(iter(render(plan, each=lambda frame: frame)))
    except SourceError as error:
        return str(error)
    return ""


def in_turn(*changes: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda root: [change(root) for change in changes]


APART = [("turned-apart", COLOUR)]
F_APART = [("turned-apart", "fg/video/train/0000/f.mp4")]
WIDE = soft_disc(40, 48)  # of the sides that the alpha has not
TURNED: dict[str, tuple[Callable[[Path], object], list[tuple[str, str]]]] = {
    "upside down": (oriented(COLOUR, 3), APART),
    "mirrored": (oriented(COLOUR, 2), APART),
    "alpha upside down": (oriented(ALPHA, 4), APART),
    "square on its side": (in_turn(square, oriented(COLOUR, 6)), APART),
    "in XMP": (oriented(COLOUR, 3, how="xmp"), APART),
    "behind the pixels": (oriented(COLOUR, 3, how="behind"), APART),
    "both": (in_turn(oriented(COLOUR, 3), oriented(ALPHA, 3)), []),
    "in XMP, both": (in_turn(oriented(COLOUR, 3, how="xmp"), oriented(ALPHA, 3)), []),
    "colour on its side, alpha upright": (in_turn(save(COLOUR, WIDE), oriented(COLOUR, 6)), []),
    "colour on its side, alpha stored so": (oriented(COLOUR, 6), [("size-differs", COLOUR)]),
    "on its side in XMP": (oriented(COLOUR, 6, how="xmp"), [("size-differs", COLOUR)]),
    "on its side behind the pixels": (oriented(COLOUR, 6, how="behind"), [("size-differs", COLOUR)]),
    "tag of no meaning": (oriented(COLOUR, 9), []),
    "f by half a turn": (turned_film("fg/video/train/0000/f.mp4", 180), F_APART),
    "a by half a turn": (turned_film("fg/video/train/0000/a.mp4", 180), F_APART),
    "f and a by half a turn": (
        in_turn(*(turned_film(f"fg/video/train/0000/{name}.mp4", 180) for name in "fa")),
        [],
    ),
    "f on its side, a upright": (turned_film("fg/video/train/0000/f.mp4", 90, size=(64, 48)), []),
    "f on its side, a stored so": (
        turned_film("fg/video/train/0000/f.mp4", 90),
        [("size-differs", "fg/video/train/0000/f.mp4")],
    ),
    "a transposed": (
        turned_film("fg/video/train/0000/a.mp4", 0, size=(64, 48)),
        [("size-differs", "fg/video/train/0000/f.mp4")],
    ),
}


@pytest.mark.parametrize("turn", TURNED)
def test_what_is_turned_unlike_its_alpha_is_refused_by_check_and_build_alike(root: Path, turn: str) -> None:
    change, expected = TURNED[turn]
    change(root)
    for deep in (False, True):
        assert [pair for pair in found(root, deep=deep) if pair[0] != "still-rotated"] == expected
    for recipe in ("dvm", "reference") if "XMP" not in turn and "behind" not in turn else ("dvm",):
        error = build_error(root, recipe=recipe)
        assert ("orientation tag" in error) == (("turned-apart") in [code for code, _ in expected]), error
        assert bool(error) == bool(expected)


def test_a_trimap_turned_unlike_its_alpha_is_refused_where_it_is_used(root: Path) -> None:
    oriented(TRIMAP, 3)(root)
    assert found(root) == [("trimap-turned", TRIMAP), ("still-rotated", TRIMAP)]
    assert build_error(root, "test") == ""
    assert "disc.png: has the orientation tag 3, but" in build_error(root, "test", trimap="provided")


def colourful(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels, pixels // 2, pixels])


def contradicting() -> np.ndarray:
    drawn = np.where(TESTED == 255, 255, np.where(TESTED == 0, 0, 128)).astype(np.uint8)
    drawn[:6, :6] = 255  # foreground, where alpha is 0
    return drawn


JPEG_TRIMAP = TRIMAP.replace(".png", ".jpg")


def specked(root: Path) -> None:
    Image.open(root / TRIMAP).save(root / JPEG_TRIMAP, quality=85)
    (root / TRIMAP).unlink()


def soft_trimap(root: Path) -> None:
    with Image.open(root / TRIMAP) as image:
        image.resize((80, 96), Image.Resampling.BILINEAR).resize((40, 48), Image.Resampling.BILINEAR).save(
            root / TRIMAP
        )


PIXELS: dict[str, tuple[Callable[[Path], object], list[tuple[str, str]]]] = {
    "coloured alpha": (
        save(ALPHA, colourful(DISC)),
        [("alpha-coloured", ALPHA), ("alpha-no-full", ALPHA), ("alpha-not-grey", ALPHA)],
    ),
    "no zero": (save(ALPHA, np.maximum(DISC, 7)), [("alpha-no-zero", ALPHA)]),
    "no full": (save(ALPHA, np.minimum(DISC, 240)), [("alpha-no-full", ALPHA)]),
    "nearly full": (
        save(ALPHA, np.where(DISC == 255, 254, DISC).astype(np.uint8)),
        [("alpha-nearly-full", ALPHA)],
    ),
    "nearly full but for a few": (
        save(ALPHA, np.where((DISC == 255) & (np.arange(40) > 8), 252, DISC).astype(np.uint8)),
        [("alpha-nearly-full", ALPHA)],
    ),
    "full but for a few": (save(ALPHA, np.where((DISC == 255) & (np.arange(40) > 20), 252, DISC).astype(np.uint8)), []),
    "specks of a JPEG": (specked, [("trimap-specks", JPEG_TRIMAP), ("trimap-values", JPEG_TRIMAP)]),
    "soft edges of a trimap": (soft_trimap, [("trimap-values", TRIMAP)]),
    "one value": (save(ALPHA, np.full_like(DISC, 255)), [("alpha-flat", ALPHA)]),
    "other trimap values": (
        save(TRIMAP, np.where(TESTED == 255, 255, np.where(TESTED == 0, 0, 102)).astype(np.uint8)),
        [("trimap-values", TRIMAP)],
    ),
    "contradiction": (save(TRIMAP, contradicting()), [("trimap-contradicts", TRIMAP)]),
    "cut short": (cut(ALPHA, keep=0.5), [("still-truncated", ALPHA), ("still-unreadable", ALPHA)]),
}


@pytest.mark.parametrize("damage", PIXELS)
def test_pixels_of_stills(root: Path, damage: str) -> None:
    change, expected = PIXELS[damage]
    change(root)
    assert found(root, deep=True) == expected
    of_headers = [pair for pair in expected if pair[0] in ("alpha-not-grey", "still-truncated")]
    assert found(root) == of_headers


def test_camera_stills_have_no_problem_but_the_trimaps_grey_is_told(camera_media: Path, root: Path) -> None:
    for part in ("foreground", "alpha", "trimap"):
        folder = {"foreground": "fg"}.get(part, part)
        shutil.copy(camera_media / f"lemur_{part}.png", root / "fg/image/test" / folder / "lemur.png")
    report = looked_at(root, deep=True)
    assert report.problems == 0
    (told,) = [one for one in report.findings if one.code == "trimap-values"]
    assert "102" in told.text


# Videos


def film(
    path: Path,
    frames: list[np.ndarray],
    *,
    full: bool = False,
    tagged: bool = True,
    rate: int = 25,
    times: list[int] | None = None,
) -> None:
    """H.264 of frames (H, W) of luma as stored, or (H, W, 3) of planes of luma and chroma as stored; crf 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "1", "bf": "0"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv444p"
        if tagged:
            stream.codec_context.colorspace, stream.codec_context.color_range = 1, 2 if full else 1
        stream.codec_context.time_base = Fraction(1, rate)
        for index, planes in enumerate(frames):
            whole = planes if planes.ndim == 3 else np.dstack([planes, *[np.full_like(planes, 128)] * 2])
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(whole.transpose(2, 0, 1)), format="yuv444p")
            if tagged:
                frame.colorspace, frame.color_range = 1, 2 if full else 1
            frame.pts, frame.time_base = times[index] if times else index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


MATTE = soft_disc(*SIZE).astype(int)
LIMITED = (16 + MATTE * 219 // 255).astype(np.uint8)
FULL = soft_disc(*SIZE)
F, A, B = "fg/video/train/0000/f.mp4", "fg/video/train/0000/a.mp4", "bg/train/0000.mp4"


def alpha_film(luma: np.ndarray, **options: bool) -> Callable[[Path], object]:
    return lambda root: film(root / A, [luma] * 12, **options)


def tinted(luma: np.ndarray) -> np.ndarray:
    return np.dstack([luma, np.full_like(luma, 90), np.full_like(luma, 150)])


def keyed(colour: int) -> Callable[[Path], object]:
    """A foreground that is black (16) or white (235) outside of its matte."""
    return lambda root: film(root / F, [np.where(MATTE > 0, 120 + i, colour).astype(np.uint8) for i in range(12)])


def with_gap(root: Path) -> None:
    film(root / B, [np.full(SIZE, 90 + i, np.uint8) for i in range(12)], times=[*range(6), *range(9, 15)])


def claiming(root: Path) -> None:
    """A background whose header lists two frames more than there are."""
    path = root / AVI
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuvj420p"
        for number in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((*SIZE, 3), 90 + number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    length = data.index(b"strh") + 8 + 32  # dwLength
    struct.pack_into("<I", data, length, 14)
    path.write_bytes(data)


def damaged(root: Path) -> None:
    """A background whose seventh frame is noise."""
    with av.open(str(root / B)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][6]
        start, size = packet.pos, packet.size
    data = bytearray((root / B).read_bytes())
    data[start : start + size] = b"\xff" * size
    (root / B).write_bytes(data)


def resized_midway(root: Path) -> None:
    """A background of two sizes: raw H.264 streams, one after the other, in a transport stream."""
    parts = []
    for size in (SIZE, (64, 80)):
        path = root.parent / "part.h264"
        with av.open(str(path), "w", format="h264") as container:
            stream = container.add_stream("libx264", rate=25, options={"crf": "20", "bf": "0"})
            stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
            for level in range(4):
                frame = av.VideoFrame.from_ndarray(np.full((*size, 3), 60 * level, np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        parts.append(path.read_bytes())
    path.write_bytes(b"".join(parts))
    (root / B).unlink()
    with av.open(str(path)) as source, av.open(str(root / B).replace(".mp4", ".ts"), "w") as target:
        copied = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            packet.stream, packet.pts, packet.dts = copied, number, number
            packet.time_base = Fraction(1, 25)
            target.mux(packet)


def cut_with_header(root: Path) -> None:
    """A background whose header stands first, and whose last third is missing."""
    fast = root / "fast.mp4"
    with (
        av.open(str(root / B)) as source,
        av.open(str(fast), "w", options={"movflags": "faststart"}) as target,
    ):
        copied = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copied
                target.mux(packet)
    data = fast.read_bytes()
    fast.unlink()
    (root / B).write_bytes(data[: len(data) - (len(data) - data.index(b"mdat")) // 3])


TS, AVI = "bg/train/0000.ts", "bg/train/0009.avi"
VIDEOS: dict[str, tuple[Callable[[Path], object], list[tuple[str, str]], list[tuple[str, str]]]] = {
    # what is done, what the headers tell, what decoding tells besides or instead
    "text for a video": (write(B, b"just words"), [("video-unreadable", B)], [("video-unreadable", B)]),
    "cut short": (cut(B, keep=0.5), [("video-unreadable", B)], [("video-unreadable", B)]),
    "counts": (
        lambda root: TreeWriter(root).moving("0000", frames=12, alpha_frames=10),
        [("counts-differ", "fg/video/train/0000")],
        [("counts-differ", "fg/video/train/0000")],
    ),
    "sizes": (
        lambda root: film(root / A, [LIMITED[:, :48]] * 12),
        [("size-differs", F)],
        [("size-differs", F)],
    ),
    "rates": (
        lambda root: film(root / A, [LIMITED] * 12, rate=30),
        [("rates-differ", "fg/video/train/0000")],
        [("rates-differ", "fg/video/train/0000")],
    ),
    "no tags": (
        lambda root: film(root / B, [np.full(SIZE, 90 + i, np.uint8) for i in range(9)], tagged=False),
        [("untagged", B)],
        [("untagged", B)],
    ),
    "a full alpha, tagged so": (alpha_film(FULL, full=True), [], []),
    "a limited alpha, tagged so": (alpha_film(LIMITED), [], []),
    "limited taken for full": (alpha_film(LIMITED, full=True), [], [("alpha-limited", A)]),
    "full taken for limited": (alpha_film(FULL), [], [("alpha-clipped", A)]),
    "full without a tag": (alpha_film(FULL, tagged=False), [("untagged", A)], [("alpha-clipped", A), ("untagged", A)]),
    "coloured alpha": (alpha_film(tinted(LIMITED)), [], [("alpha-coloured", A)]),
    "flat alpha": (alpha_film(np.full(SIZE, 235, np.uint8)), [], [("alpha-flat", A)]),
    "alpha without background": (alpha_film(np.maximum(LIMITED, 60)), [], [("alpha-no-zero", A)]),
    "black outside": (keyed(16), [], [("colour-keyed", F)]),
    "white outside": (keyed(235), [], [("colour-keyed", F)]),
    "uneven": (with_gap, [], [("variable-rate", B)]),
    "fewer frames than listed": (claiming, [], [("count-wrong", AVI)]),
    "a damaged frame": (damaged, [], [("undecodable", B)]),
    "header first, cut short": (
        cut_with_header,
        [("video-truncated", B)],
        [("undecodable", B), ("video-truncated", B)],
    ),
    "two sizes": (
        resized_midway,
        [("no-frame-count", TS), ("untagged", TS)],
        [("frame-size-changes", TS), ("no-frame-count", TS), ("untagged", TS)],
    ),
}


def cut_in_the_container(root: Path) -> None:
    """f.mp4 as `-ss ... -c copy` cuts it: frames before the cut stay, hidden by an edit list; a.mp4 encoded anew."""
    film(root / "long.mp4", [np.full(SIZE, 90 + i, np.uint8) for i in range(20)])
    with (
        av.open(str(root / "long.mp4")) as whole,
        av.open(str(root / F), "w", options={"avoid_negative_ts": "disabled"}) as part,
    ):
        source = whole.streams.video[0]
        stream = part.add_stream_from_template(source)
        for packet in whole.demux(source):
            if packet.dts is not None:
                shift = round(8 / 25 / source.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                part.mux(packet)
    (root / "long.mp4").unlink()


def with_times(path: str, times: list[int], *, unit: Fraction, suffix: str = ".mp4") -> Callable[[Path], object]:
    """A video whose frames stand at these multiples of a unit of time."""

    def change(root: Path) -> None:
        with av.open(str((root / path).with_suffix(suffix)), "w") as container:
            stream = container.add_stream("mpeg4", rate=round(1 / (unit * (times[1] - times[0]))))
            stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
            stream.codec_context.color_range = stream.codec_context.colorspace = 1
            stream.codec_context.time_base = unit
            for number, at in enumerate(times):
                frame = av.VideoFrame.from_ndarray(np.full((*SIZE, 3), number, np.uint8), format="rgb24")
                frame.pts, frame.time_base = at, unit
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    return change


def test_rounding_to_whole_ticks_is_no_variable_rate(root: Path) -> None:
    for rate, name in ((120, "a"), (144, "b"), (60, "c")):
        with_times(f"bg/train/{name}.mkv", list(range(40)), unit=Fraction(1, rate), suffix=".mkv")(root)
    assert [pair for pair in found(root, deep=True) if pair[0] == "variable-rate"] == []
    with_times("bg/train/d.mkv", [*range(20), *range(24, 40)], unit=Fraction(1, 120), suffix=".mkv")(root)
    with_times("bg/train/e.mkv", [4 * i + i // 3 for i in range(40)], unit=Fraction(1, 100), suffix=".mkv")(root)
    told = found(root, deep=True)
    assert [pair for pair in told if pair[0] == "variable-rate"] == [
        ("variable-rate", "bg/train/d.mkv"),
        ("variable-rate", "bg/train/e.mkv"),
    ]


def recorded(path: Path, *, frames: int = 20, late: int = 0) -> None:
    """VP8 in live WebM as a browser writes it, without a rate: jitter of 5 ms, from frame 10 on so many ms late."""
    plain = path.with_suffix(".plain.webm")
    with av.open(plain, "w") as out:
        stream = out.add_stream("libvpx", rate=30, options={"auto-alt-ref": "0", "lag-in-frames": "0"})
        stream.height, stream.width, stream.pix_fmt = (*SIZE, "yuv420p")
        for number in range(frames):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((*SIZE, 3), 10 * number, np.uint8))))
        out.mux(stream.encode(None))
    with av.open(plain) as source, av.open(path, "w", options={"live": "1"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            moved = av.Packet(bytes(packet))
            moved.time_base, moved.is_keyframe, moved.stream = Fraction(1, 1000), packet.is_keyframe, stream
            moved.pts = moved.dts = 33 * number + 5 * (number % 2) + (late if number > 9 else 0)
            out.mux(moved)
    plain.unlink()


@pytest.mark.parametrize(("late", "expected"), [(0, []), (11, []), (33, ["variable-rate"])])
def test_the_jitter_of_a_recording_without_a_rate_is_no_variable_rate(
    root: Path, late: int, expected: list[str]
) -> None:
    recorded(root / "bg/train/browser.webm", late=late)
    told = [code for code, where in found(root, deep=True) if where == "bg/train/browser.webm"]
    assert [code for code in told if "rate" in code] == expected


def test_a_rate_that_only_ffmpeg_estimates_is_not_compared(root: Path) -> None:
    folder = root / "fg/video/train/0000"
    (folder / "f.mp4").unlink()
    recorded(folder / "f.webm", frames=12)  # FFmpeg estimates 30 frames/s; a.mp4 has 25
    assert [code for code, _ in found(root) if "rate" in code] == []


def test_times_that_go_back_are_told_as_such() -> None:
    (told,) = videos._of_steps("x.ts", Measures(frames=5, steps=[0.04, 0.04, -0.16, 0.04], tick=0.001), 0.1)
    assert (told.code, told.text.count("0.16")) == ("time-goes-back", 1)


def test_a_cut_in_the_container_hides_frames_and_is_no_fault(root: Path) -> None:
    cut_in_the_container(root)
    told = [pair for pair in found(root) if pair[0] in ("counts-differ", "count-wrong")]
    assert told == found(root, deep=True) == []
    assert build_error(root) == ""


@pytest.mark.parametrize("damage", VIDEOS)
def test_videos(root: Path, damage: str) -> None:
    change, by_headers, by_decoding = VIDEOS[damage]
    change(root)
    assert found(root) == by_headers
    assert found(root, deep=True) == by_decoding


# Many processes, memory, interruption


def test_processes_find_what_one_finds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_check, "FEW", 0)
    for damage in (cut(COLOUR, keep=0.5), claiming, keyed(16)):
        damage(root)
    alone = [looked_at(root, deep=deep) for deep in (False, True)]
    shutil.rmtree(root.parent / "checked")
    configs = [DVMConfig(name=name, data_dir=str(root)) for name in ("train", "test")]
    together = [
        check(root, configs=configs, checked=checked, processes=2)
        for checked in (None, CheckCache(root.parent / "checked", root))
    ]
    for one, other in zip(alone, together, strict=True):
        assert (one.findings, one.holdings) == (other.findings, other.holdings)
        assert one.findings


def crashing(source: Source) -> SourceCheck:
    if source.kind == "background" and source.name == "0001":
        os.kill(os.getpid(), signal.SIGKILL)
    return SourceCheck((), Facts())


def test_a_file_that_takes_its_process_down_is_found_and_the_others_go_on(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(worker_check.METHODS, "decoding", crashing)
    report = looked_at_by(root, processes=2)
    assert [(one.code, one.path) for one in report.findings] == [("crash", "bg/train/0001.mp4")]
    assert sum(one.count for one in report.holdings) == 8


def ending(source: Source) -> SourceCheck:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_even_one_source_read_by_its_header_cannot_end_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TreeWriter(tmp_path / "DVM").background(frames=2)
    monkeypatch.setitem(worker_check.METHODS, "headers", ending)
    report = check(tmp_path / "DVM", configs=[], processes=1)
    assert [one.code for one in report.findings if one.severity == "error"] == ["crash", "tree-empty"][::-1]


def test_what_may_pass_is_looked_at_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(source: Source) -> SourceCheck:
        code = {"0000": "crash", "0001": "unreadable"}.get(source.name, "alpha-flat")
        return SourceCheck((finding(code, source.colour, value=1),), Facts())

    monkeypatch.setitem(worker_check.METHODS, "decoding", look)
    first = check(root, configs=[], checked=CheckCache(root.parent / "checked", root), processes=0)
    assert {"crash", "unreadable", "alpha-flat"} <= {one.code for one in first.findings}
    monkeypatch.setitem(worker_check.METHODS, "decoding", lambda source: SourceCheck((), Facts()))
    second = check(root, configs=[], checked=CheckCache(root.parent / "checked", root), processes=0)
    assert {one.code for one in second.findings} == {"alpha-flat"}


@pytest.mark.parametrize("deep", [False, True])
def test_a_file_that_vanishes_meanwhile_is_a_finding(root: Path, monkeypatch: pytest.MonkeyPatch, deep: bool) -> None:
    name = "decoding" if deep else "headers"
    look = worker_check.METHODS[name]

    def after_removal(source: Source) -> SourceCheck:
        (source.root / source.paths[-1]).unlink()
        return look(source)

    monkeypatch.setitem(worker_check.METHODS, name, after_removal)
    report = looked_at(root, deep=deep)
    gone = {one.path for one in report.findings if one.code == "unreadable"}
    assert gone >= {A, B, ALPHA}


def test_a_file_that_vanishes_between_two_looks_at_it_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(source: Source) -> SourceCheck:
        (source.root / source.paths[-1]).unlink()
        (source.root / source.paths[-1]).stat()
        raise AssertionError

    monkeypatch.setitem(worker_check.METHODS, "headers", look)
    assert {one.path for one in looked_at(root).findings if one.code == "unreadable"} >= {A, B, ALPHA, TRIMAP}


@pytest.mark.parametrize("path", [COLOUR, B])
def test_permissions_are_no_fault_of_the_file(root: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    def refused(file: object, *arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr("PIL.Image.open" if path == COLOUR else "av.open", refused)
    told = {one.path: one for one in looked_at(root).findings}
    assert (told[path].code, told[path].text) == ("unreadable", "cannot be read (Permission denied)")


def test_the_memory_does_not_grow_with_changes(root: Path) -> None:
    for turn in range(60):
        os.utime(root / B, ns=(0, turn))
        looked_at(root, deep=True)
    (path,) = (root.parent / "checked").iterdir()
    lines = path.read_text().splitlines()
    assert len(lines) < 70
    for turn in range(60, 180):
        with path.open("a") as file:
            file.write(lines[-1].replace(", 59]", f", {turn}]") + "\n")
    assert looked_at(root, deep=True).findings == looked_at(root, deep=True).findings
    assert len(path.read_text().splitlines()) < 20


def test_crops_that_no_clip_can_hold_are_found_as_a_build_would(root: Path) -> None:
    report = looked_at(root, crop_size=55, clip_length=4)
    told = [one for one in report.findings if one.code == "crop-too-large"]
    assert [one.text.partition(" clips")[0] for one in told] == ["crop_size is 55, but 2 of 4"] * 2
    most = int(told[0].hint.rpartition(" ")[2])
    assert "crop_size is 55" in build_error(root, crop_size=55)
    assert build_error(root, crop_size=most) == ""
    assert f"up to {most}" in build_error(root, crop_size=most + 1)
    assert [one.without_rows for one in report.outlooks] == [2, 2]


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({"clip_length": 16}, 13),  # train: stills as long as their background of 13 frames
        ({"clip_length": 13, "frame_step": 2}, 13),  # a window of 13 spans 25 frames
        ({"clip_length": 11, "max_image_frames": 10, "kinds": ("image",)}, 10),
    ],
    ids=str,
)
def test_a_tree_whose_build_has_no_row_has_an_error(
    root: Path, load: Callable[..., Any], fields: dict[str, Any], most: int, deep: bool
) -> None:
    (told,) = [one for one in looked_at(root, deep=deep, require_rows=True, **fields).findings if "'train'" in one.text]
    assert (told.code, told.severity) == ("no-rows", "error")
    assert f"the longest clip has {most} frames" in told.text
    with pytest.raises(SourceError, match="no window remains"):
        load("train", data_dir=str(root), split="train", **fields)
    enough = most if "frame_step" not in fields else (most + 1) // 2
    assert not any(
        "'train'" in one.text for one in looked_at(root, require_rows=True, **fields | {"clip_length": enough}).findings
    )


def test_only_stills_for_moving_foregrounds_is_an_error(root: Path) -> None:
    shutil.rmtree(root / "fg/video/train")
    report = looked_at(root, kinds=("video",), clip_length=4, require_rows=True)
    assert [(one.code, one.severity) for one in report.findings] == [("no-kind", "error")]
    assert [one.config for one in report.outlooks] == ["test"]


def test_a_pair_list_without_a_line_of_the_kinds_is_an_error(root: Path) -> None:
    (root / "pairs.txt").write_text("image+disc.png+0030.mp4\n")
    assert found(root, pairs=str(root / "pairs.txt")) == []
    (told,) = looked_at(root, pairs=str(root / "pairs.txt"), kinds=("video",)).findings
    assert (told.code, told.severity) == ("plan", "error")
    assert "no line of the kinds video" in told.text


def test_a_split_that_is_asked_for_must_be_there(root: Path) -> None:
    shutil.rmtree(root / "bg/test")
    for needed, code, severity in (("test", "split-unusable", "error"), ("train", "split-empty", "note")):
        config = DVMConfig(name=needed, data_dir=str(root), clip_length=4)
        told = check(root, configs=[config], processes=0, needed=needed).findings
        assert [(one.code, one.severity) for one in told if one.code.startswith("split")] == [(code, severity)]


def test_unknown_counts_of_frames_are_not_zero(root: Path) -> None:
    config = DVMConfig(name="train", data_dir=str(root))
    planned = plans(config).clips
    facts = {("image", "disc"): Facts(Size(48, 64)), ("video", "0000"): Facts(Size(48, 64))}
    facts |= {("background", one.background.name): Facts(Size(48, 64)) for one in planned}
    found, seen = build_estimate(config, planned, facts, synthetic_costs(config))
    assert found == []
    assert seen.without_rows == 0


def test_a_damaged_file_is_not_rendered_for_the_estimate(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / B).write_bytes((root / B).read_bytes()[:400])
    TreeWriter(root).moving("0000", frames=12, alpha_frames=10)  # an error though its sizes are known
    rendered: list[Path] = []

    def noted(config: DVMConfig, plan: ClipPlan) -> tuple[int, int, float]:
        rendered.extend((plan.background.path, plan.foreground.colour))
        return 1, 1, 1.0

    monkeypatch.setattr("dvm_hf.check.report.sampled", noted)
    looked_at(root, deep=True)
    assert rendered
    assert not {root / B, root / F} & set(rendered)


def test_a_still_whose_trimap_is_empty_is_built_but_where_trimaps_are_used(
    root: Path, load: Callable[..., Any]
) -> None:
    TreeWriter(root).still("two", split="test", value=77)
    (root / TRIMAP).write_bytes(b"")
    for trimap in ("dvm-test", "provided"):
        seen = next(one for one in looked_at(root, trimap=trimap).outlooks if one.config == "test")
        rows = load(
            "test",
            data_dir=str(root),
            split="test",
            on_error="skip",
            streaming=True,
            trimap=trimap,
            remainder="drop",
        )
        assert seen.rows == sum(1 for _ in rows)


def test_a_duration_that_the_bytes_cannot_hold_is_not_believed(root: Path) -> None:
    path = root / "bg/train/long.mkv"
    film(path, [LIMITED] * 5)
    data = path.read_bytes()
    at = data.index(b"\x44\x89\x88") + 3  # Matroska's Duration, a double
    path.write_bytes(data[:at] + struct.pack(">d", 9e15) + data[at + 8 :])
    (held,) = [one for one in looked_at(root).holdings if (one.split, one.kind) == ("train", "background")]
    assert held.frames == 12 + 13


def looked_at_by(root: Path, *, processes: int) -> Report:
    return check(root, configs=[], checked=CheckCache(root.parent / "checked", root), processes=processes)


def test_what_was_decoded_is_not_decoded_again_until_it_changes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claiming(root)
    first = looked_at(root, deep=True)
    decoded: list[str] = []

    def recorded(source: Source) -> SourceCheck:
        decoded.append(source.colour)
        return worker_check.by_decoding(source)

    monkeypatch.setitem(worker_check.METHODS, "decoding", recorded)
    second = looked_at(root, deep=True)
    assert decoded == []
    assert (second.findings, second.holdings) == (first.findings, first.holdings)
    os.utime(root / B, ns=(0, (root / B).stat().st_mtime_ns + 1))
    looked_at(root, deep=True)
    assert decoded == [B]


def test_what_other_versions_have_found_is_forgotten(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at(root, deep=True)
    decoded: list[str] = []

    def watched(source: Source) -> SourceCheck:
        decoded.append(source.colour)
        return worker_check.by_decoding(source)

    monkeypatch.setitem(worker_check.METHODS, "decoding", watched)
    edition, used = check_cache.EDITION
    monkeypatch.setattr(check_cache, "EDITION", [edition, used | {"libavcodec": "0.0.0"}])
    looked_at(root, deep=True)
    assert B in decoded


def test_what_was_remembered_before_an_interruption_is_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []

    def interrupted(source: Source) -> SourceCheck:
        if len(decoded) == 3:
            raise KeyboardInterrupt
        decoded.append(source.colour)
        return worker_check.by_decoding(source)

    monkeypatch.setitem(worker_check.METHODS, "decoding", interrupted)
    with pytest.raises(KeyboardInterrupt):
        looked_at(root, deep=True)
    first = list(decoded)
    decoded.clear()
    with pytest.raises(KeyboardInterrupt):
        looked_at(root, deep=True)
    assert len(first) == len(decoded) == 3
    assert not set(first) & set(decoded)


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"null\n", b'{"key": 1}\n', b'{"key": "k", "findings": [{}], "facts": []}']
)
def test_a_damaged_memory_is_forgotten(root: Path, damage: bytes) -> None:
    report = looked_at(root, deep=True)
    (path,) = (root.parent / "checked").iterdir()
    path.write_bytes(path.read_bytes()[:-40] + b"\n" + damage)
    assert looked_at(root, deep=True).findings == report.findings


# Rules, holdings and outlooks


def test_every_rule_has_a_severity_and_says_what_to_do() -> None:
    for code, rule in RULES.items():
        assert rule.severity in SEVERITIES
        assert rule.text
        assert rule.hint, code


def test_holdings_count_what_was_drawn(root: Path) -> None:
    report = looked_at(root)
    (moving,) = [one for one in report.holdings if (one.split, one.kind) == ("test", "video")]
    assert (moving.count, moving.frames, moving.seconds) == (1, 15, pytest.approx(15 / 25))
    assert (moving.smallest, moving.largest) == (SIZE, SIZE)
    assert moving.bytes == sum(path.stat().st_size for path in (root / "fg/video/test/0000").iterdir())
    (backgrounds,) = [one for one in report.holdings if (one.split, one.kind) == ("train", "background")]
    assert (backgrounds.count, backgrounds.frames) == (2, 12 + 13)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"clip_length": 5, "remainder": "keep"},
        {"clip_length": 5, "remainder": "repeat_last", "crop_size": 24},
        {"clip_length": "all", "columns": ("frames",)},
        {"clip_length": 4, "encoding": "lossless", "columns": ("alpha", "foreground")},
        {"clip_length": 4, "encoding": "array", "crop_size": 24, "remainder": "drop"},
    ],
    ids=str,
)
def test_the_outlook_is_what_a_build_makes(root: Path, load: Callable[..., Any], fields: dict[str, Any]) -> None:
    report = looked_at(root, deep=True, **fields)
    for seen in report.outlooks:
        config = {"remainder": "drop"} | fields  # a bare DVMConfig has train's
        rows = load(seen.config, data_dir=str(root), split=seen.config, on_error="skip", **config) if seen.rows else []
        assert (seen.rows, seen.frames) == (len(rows), sum(len(row["motion"]) for row in rows))
        if seen.rows and fields.get("encoding") != "array":
            cells = rows.with_format("arrow")[:]
            stored = sum(cells[name].nbytes for name in cells.column_names if name in ALL_COLUMNS)
            assert 0.5 * stored < seen.bytes < 1.5 * stored


ALL_COLUMNS = ("frames", "alpha", "trimap", "foreground", "background")
