"""Check a source tree before a long build: list every problem at once, and estimate the build."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from datasets.utils import tqdm

from dvm_hf.check.build_estimate import (
    SAMPLED_CLIPS,
    BuildEstimate,
    Costs,
    build_estimate,
    costs_of,
    is_readable,
    paths_of,
    sampled,
    synthetic_costs,
)
from dvm_hf.check.check_cache import CheckCache
from dvm_hf.check.contents import of_contents
from dvm_hf.check.findings import Finding, by_severity, finding, of_problem
from dvm_hf.check.layout import surveyed
from dvm_hf.check.source import Facts, Source, SourceCheck, sources
from dvm_hf.check.worker_check import checked_sources
from dvm_hf.clips.plan import ClipPlan, Plans, assigned_clips, listed_clips, require_distinct, with_companions
from dvm_hf.dataset.config import DVMConfig, pairs_path, rendering_of
from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Size
from dvm_hf.sources.pair_lists import EMPTY_LIST, listed_pairs
from dvm_hf.sources.records import SPLITS, SourceTree
from dvm_hf.sources.tree import AUTO, root_of, survey
from dvm_hf.worker_pool import Death, pooled_results
from dvm_hf.worker_processes import end_with_parent

ROWLESS = ("no-rows", "no-kind")  # codes for a build without a row
# config field and value: codes of warnings and notes at which such a build stops
REFUSED_BY = {("trimap", "provided"): ("trimap-size", "trimap-turned"), ("recipe", "reference"): ("reshaped",)}
MAX_LINES = 1000  # lines of a pair list that are reported one by one
Show = Callable[[Iterable[tuple[Source, SourceCheck]], int, Mapping[Source, int]], Iterable[tuple[Source, SourceCheck]]]


@dataclass(frozen=True)
class Holding:
    """The sources of one kind in a split. smallest, largest: (height, width) by area, or 0 x 0 if unknown."""

    split: str
    kind: str
    count: int
    bytes: int
    frames: int
    seconds: float
    smallest: Size
    largest: Size


@dataclass(frozen=True)
class Report:
    """Findings, the most severe first, the sources of the tree, and estimates of builds.

    is_deep: whether every file was decoded. allowed: codes of accepted warnings.
    """

    root: str
    is_deep: bool
    findings: tuple[Finding, ...]
    holdings: tuple[Holding, ...]
    outlooks: tuple[BuildEstimate, ...]
    allowed: tuple[str, ...] = ()

    @property
    def problems(self) -> int:
        """Number of errors and warnings, except allowed warnings."""
        return sum(one.severity != "note" and one.code not in self.allowed for one in self.findings)

    def plain(self) -> dict[str, Any]:
        """Return the report for JSON."""
        written = dataclasses.asdict(self)
        for one, entry in zip(self.findings, written["findings"], strict=True):
            entry["severity"] = entry["gravity"] = one.severity  # "gravity" and "advice": the keys until 0.1
            entry["advice"] = one.hint
        return written | {"problems": self.problems}


def check(
    data_dir: Path,
    *,
    layout: str = AUTO,
    configs: Iterable[DVMConfig],
    checked: CheckCache | None = None,
    show: Show | None = None,
    processes: int | None = None,
    needed: str | None = None,
    require_rows: bool = False,
) -> Report:
    """Return all findings about a source folder or sources file, and estimates of builds of these configs of it.

    layout: of a source folder. checked: cache for the results of decoding; None reads headers only. show: wraps the
    iterator over the checked sources, with their number and sizes, to show progress. needed: a split that must be
    usable. require_rows: report an error if a build of a config would have no row. Raises SourceError if data_dir is
    not a folder, or an invalid file.
    """
    trees, findings = surveyed(data_dir, layout=layout, needed=needed)
    todo = [source for tree in trees.values() for source in sources(tree)]
    sizes = {path: size for tree in trees.values() for path, (size, _) in tree.signatures.items()}
    weights = {source: sum(sizes[path] for path in source.paths) for source in todo}
    found: dict[Source, SourceCheck] = {}
    results = _results(todo, checked, processes)
    for source, result in show(results, len(todo), weights) if show else results:
        found[source] = result
        # black where alpha is 0 is right if the colours are premultiplied, and not used if they are estimated
        findings += [one for one in result.findings if one.code != "colour-keyed" or source.colours == "straight"]
    own_alphas = {one.path for one in findings if one.code == "alpha-in-channel"}  # may be the file of the colour
    alike = of_contents(root_of(data_dir), sizes, todo)
    findings += [one for one in alike if one.code != "alpha-is-colour" or one.path not in own_alphas]
    outlooks = []
    for config in configs:
        if config.name in trees:
            broken = _refused_paths(findings, config)
            more, seen = _estimate(
                config, trees[config.name], found, broken, processes, renders_samples=checked is not None
            )
            findings += more if require_rows else [one for one in more if one.code not in ROWLESS]
            outlooks += seen
    holdings = tuple(_holdings(found, weights))
    return Report(str(data_dir), checked is not None, tuple(by_severity(findings)), holdings, tuple(outlooks))


def _refused_paths(findings: Iterable[Finding], config: DVMConfig) -> set[str]:
    """Return the paths of files, and of folders of video foregrounds, that a build of the config refuses."""
    codes = {code for (name, value), codes in REFUSED_BY.items() if getattr(config, name) == value for code in codes}
    return {one.path for one in findings if one.severity == "error" or one.code in codes}


def _results(
    todo: list[Source], checked: CheckCache | None, processes: int | None
) -> Iterator[tuple[Source, SourceCheck]]:
    if checked is None:
        yield from checked_sources(todo, method="headers", processes=processes)
        return
    new = []
    for source in todo:
        known = checked.get(source)
        if known is None:
            new.append(source)
        else:
            yield source, known
    try:
        for source, result in checked_sources(new, method="decoding", processes=processes):
            checked.store(source, result)
            yield source, result
    finally:
        checked.close()


def _estimate(
    config: DVMConfig,
    tree: SourceTree,
    found: Mapping[Source, SourceCheck],
    broken: set[str],
    processes: int | None,
    *,
    renders_samples: bool,
) -> tuple[list[Finding], list[BuildEstimate]]:
    """Return findings about clips that cannot be built, and the estimate for the others, if there are any.

    broken: paths that a build refuses. renders_samples: whether to measure the costs on a few clips.
    """
    if config.trimap == "provided":  # skips image foregrounds whose trimap is unusable
        tree = survey(tree.data_dir, tree.split, layout=config.layout)
    facts: dict[tuple[str, str], Facts] = {
        (source.kind, source.name): result.facts for source, result in found.items() if source.split == tree.split
    }
    foregrounds = tuple(one for one in tree.foregrounds if one.kind in config.kinds)
    if tree.foregrounds and not foregrounds:
        return [finding("no-kind", ".", split=tree.split, kinds=", ".join(config.kinds))], []
    if not foregrounds or not tree.backgrounds:
        return [], []
    try:
        tree = dataclasses.replace(tree, foregrounds=foregrounds)
        findings, planned = _planned(config, tree)
        planned = with_companions(planned, tree)
        require_distinct(planned)
    except SourceError as error:
        return [finding("plan", str(config.pairs or "."), fault=str(error))], []
    if not planned.clips:
        return findings, []
    usable = [plan for plan in planned.clips if is_readable(plan, facts)]
    if broken:  # naming the files of every clip takes 0.1 ms a clip
        usable = [plan for plan in usable if not broken & paths_of(plan, tree.root)]
    costs = _sampled_costs(config, usable, processes) if renders_samples else None
    refused = len(planned.clips) - len(usable)
    more, seen = build_estimate(config, usable, facts, costs or synthetic_costs(config), refused=refused)
    return findings + more, [seen]


def _sampled_costs(
    config: DVMConfig,
    usable: Sequence[ClipPlan],
    processes: int | None,
) -> Costs | None:
    """Return costs measured on clips of valid sources, in another process: a crash must not end a long check."""
    chosen = usable[:: max(1, len(usable) // SAMPLED_CLIPS)][:SAMPLED_CLIPS]
    shown = iter(tqdm(chosen, desc="Rendering samples", unit=" clips", delay=2))
    sample = partial(sampled, config)
    if processes == 0:
        return costs_of([one for one in map(sample, shown) if one is not None])
    with closing(pooled_results(sample, shown, processes=1, initializer=end_with_parent)) as results:
        return costs_of([one for _, one in results if one is not None and not isinstance(one, Death)])


def _planned(config: DVMConfig, tree: SourceTree) -> tuple[list[Finding], Plans]:
    """Plan the clips like a build with on_error="skip", and return findings about unusable lines of a pair list."""
    rendering, seed = rendering_of(config), config.seed
    if config.pairs is None:
        count = config.backgrounds_per_foreground
        return [], assigned_clips(tree, backgrounds_per_foreground=count, seed=seed, rendering=rendering)
    pairs, faults = listed_pairs(pairs_path(config))
    planned = listed_clips(tree, [pair for pair in pairs if pair.kind in config.kinds], seed=seed, rendering=rendering)
    path = str(config.pairs)
    findings = [finding("pair-line", path, line=line, fault=fault) for line, fault in faults[:MAX_LINES]]
    missing = (
        dataclasses.replace(one, path=path, text=str(one), code="pair-missing") for one in planned.skipped[:MAX_LINES]
    )
    findings += map(of_problem, missing)
    unlisted = len(faults) + len(planned.skipped) - len(findings)
    if unlisted:
        findings.append(finding("pair-lines", path, count=unlisted))
    if not faults and not any(pair.kind in config.kinds for pair in pairs):
        unlisted_kinds = f"has no line of the kinds {', '.join(config.kinds)}; add one, or change kinds"
        findings.append(finding("plan", path, fault=unlisted_kinds if pairs else EMPTY_LIST))
    return findings, planned


def _holdings(found: Mapping[Source, SourceCheck], weights: Mapping[Source, int]) -> Iterator[Holding]:
    for split in SPLITS:
        for kind in ("image", "video", "background"):
            held = [source for source in found if (source.split, source.kind) == (split, kind)]
            if not held:
                continue
            facts = [found[source].facts for source in held]
            areas = sorted({one.size for one in facts if min(one.size)}, key=lambda size: (size[0] * size[1], size))
            yield Holding(
                split,
                kind,
                len(held),
                sum(weights[source] for source in held),
                sum(one.frames for one in facts),
                sum(one.seconds for one in facts),
                areas[0] if areas else Size(0, 0),
                areas[-1] if areas else Size(0, 0),
            )
