"""`dvm evaluate`: metrics of predicted mattes. Exit codes: 0 measured, 1 the data has problems, 2 wrong use."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from datasets.utils import tqdm

from dvm_hf.commands.config_options import (
    config,
    given_fields,
    integer_option,
    json_option,
    options_of,
    shown_defaults,
)
from dvm_hf.commands.help_sections import SectionedCommand, SectionOption
from dvm_hf.commands.page_files import require_folders, shown_name, write_page
from dvm_hf.dataset.row_sources import row_source
from dvm_hf.errors import ConfigError, MachineError, MetricsError, PredictionError, SourceError
from dvm_hf.evaluation.clip_flows import NAMES, STORED, FlowChoice
from dvm_hf.evaluation.instance_matching import BEST, MATCHES, assignments, instance_pairs
from dvm_hf.evaluation.measurement import measured, require_columns
from dvm_hf.evaluation.pairing import Allowances, ClipPair, Pairs, paired
from dvm_hf.evaluation.predicted_clips import Tolerance
from dvm_hf.evaluation.predictions import predictions
from dvm_hf.evaluation.references import ReferenceClip, rendered_clips, stored_clips
from dvm_hf.evaluation.results import InstanceResults, Results
from dvm_hf.evaluation.results_page import results_page
from dvm_hf.evaluation.results_table import in_words, tables, units
from dvm_hf.evaluation.worst_frames import worst_frames
from dvm_hf.metrics.conventions import CONVENTIONS
from dvm_hf.sources.records import SPLITS
from dvm_hf.wording import counted

# complete frames of complete clips are measured, so the fields of windows, crops and storage do not apply; a reference
# that lacks clips would give other means, so none is skipped
FIELDS = shown_defaults(
    without=("columns", "encoding", "clip_length", "clip_step", "remainder", "crop_size", "on_error")
)
DEFAULT_CONFIG = "test"
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
WORST = 8  # frames that a page shows of each method
SHOWN = 20  # skipped clips and frames, in the terminal


@click.command("evaluate", cls=SectionedCommand)
@click.argument("predicted", metavar="PREDICTIONS")
@click.argument("reference")
@click.option(
    "--convention",
    type=click.Choice(list(CONVENTIONS)),
    default="default",
    show_default=True,
    help="Definition of the numbers. A published one prints what the tables of its papers print.",
)
@click.option(
    "--flow",
    type=click.Choice(NAMES),
    default="auto",
    show_default=True,
    help="Motion for MESSDdt. auto: affine for image foregrounds, else dis, or dis-alpha without foreground colours.",
)
@click.option(
    "--flow-folder", type=FOLDER, help="Folder with CLIP_ID/*.png for --flow stored, in the format of VideoMatting108."
)
@click.option(
    "--compare",
    multiple=True,
    metavar="NAME=PATH",
    help="Predictions of another method. Repeat the option for several.",
)
@click.option(
    "--match",
    type=click.Choice(MATCHES),
    default=BEST,
    show_default=True,
    help="Which prediction belongs to which foreground of a clip with several. best: the assignment with the least "
    "absolute error over the clip; order: by number, from back to front.",
)
@click.option("--allow-missing", is_flag=True, help="Skip clips and frames that have no prediction.")
@click.option("--allow-extra", is_flag=True, help="Ignore predictions that the reference has no clip or frame for.")
@click.option("--resize", is_flag=True, help="Scale predictions of another size to that of the reference.")
@click.option("--convert", is_flag=True, help="Convert predictions that are not 8-bit grey.")
@integer_option("--num-proc", "Number of processes that measure clips.", default=1)
@click.option("-o", "--output", cls=SectionOption, section="Output", type=FILE, help="HTML page to write.")
@click.option(
    "--per-clip", cls=SectionOption, section="Output", is_flag=True, help="Also print the numbers of each clip."
)
@json_option
@click.option(
    "--config", "config_name", cls=SectionOption, section="Sources", help="Config of REFERENCE.  [default: test]"
)
@click.option("--split", cls=SectionOption, section="Sources", help="Split of a stored REFERENCE.  [default: test]")
@options_of(FIELDS)
def evaluate_command(
    predicted: str,
    reference: str,
    convention: str,
    flow: str,
    flow_folder: Path | None,
    compare: tuple[str, ...],
    match: str,
    allow_missing: bool,
    allow_extra: bool,
    resize: bool,
    convert: bool,
    num_proc: int,
    output: Path | None,
    per_clip: bool,
    as_json: bool,
    config_name: str | None,
    split: str | None,
    **fields: Any,
) -> None:
    """Measure predicted mattes against their reference.

    PREDICTIONS is a folder with CLIP_ID/00000.png (8-bit grey, numbered by the frame's index in its clip) or with a
    video CLIP_ID.mp4 for each clip, Parquet with the columns clip_id, start and alpha, or a dataset on the Hub.
    For a clip with several foregrounds, it can have a matte of each: CLIP_ID/0/00000.png, CLIP_ID/1/00000.png and so
    on, or the column instances. Each is then measured, too.
    REFERENCE is a source folder or sources file, whose clips are rendered with the config fields that you pass as
    options, a prepared folder, also in an object store, or a dataset on the Hub (user/name or hf://datasets/user/name).

    All problems of the predictions are listed before anything is measured; the exit code is then 1. Results are cached
    per clip: run an interrupted command again to resume it.

    Example: dvm evaluate predictions DVM --pairs test_fg_bg_names.txt -o results.html
    """
    choice = _flow_choice(flow, flow_folder)
    require_folders({"page": output})
    methods = _methods(predicted, compare)
    allowances = Allowances(allow_missing, allow_extra, Tolerance(resize, convert))
    clips = _reference(reference, config_name, split, fields)
    results: list[Results] = []
    pairs: list[Pairs] = []
    for name, path in methods:
        found = _paired(path, clips, allowances, is_shown=not as_json)
        if pairs and found.measured != pairs[0].measured:
            text = f"other clips or frames than those of {methods[0][0]}, so the means cannot be compared"
            found = found._replace(skipped=(text, *found.skipped))
        _report_skipped(found.skipped, name if compare else "")
        results.append(_results(name, found, convention, choice, num_proc, match=match, is_shown=not as_json))
        pairs.append(found)
    if output is not None:
        write_page(output, _page(results, pairs, reference))
    if as_json:
        click.echo(json.dumps(_as_json(results)))
    else:
        click.echo(_in_words(results, per_clip=per_clip))


def _flow_choice(flow: str, folder: Path | None) -> FlowChoice:
    if (flow == STORED) != (folder is not None):
        raise ConfigError(f"flow={flow!r}: --flow stored and --flow-folder DIR belong together; pass both or none")
    return FlowChoice(flow, folder)


def _methods(predicted: str, compare: Sequence[str]) -> list[tuple[str, str]]:
    """Return the name and the path of each method's predictions."""
    methods = [(Path(predicted).resolve().name if Path(predicted).exists() else predicted, predicted)]
    for text in compare:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise ConfigError(f"compare={text!r}: is not NAME=PATH; pass a name and the predictions of a method")
        if name in dict(methods):
            raise ConfigError(f"compare={text!r}: another method has the name {name!r}; names must differ")
        methods.append((name, path))
    return methods


def _reference(name: str, chosen: str | None, split: str | None, fields: dict[str, Any]) -> dict[str, ReferenceClip]:
    source = row_source(name, fields=given_fields(fields))
    if source.kind != "sources":
        return stored_clips(source, config=chosen, split=split)
    if chosen not in (None, *SPLITS):
        raise ConfigError(f"config={chosen!r}: {name} has no such config; allowed: {', '.join(map(repr, SPLITS))}")
    if split is not None:
        raise ConfigError(f"split={split!r}: applies only to a stored dataset, but {name} has sources; use --config")
    return rendered_clips(config(chosen or DEFAULT_CONFIG, source.path, {**fields, "remainder": "keep"}))


def _paired(path: str, clips: dict[str, ReferenceClip], allowances: Allowances, *, is_shown: bool) -> Pairs:
    names = tqdm(clips, desc="Reading headers", unit=" clips", delay=2, disable=not is_shown)
    return paired(predictions(path), clips, allowances, progress=names)


def _report_skipped(skipped: Sequence[str], method: str) -> None:
    """Print what is skipped of a method; its name is empty if it is the only one."""
    of_method = f"{method}: " if method else ""
    for text in skipped[:SHOWN]:
        click.echo(f"skipped: {of_method}{text}", err=True)
    if len(skipped) > SHOWN:
        click.echo(f"skipped: {of_method}{len(skipped) - SHOWN} more", err=True)


def _results(
    name: str, pairs: Pairs, convention: str, flow: FlowChoice, processes: int, *, match: str, is_shown: bool
) -> Results:
    require_columns(pairs.clips, convention)
    try:
        predicted = _matched(name, pairs, match, processes, is_shown=is_shown)
        apart = {pair.name: instance_pairs(pair, predicted[pair.name]) for pair in pairs.clips if pair.instances}
        clips = [*pairs.clips, *(one for of_clip in apart.values() for one in of_clip)]
        total = sum(len(run) for pair in clips for run in pair.runs)
        with _progress(f"Measuring {name}", total, is_shown=is_shown) as advance:
            found = measured(clips, convention=convention, flow=flow, processes=processes, on_progress=advance)
    except MachineError:
        raise
    except (MetricsError, PredictionError, SourceError) as error:
        text = f"{error}\nResults of finished clips are cached; run the command again to resume"
        raise PredictionError(text) from error
    instances = {clip: tuple(found[pair.name] for pair in of_clip) for clip, of_clip in apart.items()}
    return Results(
        name,
        convention,
        {pair.name: found[pair.name] for pair in pairs.clips},
        pairs.skipped,
        InstanceResults(match, instances, predicted) if instances else None,
    )


def _matched(name: str, pairs: Pairs, match: str, processes: int, *, is_shown: bool) -> dict[str, tuple[int, ...]]:
    """Return the numbers of the predictions of each clip's foregrounds."""
    total = sum(bool(pair.instances) for pair in pairs.clips)
    with tqdm(total=total, desc=f"Matching {name}", unit=" clips", delay=2, disable=not is_shown) as bar:
        return assignments(pairs.clips, match=match, processes=processes, on_clip=bar.update)


@contextmanager
def _progress(what: str, total: int, *, is_shown: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr after two seconds; the function that is yielded takes the number of frames done so far."""
    with tqdm(total=total, desc=what, unit=" frames", delay=2, disable=not is_shown) as bar:

        def show(done: int) -> None:
            bar.update(done - bar.n)

        yield show


def _page(results: Sequence[Results], pairs: Sequence[Pairs], reference: str) -> str:
    worst = {
        result.name: [
            *worst_frames(of_method.clips, result.clips, count=WORST),
            *worst_frames(_instance_pairs(result, of_method), result.instance_sums, count=WORST),
        ]
        for result, of_method in zip(results, pairs, strict=True)
    }
    return results_page(results, worst, reference=shown_name(reference))


def _instance_pairs(result: Results, pairs: Pairs) -> list[ClipPair]:
    """Return the foregrounds of a method's clips that were measured one by one."""
    if result.instances is None:
        return []
    predicted = result.instances.predicted
    return [one for pair in pairs.clips if pair.instances for one in instance_pairs(pair, predicted[pair.name])]


def _as_json(results: Sequence[Results]) -> dict[str, Any]:
    """Return the first method's results, and those of the others under "compared"."""
    others = {result.name: result.to_json() for result in results[1:]}
    return results[0].to_json() | ({"compared": others} if others else {})


def _counts(result: Results) -> list[str]:
    counts = [counted(len(result.clips), "clip"), counted(result.frames, "frame")]
    if result.instances is not None:
        counts.append(f"{counted(len(result.instance_sums), 'instance')} (match: {result.instances.match})")
    return counts


def _in_words(results: Sequence[Results], *, per_clip: bool) -> str:
    first = results[0]
    lines = [in_words(table) + "\n" for table in tables(results, per_clip=per_clip)]
    counts = [f"{one.name}: {', '.join(_counts(one))}" for one in results]
    flows = "; ".join(dict.fromkeys(f"flow: {one.flow or 'not used'}" for one in results))
    means = first.means.metrics()
    shown = units(first.convention, {name: None for of_region in means.values() for name in of_region})
    return "\n".join([*lines, *counts, f"convention: {first.convention}; {flows}", *([shown] if shown else [])])
