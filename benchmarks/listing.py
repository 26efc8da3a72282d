"""Measure how long the scan of a source folder, and of a sources file over five of them, takes by the number of files.

The files have one byte. Only lists are opened. Writing the files takes longer than the scans: pass --folder to keep
them for another run.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dvm_hf.sources.folder_scan import FolderScan
from dvm_hf.sources.known_layouts import recognized
from dvm_hf.sources.layout import Place
from dvm_hf.sources.tree import scan

FRAMES = 500  # of a clip: VideoMatte240K has 240,000 frames in 484 clips


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def videomatte(root: Path, count: int) -> None:
    """Half of the files are colours, half alphas."""
    for number in range(count // 2):
        clip, frame = divmod(number, FRAMES)
        for part in ("fgr", "pha"):
            put(root / "train" / part / f"{clip + 1:04}" / f"{frame:05}.jpg")


def videomatting108(root: Path, count: int) -> None:
    pairs, clips = {}, set()
    for number in range(count // 2):
        clip, frame = divmod(number, FRAMES)
        foreground, background = f"category/clip_{clip:04}", f"city/bg_{clip:04}"
        put(root / "FG_done" / foreground / f"{frame:05}.png")
        put(root / "BG_done" / background / f"{frame:05}.png")
        pairs[f"{foreground}/{frame:05}.png"] = f"{background}/{frame:05}.jpg"
        clips.add(foreground)
    (root / "frame_corr.json").write_text(json.dumps(pairs), encoding="utf-8")
    (root / "train_videos.txt").write_text("\n".join(sorted(clips)), encoding="utf-8")


def stills(root: Path, count: int) -> None:
    for number in range(count):
        put(root / "train" / f"h_{number:08x}.jpg")


def imagematte(root: Path, count: int) -> None:
    for number in range(count // 2):
        for part in ("fgr", "pha"):
            put(root / "train" / part / f"{number:08}.jpg")


def rvm_backgrounds(root: Path, count: int) -> None:
    for number in range(count):
        clip, frame = divmod(number, FRAMES)
        put(root / "train" / f"{clip:04}" / f"{frame:04}.jpg")


def five_sets(root: Path, count: int) -> None:
    """Write five sets with `count` files together, and a sources file; VideoMatting108 is in both lists."""
    sets = (videomatte, imagematte, videomatting108, stills, rvm_backgrounds)
    for write in sets:
        write(root / write.__name__, count // len(sets))
    roles = {"foregrounds": sets[:3], "backgrounds": sets[2:]}
    lines = ["train:"]
    for role, of_role in roles.items():
        lines += [f"  {role}:", *(f"    - {{path: {write.__name__}/}}" for write in of_role)]
    (root / "sources.yaml").write_text("\n".join(lines), encoding="utf-8")


TREES: dict[str, Callable[[Path, int], None]] = {
    "videomatte240k": videomatte,
    "videomatting108": videomatting108,
    "bg20k": stills,
}


def scanned(root: Path) -> str:
    """Recognize the layout of a folder, list its split train, and describe the result and the seconds of both."""
    start = time.perf_counter()
    folder = FolderScan(root)
    place = Place(folder)
    layout, _ = recognized(place)
    seconds = time.perf_counter() - start
    foregrounds = list(layout.foregrounds(place, "train")) if layout.foregrounds else []
    backgrounds = list(layout.backgrounds(place, "train")) if layout.backgrounds else []
    total = time.perf_counter() - start
    held = f"{len(foregrounds):,} foregrounds, {len(backgrounds):,} backgrounds, {len(folder.problems)} problems"
    return f"{layout.name:16} {total:6.2f} s, of which {seconds:.2f} s to recognize the layout ({held})"


def scanned_file(file: Path) -> str:
    """Scan the split train of a sources file, and describe the result and the seconds."""
    start = time.perf_counter()
    tree = scan(file, "train")
    total = time.perf_counter() - start
    tree.fingerprint()
    key = time.perf_counter() - start - total
    held = f"{len(tree.foregrounds):,} foregrounds, {len(tree.backgrounds):,} backgrounds"
    hashing = f"and {key:.2f} s to hash names, sizes and times"
    return f"{'five sets':16} {total:6.2f} s, {hashing} ({held}, {len(tree.problems)} problems)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000, help="files of each folder (default: 100,000)")
    parser.add_argument("--folder", type=Path, help="where the files are kept (default: a temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        for name, write in TREES.items():
            root = folder / f"{name}-{arguments.files}"
            if not root.exists():
                write(root, arguments.files)
            print(f"{arguments.files:,} files: {scanned(root)}")
        root = folder / f"five-{arguments.files}"
        if not root.exists():
            five_sets(root, arguments.files)
        print(f"{arguments.files:,} files: {scanned_file(root / 'sources.yaml')}")


if __name__ == "__main__":
    main()
