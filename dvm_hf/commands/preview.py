"""`dvm preview`: a page, a contact sheet or a video of a few clips."""

import json
import os
from pathlib import Path
from typing import Any

import click
import datasets

from dvm_hf.commands.config_options import given_fields, options_of, shown_defaults
from dvm_hf.errors import ConfigError, SourceError
from dvm_hf.prepared.atomic_io import write_whole
from dvm_hf.preview.html_page import page
from dvm_hf.preview.pictures import VIDEO_COLUMNS, write_contact_sheet, write_preview_video
from dvm_hf.preview.samples import Sample, samples
from dvm_hf.sources.names import printable

CAPTION_COLUMNS = ("window", "start", "height", "width")  # what a sheet and a video say of a clip beside its name
FILE = click.Path(dir_okay=False, path_type=Path)


# Every layer is shown, as it is; a row is as long as its window.
FIELDS = shown_defaults(without=("columns", "encoding", "clip_step", "remainder")) | {"clip_length": "as --frames"}


@click.command()
@click.argument("source")
@click.option("-o", "--output", type=FILE, help="The page [default: preview.html, unless --png or --mp4 is given].")
@click.option("--png", type=FILE, help="Write a contact sheet, too.")
@click.option("--mp4", type=FILE, help="Write a video, too: composite, alpha and trimap side by side.")
@click.option("--clips", type=click.IntRange(1), default=6, show_default=True, help="How many clips to show.")
@click.option("--frames", type=click.IntRange(1), default=16, show_default=True, help="The most frames of each.")
@click.option("--config", help="Config of SOURCE [default: train where there is one].")
@click.option("--split", help="Split of the config [default: train where there is one].")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as one JSON object, and nothing else.")
@options_of(FIELDS)
def preview(
    source: str,
    output: Path | None,
    png: Path | None,
    mp4: Path | None,
    clips: int,
    frames: int,
    config: str | None,
    split: str | None,
    as_json: bool,
    **fields: Any,
) -> None:
    """Write an HTML page to look at clips.

    SOURCE is a source tree (a folder that holds fg/ and bg/: a few windows are rendered, as the config fields among the
    options say), a folder of prepared Parquet shards, or a dataset on the Hub, as user/name or hf://user/name. Only the
    last uses the network. The page is one file that needs no other; open it in a browser.

    Example: dvm preview DVM -o preview.html --clips 8
    """
    datasets.disable_progress_bars() if as_json else datasets.enable_progress_bars()
    files = {"page": output or (None if png or mp4 else Path("preview.html")), "png": png, "mp4": mp4}
    _require_folders(files)
    shown = samples(source, clips=clips, frames=frames, config=config, split=split, fields=given_fields(fields))
    _write(files, shown, source)
    made: dict[str, Any] = {kind: str(path) for kind, path in files.items() if path}
    made |= {"clips": len(shown), "frames": sum(sample.frame_count for sample in shown)}
    click.echo(json.dumps(made) if as_json else _in_words(files, made))


def _require_folders(files: dict[str, Path | None]) -> None:
    """Before any clip is made, which takes a while."""
    for path in files.values():
        if path and not path.absolute().parent.is_dir():
            raise ConfigError(f"{path}: its folder {path.absolute().parent} is not there; make it or name another")


def _write(files: dict[str, Path | None], shown: list[Sample], source: str) -> None:
    if files["png"] or files["mp4"]:
        _require_columns(shown, source)
    if files["page"]:
        _write_page(files["page"], page(shown, source=_shown_name(source)))
    if files["png"]:
        write_contact_sheet((sample.as_row() for sample in shown), files["png"])
    if files["mp4"]:
        write_preview_video([sample.as_row() for sample in shown], files["mp4"])


def _write_page(path: Path, text: str) -> None:
    """Whole or not at all; but into a pipe or a device as it comes."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8")
    else:
        write_whole(target, text.encode("utf-8"))


def _shown_name(source: str) -> str:
    """Of a folder here its own name only: a page is sent to others, and a path may hold the user's name."""
    return printable(Path(os.path.abspath(source)).name) if os.path.exists(source) else source


def _require_columns(shown: list[Sample], source: str) -> None:
    there = shown[0].as_row()
    missing = [column for column in (*VIDEO_COLUMNS, *CAPTION_COLUMNS) if column not in there]
    if missing:
        raise SourceError(
            f"{source}: has no column {' and no column '.join(missing)}; --png and --mp4 show "
            f"{', '.join((*VIDEO_COLUMNS, *CAPTION_COLUMNS))}; ask for the page only"
        )


def _in_words(files: dict[str, Path | None], made: dict[str, Any]) -> str:
    sizes = [f"{printable(str(path))} ({path.stat().st_size / 1e6:.1f} MB)" for path in files.values() if path]
    return f"{made['clips']} clips, {made['frames']} frames: {', '.join(sizes)}"
