"""`dvm demo`: draw small synthetic sources, build and stream them, and write a contact sheet."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from datasets import IterableDataset, load_dataset

from dvm_hf.dataset.loading import load_arguments
from dvm_hf.preview.pictures import write_contact_sheet
from dvm_hf.synthetic.mixed_tree import draw_mixed_if_missing
from dvm_hf.synthetic.source_tree import draw_if_missing

STREAMED_ROWS = 4
SHOWN_TEST_ROWS = 5
CROP_SIZE = 320
WINDOW = 8  # frames


@dataclass(frozen=True)
class Demo:
    """The folders, files and numbers of rows of the demo.

    sources: the DVM tree. sources_file: mixes its backgrounds with sources that are stored in other ways.
    """

    sources: Path
    sources_file: Path
    cache: Path
    contact_sheet: Path
    test_rows: int
    streamed_rows: int
    mixed_rows: int


def demonstrate(folder: Path, *, say: Callable[[str], None]) -> Demo:
    """Draw the sources under `folder` if they are missing; build test, stream train, write the contact sheet.

    train is streamed twice: from the DVM tree and from the sources file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    say(f"Drawing synthetic sources in {folder / 'DVM'} and {folder / 'mixed'} ...")
    sources = draw_if_missing(folder / "DVM")
    sources_file = draw_mixed_if_missing(folder / "mixed")
    say('Building the config "test" from its pair list (cached) ...')
    arguments = load_arguments() | {"data_dir": str(sources), "cache_dir": str(folder / "cache")}
    pairs = str(sources / "test_fg_bg_names.txt")
    test = load_dataset(name="test", split="test", pairs=pairs, **arguments)
    say(f'Streaming the config "train": windows of {WINDOW} frames, {CROP_SIZE} px crops around unknown pixels ...')
    train = _train_windows(crop_size=CROP_SIZE, **arguments)
    streamed = list(islice(train.shuffle(seed=1, buffer_size=1), STREAMED_ROWS))
    say(f"Streaming {sources_file}: one window of each foreground ...")
    one_each = {"backgrounds_per_foreground": 1, "max_video_frames": WINDOW}
    mixed = list(_train_windows(**arguments | one_each | {"data_dir": str(sources_file)}))
    shown = [test[index * len(test) // SHOWN_TEST_ROWS] for index in range(SHOWN_TEST_ROWS)]
    sheet = folder / "contact_sheet.png"
    write_contact_sheet([*shown, *streamed, *mixed], sheet)
    return Demo(sources, sources_file, folder / "cache", sheet, len(test), len(streamed), len(mixed))


def _train_windows(**arguments: Any) -> IterableDataset:
    return load_dataset(
        name="train", split="train", streaming=True, clip_length=WINDOW, max_image_frames=WINDOW, **arguments
    )
