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
from dvm_hf.commands.config_options import (
    SourceFolder,
    config,
    config_options,
    integer_option,
    json_option,
    split_option,
)
from dvm_hf.commands.help_sections import SectionedCommand
from dvm_hf.dataset.config import DVMConfig, pairs_path, require_buildable
from dvm_hf.environment import INTERRUPTED
from dvm_hf.sources.names import printable
from dvm_hf.sources.records import SPLITS
from dvm_hf.wording import counted, in_bytes

SHOWN = 200  # printed lines per severity; --json has all findings
MANY = 6  # minimum number of findings of one rule in one folder that share a line
FROM_LISTS = ("pair-line", "pair-missing")  # findings whose path is the pair list
KINDS = {"image": "image foreground", "video": "video foreground", "background": "background"}


@click.command("check", cls=SectionedCommand)
@click.argument("data_dir", type=SourceFolder(exists=True, path_type=Path))
@click.option("--deep", is_flag=True, help="Decode every file. Results are cached, so an interrupted check resumes.")
@json_option
@split_option("Config to check. --pairs applies to this config.  [default: both; --pairs applies to test]")
@integer_option(
    "--num-proc",
    "Number of worker processes, or 0 to work in the main process.  [default: one per core]",
    least=0,
    show_default=False,
)
@click.option(
    "--allow",
    "allowed",
    multiple=True,
    type=click.Choice([code for code, rule in RULES.items() if rule.severity == "warning"]),
    metavar="CODE",
    help="Code of a warning to accept, such as alpha-no-full for smoke. Repeat the option for several codes.",
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

    Also summarises the sources and estimates the size and time of a build. Only file headers are read, unless you pass
    --deep.

    An error stops a build, or, with --on-error skip, skips the clips of that source. A warning means that clips may be
    unusable for training. The exit code is 1 if there is an error, or a warning that --allow does not list. Notes
    describe how unusual files are read.

    Most options under Sources, Clips and Output are config fields, and change the estimate of the build.

    Example: dvm check DVM --pairs test_fg_bg_names.txt --deep
    """
    configs = _configs(data_dir, split, fields)
    checked = CheckCache(Path(datasets.config.HF_CACHE_HOME) / "dvm_hf" / "checked", data_dir) if deep else None
    progress = Progress("Decoding" if deep else "Reading headers", is_shown=not as_json)
    try:
        with _silent_package():
            report = check(
                data_dir,
                layout=configs[0].layout,
                configs=configs,
                checked=checked,
                show=progress,
                processes=num_proc,
                needed=split,
                require_rows=True,
            )
            report = replace(report, allowed=allowed)
    except KeyboardInterrupt:
        kept = " Results so far are cached; run the same command again to resume." if deep else ""
        click.echo(f"\nStopped after {progress.done} of {counted(progress.total, 'source')}.{kept}", err=True)
        raise SystemExit(INTERRUPTED) from None
    if checked is not None and checked.fault:
        click.echo(f"Results could not be cached ({checked.fault}); the next check starts over.", err=True)
    click.echo(json.dumps(report.plain()) if as_json else in_words(report))
    if report.problems:
        raise SystemExit(1)


@contextmanager
def _silent_package() -> Iterator[None]:
    """Silence the package's log warnings, because the report lists them."""
    package = logging.getLogger("dvm_hf")
    before = package.level
    package.setLevel(logging.ERROR)
    try:
        yield
    finally:
        package.setLevel(before)


class Progress:
    """A progress bar on stderr, by bytes, that appears after two seconds."""

    def __init__(self, what: str, *, is_shown: bool) -> None:
        self._what, self._is_shown = what, is_shown
        self.done = self.total = 0

    def __call__(
        self, results: Iterable[tuple[Source, SourceCheck]], total: int, sizes: Mapping[Source, int]
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
            for source, result in results:
                self.done += 1
                bar.set_postfix_str(f"{self.done}/{total} sources", refresh=False)
                bar.update(sizes[source])
                yield source, result


def _configs(data_dir: Path, name: str | None, fields: dict[str, Any]) -> list[DVMConfig]:
    """Return the configs to check. Raises ConfigError or SourceError for options that are not valid."""
    configs = []
    for split in [name] if name else SPLITS:
        own = dict(fields)
        if not name and split != "test":
            own.pop("pairs", None)
        wanted = config(split, str(data_dir), own)
        require_buildable(wanted)
        if wanted.pairs is not None:
            pairs_path(wanted)
        configs.append(wanted)
    return configs


def in_words(report: Report) -> str:
    """Return the report as text."""
    lines = [line for severity in SEVERITIES for line in _findings(report, severity)]
    root = printable(report.root)
    lines += ["", f"{root} contains:" if report.holdings else f"{root} contains no usable source."]
    for one in report.holdings:
        length = f", {counted(one.frames, 'frame')}, {_time(one.seconds)}" if one.kind != "image" else ""
        sizes = f"{one.smallest}" if one.smallest == one.largest else f"{one.smallest} to {one.largest}"
        sizes = f", {sizes}" if min(one.smallest) else ""
        lines.append(f"  {one.split}: {counted(one.count, KINDS[one.kind])}{length}{sizes}, {in_bytes(one.bytes)}")
    for seen in report.outlooks:
        empty = f" ({seen.without_rows:,} without rows)" if seen.without_rows else ""
        lines.append(
            f"A build of the config {seen.config!r} has {counted(seen.clips, 'clip')}{empty}, "
            f"{counted(seen.rows, 'row')}, {counted(seen.frames, 'frame')}.\n"
            f"  Estimate: {in_bytes(seen.bytes)}, {_time(seen.seconds)} on one core (from {seen.basis})"
        )
    counts = {severity: sum(one.severity == severity for one in report.findings) for severity in SEVERITIES}
    verdict = ", ".join(counted(count, severity) for severity, count in counts.items())
    verdict += f" (allowed: {', '.join(report.allowed)})" if report.allowed else ""
    depth = "" if report.is_deep else " Only headers were read; pass --deep to decode every file."
    return "\n".join([*lines, "", f"{verdict}.{depth}"]).lstrip("\n")


def _findings(report: Report, severity: str) -> list[str]:
    """Return a line per finding; many findings of one rule in one folder share a line."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for one in report.findings:
        if one.severity == severity:
            groups.setdefault((one.code, one.path.rpartition("/")[0]), []).append(one)
    lines = []
    for (code, folder), found in groups.items():
        if len(found) < MANY or code in FROM_LISTS:
            lines += [f"{severity}: {one.path}: {one.text}; {one.hint} [{code}]" for one in found]
            continue
        names = ", ".join(one.path.rpartition("/")[2] for one in found[:3])
        first = f"the first: {found[0].text}; {found[0].hint}"
        lines.append(f"{severity}: {folder or '.'}: {len(found):,} similar findings ({names}, ...); {first} [{code}]")
    more = len(lines) - SHOWN
    return lines[:SHOWN] + [f"{severity}: {more:,} more; --json lists all"] * (more > 0)


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
