"""Check every source of a tree in worker processes, by its headers or by decoding it."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from dvm_hf.check import frame_sources, stills, videos
from dvm_hf.check.findings import Finding, finding, of_error, unreadable
from dvm_hf.check.source import Facts, Source, SourceCheck
from dvm_hf.errors import MachineError, SourceError
from dvm_hf.media.video.containers import video_header
from dvm_hf.sources.remote.source_files import present
from dvm_hf.worker_pool import Death, pooled_results
from dvm_hf.worker_processes import end_with_parent

FEW = 400  # number of headers that one process reads in the time that another one needs to start
HEADERS_PER_CALL = 16  # a call costs as much as one or two headers


def by_headers(source: Source) -> SourceCheck:
    """Check a source without decoding it."""
    if frame_sources.is_other_kind(source):
        found, facts = frame_sources.by_headers(source)
        return SourceCheck(tuple(found), facts)
    if source.kind == "image":
        found, size = stills.by_headers(source)
        return SourceCheck(tuple(found), Facts(size, 0, 0.0))
    if source.kind == "video":
        found, facts = videos.foreground_by_headers(source)
        return SourceCheck(tuple(found), facts)
    found, header = videos.video_by_header(source.root, source.colour)
    if header is None:
        return SourceCheck(tuple(found), Facts())
    return SourceCheck(tuple(found), videos.facts(header, (source.root / source.colour).stat().st_size))


def by_decoding(source: Source) -> SourceCheck:
    """Check the headers of a source, then every pixel."""
    quick = by_headers(source)
    if any(
        one.code in ("still-unreadable", "video-unreadable", "unreadable", "machine-fault") for one in quick.findings
    ):
        return quick
    try:
        found, facts = _decoded(source, quick.facts)
    except SourceError as error:
        path = next((path for path in source.paths if f"{source.root / path}: " in str(error)), source.colour)
        found, facts = [of_error("video-unreadable", path, error, full_path=source.root / path)], Facts()
    # findings of decoding replace those of the headers, whose frame counts may be wrong
    replaced = {(one.code, one.path) for one in found} | {("counts-differ", str(Path(source.colour).parent))}
    kept = [one for one in quick.findings if (one.code, one.path) not in replaced]
    return SourceCheck((*kept, *found), facts)


def _decoded(source: Source, quick: Facts) -> tuple[list[Finding], Facts]:
    if frame_sources.is_other_kind(source):
        return frame_sources.by_decoding(source, quick)
    if source.kind == "image":
        return stills.by_pixels(source), quick
    header = video_header(source.root / source.colour)
    if source.kind == "video":
        return videos.foreground_by_frames(source, header, video_header(source.root / source.alpha))
    found, measures = videos.video_by_frames(source.root, source.colour, header)
    seconds = measures.frames / float(header.rate) if header.rate else header.seconds
    return found, Facts(measures.upright_size, measures.frames, seconds)


METHODS = {"headers": by_headers, "decoding": by_decoding}


def checked_sources(
    wanted: Iterable[Source], *, method: str, processes: int | None = None
) -> Iterator[tuple[Source, SourceCheck]]:
    """Yield each source with its results, in any order, on all cores.

    method: a key of `METHODS`. processes: number of worker processes; 0: work in this process.

    A file that crashes its process becomes a finding, and the check continues with the others. Raises MachineError if
    no process can be started.
    """
    todo = list(wanted)
    if processes == 0:
        for source in todo:
            yield source, checked_source(METHODS[method], source)
        return
    count = min(processes or os.cpu_count() or 1, len(todo))
    if method == "headers" and len(todo) <= FEW:
        count = 1  # starting a second process would take longer
    suspects: list[Source] = []
    for source, result in _in_processes(todo, method, count, HEADERS_PER_CALL if method == "headers" else 1):
        if result is None:
            suspects.append(source)
        else:
            yield source, result
    # the process of these ended, maybe at another one or because two took too much memory: check each alone
    for source, result in _in_processes(suspects, method, 1, 1):
        yield source, result or SourceCheck((finding("crash", source.colour),), Facts())


def checked_source(method: Callable[[Source], SourceCheck], source: Source) -> SourceCheck:
    """Check a source; a file that cannot be opened, such as one deleted in the meantime, becomes a finding."""
    try:
        with present(source.root / path for path in source.paths):
            return method(source)
    except MachineError as error:
        return SourceCheck((of_error("machine-fault", source.colour, error, full_path=source.root),), Facts())
    except OSError as error:
        named = [path for path in source.paths if str(source.root / path) == str(error.filename)]
        return SourceCheck((unreadable((named or [source.colour])[0], error),), Facts())


def _checked_sources(sources: Sequence[Source], method: Callable[[Source], SourceCheck]) -> list[SourceCheck]:
    return [checked_source(method, source) for source in sources]


def _in_processes(
    todo: Sequence[Source], method: str, count: int, per_call: int
) -> Iterator[tuple[Source, SourceCheck | None]]:
    """Yield each source with its results; with None if its process ended unexpectedly."""
    calls = [todo[first : first + per_call] for first in range(0, len(todo), per_call)]
    function, processes = partial(_checked_sources, method=METHODS[method]), min(count, len(calls))
    with closing(pooled_results(function, iter(calls), processes=processes, initializer=end_with_parent)) as results:
        for sources, result in results:
            found = [None] * len(sources) if isinstance(result, Death) else result
            yield from zip(sources, found, strict=True)
