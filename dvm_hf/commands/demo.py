"""`dvm demo`: draw a small synthetic source tree, build it and write a contact sheet."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from datasets import load_dataset

from dvm_hf.dataset.loading import load_arguments
from dvm_hf.preview.pictures import write_contact_sheet
from dvm_hf.synthetic.source_tree import draw_if_missing

STREAMED_ROWS = 4
SHOWN_TEST_ROWS = 5
CROP_SIZE = 320


@dataclass(frozen=True)
class Demo:
    """The folders, files and numbers of rows of the demo."""

    sources: Path
    cache: Path
    contact_sheet: Path
    test_rows: int
    streamed_rows: int


def demonstrate(folder: Path, *, say: Callable[[str], None]) -> Demo:
    """Draw the sources under `folder` if they are missing; build test, stream train, write the contact sheet."""
    folder.mkdir(parents=True, exist_ok=True)
    say(f"Drawing synthetic sources in {folder / 'DVM'} ...")
    sources = draw_if_missing(folder / "DVM")
    say('Building the config "test" from its pair list (cached) ...')
    arguments = load_arguments() | {"data_dir": str(sources), "cache_dir": str(folder / "cache")}
    pairs = str(sources / "test_fg_bg_names.txt")
    test = load_dataset(name="test", split="test", pairs=pairs, **arguments)
    say(f'Streaming the config "train": windows of 8 frames, {CROP_SIZE} px crops around unknown pixels ...')
    train = load_dataset(
        name="train", split="train", streaming=True, clip_length=8, crop_size=CROP_SIZE, max_image_frames=8, **arguments
    )
    streamed = list(islice(train.shuffle(seed=1, buffer_size=1), STREAMED_ROWS))
    shown = [test[index * len(test) // SHOWN_TEST_ROWS] for index in range(SHOWN_TEST_ROWS)]
    sheet = folder / "contact_sheet.png"
    write_contact_sheet([*shown, *streamed], sheet)
    return Demo(sources, folder / "cache", sheet, len(test), len(streamed))
