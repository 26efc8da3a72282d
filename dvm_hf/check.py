"""Check a source tree before a long build: everything that is wrong with it, at once, and what a build will make."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvm_hf.check_contents import of_contents
from dvm_hf.check_layout import surveyed
from dvm_hf.check_source import Examined, Facts, Source, sources
from dvm_hf.checked import Checked
from dvm_hf.config import DVMConfig, pairs_path, plans
from dvm_hf.errors import SourceError
from dvm_hf.examination import examined
from dvm_hf.findings import Finding, by_gravity, finding
from dvm_hf.geometry import Size
from dvm_hf.outlook import Outlook, drawn_costs, outlook, sampled_costs
from dvm_hf.pair_list import listed_pairs
from dvm_hf.plan import ClipPlan
from dvm_hf.sources import SPLITS, Problem, SourceTree

MOST_LINES = 1000  # of a pair list that are told one by one
Show = Callable[[Iterable[tuple[Source, Examined]], int, Mapping[Source, int]], Iterable[tuple[Source, Examined]]]


@dataclass(frozen=True)
class Holding:
    """What a split holds of one kind of source. smallest, largest: heights x widths by area, 0 x 0 where unknown."""

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
    """Findings, the gravest first; what the tree holds; what builds will make. is_deep: everything was decoded."""

    root: str
    is_deep: bool
    findings: tuple[Finding, ...]
    holdings: tuple[Holding, ...]
    outlooks: tuple[Outlook, ...]

    @property
    def problems(self) -> int:
        """Errors and warnings; notes are none."""
        return sum(one.gravity != "note" for one in self.findings)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        written = dataclasses.asdict(self)
        for one, entry in zip(self.findings, written["findings"], strict=True):
            entry["gravity"] = one.gravity
        return written | {"problems": self.problems}


def check(
    root: Path,
    *,
    configs: Iterable[DVMConfig],
    checked: Checked | None = None,
    show: Show | None = None,
    processes: int | None = None,
) -> Report:
    """Everything that is wrong with a source tree, and what builds of these configs (of its root) would make.

    checked: where to remember what was decoded; None reads headers only. show: wraps the sources as they are done, with
    their number and sizes, to show progress. Raises SourceError where the root is no folder.
    """
    trees, findings = surveyed(root)
    todo = [source for tree in trees.values() for source in sources(tree)]
    sizes = {path: size for tree in trees.values() for path, (size, _) in tree.signatures.items()}
    weights = {source: sum(sizes[path] for path in source.paths) for source in todo}
    found: dict[Source, Examined] = {}
    looked = _looked(todo, checked, processes)
    for source, result in show(looked, len(todo), weights) if show else looked:
        found[source] = result
        findings += result.findings
    compared = {source.colour: sizes[source.colour] for source in todo}
    findings += of_contents(root, compared)
    outlooks = []
    for config in configs:
        if config.name in trees:
            more, seen = _outlook(config, trees[config.name], found, is_deep=checked is not None)
            findings += more
            outlooks += seen
    holdings = tuple(_holdings(found, weights))
    return Report(str(root), checked is not None, tuple(by_gravity(findings)), holdings, tuple(outlooks))


def _looked(todo: list[Source], checked: Checked | None, processes: int | None) -> Iterator[tuple[Source, Examined]]:
    if checked is None:
        yield from examined(todo, look="headers", processes=processes)
        return
    new = []
    for source in todo:
        known = checked.get(source)
        if known is None:
            new.append(source)
        else:
            yield source, known
    for source, result in examined(new, look="decoding", processes=processes):
        checked.remember(source, result)
        yield source, result


def _plan_findings(config: DVMConfig, error: SourceError) -> Iterator[Finding]:
    """Why nothing can be planned: every line of the pair list that breaks a rule, or the one reason that there is."""
    faults: tuple[tuple[int, str], ...] = ()
    with contextlib.suppress(SourceError):
        faults = listed_pairs(pairs_path(config)).faults if config.pairs is not None else ()
    path = str(config.pairs or ".")
    for line, fault in faults[:MOST_LINES]:
        yield finding("pair-line", path, line=line, fault=fault)
    if len(faults) > MOST_LINES:
        yield finding("pair-lines", path, count=len(faults) - MOST_LINES)
    if not faults:
        yield finding("plan", path, fault=str(error))


def _missing_pairs(config: DVMConfig, left_out: tuple[Problem, ...]) -> Iterator[Finding]:
    for problem in left_out[:MOST_LINES]:
        yield finding("pair-missing", str(config.pairs), fault=str(problem))
    if len(left_out) > MOST_LINES:
        yield finding("pair-lines", str(config.pairs), count=len(left_out) - MOST_LINES)


def _outlook(
    config: DVMConfig, tree: SourceTree, found: Mapping[Source, Examined], *, is_deep: bool
) -> tuple[list[Finding], list[Outlook]]:
    """Pairs that cannot be made, and what is made of the others."""
    facts: dict[tuple[str, str], Facts] = {
        (source.kind, source.name): result.facts for source, result in found.items() if source.split == tree.split
    }
    if not tree.foregrounds or not tree.backgrounds:
        return [], []
    try:
        planned = plans(dataclasses.replace(config, on_error="skip"))
    except SourceError as error:
        return list(_plan_findings(config, error)), []
    findings = list(_missing_pairs(config, planned.left_out)) if config.pairs is not None else []
    clips: tuple[ClipPlan, ...] = planned.clips
    costs = sampled_costs(config, clips) if is_deep else drawn_costs(config)
    return findings, [outlook(config, clips, facts, costs)]


def _holdings(found: Mapping[Source, Examined], weights: Mapping[Source, int]) -> Iterator[Holding]:
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
