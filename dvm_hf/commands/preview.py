"""`dvm preview`: a page, a contact sheet or a video of a few clips."""

import json
from pathlib import Path
from typing import Any

import click
import datasets

from dvm_hf.commands.config_options import given_fields, integer_option, json_option, options_of, shown_defaults
from dvm_hf.commands.help_sections import SectionedCommand, SectionOption
from dvm_hf.commands.page_files import require_folders, shown_name, write_page
from dvm_hf.errors import SourceError
from dvm_hf.preview.html_page import page
from dvm_hf.preview.pictures import VIDEO_COLUMNS, write_contact_sheet, write_preview_video
from dvm_hf.preview.samples import Sample, samples
from dvm_hf.sources.names import printable
from dvm_hf.wording import counted

CAPTION_COLUMNS = ("window", "start", "height", "width")  # shown next to the name of a clip on a sheet and in a video
FILE = click.Path(dir_okay=False, path_type=Path)


# without the fields of a build's columns and windows: a page shows every layer, and one window of each clip
FIELDS = shown_defaults(without=("columns", "encoding", "clip_step", "remainder")) | {
    "clip_length": "the value of --frames"
}


@click.command(cls=SectionedCommand)
@click.argument("source")
@click.option(
    "-o",
    "--output",
    cls=SectionOption,
    section="Output",
    type=FILE,
    help="HTML page to write.  [default: preview.html, or no page with --png or --mp4]",
)
@click.option("--png", cls=SectionOption, section="Output", type=FILE, help="Contact sheet to write.")
@click.option(
    "--mp4",
    cls=SectionOption,
    section="Output",
    type=FILE,
    help="Video to write: composite, alpha and trimap side by side.",
)
@integer_option("--clips", "Number of clips.", default=6)
@integer_option("--frames", "Maximum number of frames per clip.", default=16)
@click.option(
    "--config", cls=SectionOption, section="Sources", help="Config of SOURCE.  [default: train, or the first config]"
)
@click.option(
    "--split", cls=SectionOption, section="Sources", help="Split of the config.  [default: train, or the first split]"
)
@json_option
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
    """Write an HTML page that shows a few clips.

    SOURCE is a source folder in any known layout, a sources file (.yaml), a folder of prepared Parquet shards, or a
    dataset on the Hub (user/name or hf://user/name). Remote sources have an address such as hf://datasets/user/name or
    s3://bucket/prefix, prepared shards one such as s3://bucket/prefix. Clips of sources are rendered with the config
    fields that you pass as options. Only addresses and the Hub need the network. The page is a single, self-contained
    file; open it in a browser.

    Example: dvm preview DVM -o preview.html --clips 8
    """
    datasets.disable_progress_bars() if as_json else datasets.enable_progress_bars()
    files = {"page": output or (None if png or mp4 else Path("preview.html")), "png": png, "mp4": mp4}
    require_folders(files)
    shown = samples(source, clips=clips, frames=frames, config=config, split=split, fields=given_fields(fields))
    _write(files, shown, source)
    made: dict[str, Any] = {kind: str(path) for kind, path in files.items() if path}
    made |= {"clips": len(shown), "frames": sum(sample.frame_count for sample in shown)}
    click.echo(json.dumps(made) if as_json else _in_words(files, made))


def _write(files: dict[str, Path | None], shown: list[Sample], source: str) -> None:
    if files["png"] or files["mp4"]:
        _require_columns(shown, source)
    if files["page"]:
        write_page(files["page"], page(shown, source=shown_name(source)))
    if files["png"]:
        write_contact_sheet((sample.as_row() for sample in shown), files["png"])
    if files["mp4"]:
        write_preview_video([sample.as_row() for sample in shown], files["mp4"])


def _require_columns(shown: list[Sample], source: str) -> None:
    row = shown[0].as_row()
    missing = [column for column in (*VIDEO_COLUMNS, *CAPTION_COLUMNS) if column not in row]
    if missing:
        raise SourceError(
            f"{source}: has no column {' and no column '.join(missing)}, but --png and --mp4 show "
            f"{', '.join((*VIDEO_COLUMNS, *CAPTION_COLUMNS))}; write only the page"
        )


def _in_words(files: dict[str, Path | None], made: dict[str, Any]) -> str:
    sizes = [f"{printable(str(path))} ({path.stat().st_size / 1e6:.1f} MB)" for path in files.values() if path]
    return f"{counted(made['clips'], 'clip')}, {counted(made['frames'], 'frame')}: {', '.join(sizes)}"
