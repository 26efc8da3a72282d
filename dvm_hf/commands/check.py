"""`dvm check`: list every problem of the sources. Exit codes: 0 clean, 1 problems, 2 wrong use, 130 interrupted."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import datasets
from datasets.utils import tqdm

from dvm_hf.check.check_cache import CheckCache
from dvm_hf.check.findings import SEVERITIES, Finding
from dvm_hf.check.report import Report, check
from dvm_hf.check.rules import RULES
from dvm_hf.check.source import Source, SourceCheck
from dvm_hf.commands.config_options import config, config_options
from dvm_hf.dataset.config import DVMConfig, pairs_path, require_valid
from dvm_hf.sources.names import printable
from dvm_hf.sources.tree import SPLITS
from dvm_hf.wording import counted, in_bytes

SHOWN = 200  # findings of one severity that are written out; --json has them all
MANY = 6  # findings of one rule in one folder that are one line
FROM_LISTS = ("pair-line", "pair-missing")  # their path is the list's
KINDS = {"image": "still", "video": "moving foreground", "background": "background"}


@click.command("check")
@click.argument("data_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--deep", is_flag=True, help="Decode everything, on all cores; what is checked is remembered.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else on stdout.")
@click.option(
    "--config", "split", type=click.Choice(SPLITS), help="The config to look at; --pairs is its list. Default: both."
)
@click.option("--num-proc", type=click.IntRange(0), help="Processes; default: one a core. 0: none but this one.")
@click.option(
    "--allow",
    "allowed",
    multiple=True,
    type=click.Choice([code for code, rule in RULES.items() if rule.severity == "warning"]),
    metavar="CODE",
    help="A warning that is no problem here, such as alpha-no-full for smoke; may be given several times.",
)
@config_options
def check_command(
    data_dir: Path,
    deep: bool,
    as_json: bool,
    split: str | None,
    num_proc: int | None,
    allowed: tuple[str, ...],
    **fields: Any,
) -> None:
    """List every problem of the sources in DATA_DIR.

    Also what they hold, and what a build would make of them. Reads headers only, unless --deep. Errors stop a build or
    leave clips out, warnings make poor clips: either exits with 1. Notes say how unusual files are read; they are no
    problem, nor are warnings that --allow names. The options that are config fields shape the estimate of what a build
    makes. Without --config, a pair list is the split test's.

    Example: dvm check DVM --pairs test_fg_bg_names.txt --deep
    """
    configs = _configs(data_dir, split, fields)
    checked = CheckCache(Path(datasets.config.HF_CACHE_HOME) / "dvm_hf" / "checked", data_dir) if deep else None
    progress = Progress("Decoding" if deep else "Reading headers", is_shown=not as_json)
    try:
        with _silent_package():
            report = check(
                data_dir,
                configs=configs,
                checked=checked,
                show=progress,
                processes=num_proc,
                needed=split,
                require_rows=True,
            )
            report = replace(report, allowed=allowed)
    except KeyboardInterrupt:
        kept = "; what is decoded is remembered: the same command goes on from here" if deep else ""
        click.echo(f"\nstopped after {progress.done} of {progress.total} sources{kept}", err=True)
        raise SystemExit(130) from None
    if checked is not None and checked.fault:
        click.echo(f"what was decoded is not remembered ({checked.fault}): another check begins anew", err=True)
    click.echo(json.dumps(report.plain()) if as_json else in_words(report))
    if report.problems:
        raise SystemExit(1)


@contextmanager
def _silent_package() -> Iterator[None]:
    """Nothing is logged that is in the report, too."""
    package = logging.getLogger("dvm_hf")
    before = package.level
    package.setLevel(logging.ERROR)
    try:
        yield
    finally:
        package.setLevel(before)


class Progress:
    """A bar on stderr with an estimate by bytes, for what takes longer than two seconds."""

    def __init__(self, what: str, *, is_shown: bool) -> None:
        self._what, self._is_shown = what, is_shown
        self.done = self.total = 0

    def __call__(
        self, looked: Iterable[tuple[Source, SourceCheck]], total: int, sizes: Mapping[Source, int]
    ) -> Iterator[tuple[Source, SourceCheck]]:
        self.total = total
        with tqdm(
            total=sum(sizes.values()),
            desc=self._what,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            delay=2,
            disable=not self._is_shown,
        ) as bar:
            for source, result in looked:
                self.done += 1
                bar.set_postfix_str(f"{self.done}/{total} sources", refresh=False)
                bar.update(sizes[source])
                yield source, result


def _configs(data_dir: Path, name: str | None, fields: dict[str, Any]) -> list[DVMConfig]:
    """The configs to look at, checked; raises ConfigError or SourceError for what the user has given wrongly."""
    configs = []
    for split in [name] if name else SPLITS:
        own = dict(fields)
        if not name and split != "test":
            own.pop("pairs", None)
        wanted = config(split, str(data_dir), own)
        require_valid(wanted)
        if wanted.pairs is not None:
            pairs_path(wanted)
        configs.append(wanted)
    return configs


def in_words(report: Report) -> str:
    """The report as text."""
    lines = [line for severity in SEVERITIES for line in _findings(report, severity)]
    root = printable(report.root)
    lines += ["", f"{root} holds:" if report.holdings else f"{root} holds no usable source."]
    for one in report.holdings:
        length = f", {counted(one.frames, 'frame')}, {_time(one.seconds)}" if one.kind != "image" else ""
        sizes = f"{one.smallest}" if one.smallest == one.largest else f"{one.smallest} to {one.largest}"
        sizes = f", {sizes}" if min(one.smallest) else ""
        lines.append(f"  {one.split}: {counted(one.count, KINDS[one.kind])}{length}{sizes}, {in_bytes(one.bytes)}")
    for seen in report.outlooks:
        empty = f" ({seen.without_rows:,} of them without a row)" if seen.without_rows else ""
        lines.append(
            f"A build of the config {seen.config!r} makes {counted(seen.clips, 'clip')}{empty}, "
            f"{counted(seen.rows, 'row')}, {counted(seen.frames, 'frame')};\n"
            f"  about {in_bytes(seen.bytes)} and {_time(seen.seconds)} of one core (estimated from {seen.basis})"
        )
    counts = {severity: sum(one.severity == severity for one in report.findings) for severity in SEVERITIES}
    told = ", ".join(counted(count, severity) for severity, count in counts.items())
    told += f" (allowed: {', '.join(report.allowed)})" if report.allowed else ""
    hint = "" if report.is_deep else " Only headers were read; --deep decodes everything."
    return "\n".join([*lines, "", f"{told}.{hint}"]).lstrip("\n")


def _findings(report: Report, severity: str) -> list[str]:
    """A line each; those of one rule in one folder in one line where they are many."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for one in report.findings:
        if one.severity == severity:
            groups.setdefault((one.code, one.path.rpartition("/")[0]), []).append(one)
    lines = []
    for (code, folder), found in groups.items():
        if len(found) < MANY or code in FROM_LISTS:
            lines += [f"{severity}: {one.path}: {one.text}; {one.advice} [{code}]" for one in found]
            continue
        names = ", ".join(one.path.rpartition("/")[2] for one in found[:3])
        first = f"the first: {found[0].text}; {found[0].advice}"
        lines.append(f"{severity}: {folder or '.'}: {len(found):,} like {names}; {first} [{code}]")
    more = len(lines) - SHOWN
    return lines[:SHOWN] + [f"{severity}: and {more:,} more; --json lists them all"] * (more > 0)


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
