"""Check every source of a tree in worker processes, by its headers or by decoding it."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from dvm_hf.check import frame_sources, stills, videos
from dvm_hf.check.findings import Finding, finding, of_error, unreadable
from dvm_hf.check.source import Facts, Source, SourceCheck
from dvm_hf.errors import MachineError, SourceError
from dvm_hf.media.video.containers import video_header
from dvm_hf.sources.remote.source_files import present
from dvm_hf.worker_processes import lean_start, no_worker, spawned_pool

Result = TypeVar("Result")
FEW = 400  # number of headers that one process reads in the time that another one needs to start
IN_FLIGHT = 4  # number of sources queued per process


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

    A file that crashes its process becomes a finding, and the check continues with the others.
    """
    todo = list(wanted)
    if processes == 0:
        for source in todo:
            yield source, checked_source(METHODS[method], source)
        return
    count = min(processes or os.cpu_count() or 1, len(todo))
    if method == "headers" and len(todo) <= FEW:
        count = 1  # starting a second process would take longer
    has_run = False
    while todo:
        suspects: list[Source] = []
        yield from _in_pool(todo, method, count, suspects)
        if suspects and not has_run:
            require_workers()
            has_run = True
        # one of these crashed its process: check them one after another, and continue after a crash in a new process
        results = in_a_process(checked_source, ((METHODS[method], source) for source in suspects))
        for source, result in zip(suspects, results, strict=True):
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


def in_a_process(function: Callable[..., Result], calls: Iterable[tuple[Any, ...]]) -> Iterator[Result | None]:
    """Call a function in another process with each tuple of arguments; yield its results, or None if it crashed."""
    pool = spawned_pool(1)
    try:
        for arguments in calls:
            try:
                with lean_start():
                    future = pool.submit(function, *arguments)
                yield future.result()
            except BrokenProcessPool:
                pool.shutdown()
                pool = spawned_pool(1)
                yield None
    finally:
        pool.shutdown(cancel_futures=True)


def _in_pool(
    todo: list[Source], method: str, count: int, suspects: list[Source]
) -> Iterator[tuple[Source, SourceCheck]]:
    """Yield results, and remove their sources from `todo`.

    If a process crashes, add the sources that it may have read to `suspects`, and return.
    """
    waiting: dict[Future[SourceCheck], Source] = {}
    others = set(multiprocessing.active_children())
    pool = spawned_pool(count)
    is_over = False
    try:
        while todo or waiting:
            while todo and len(waiting) < count * IN_FLIGHT:
                try:
                    with lean_start():
                        future = pool.submit(checked_source, METHODS[method], todo[-1])
                except OSError as error:
                    raise no_worker(error) from error
                waiting[future] = todo.pop()
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for ready in done:
                source = waiting[ready]
                result = ready.result()
                del waiting[ready]
                yield source, result
        is_over = True
    except BrokenProcessPool:
        suspects += waiting.values()
        is_over = True
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        if not is_over:  # interrupted: do not wait until a long video is decoded
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()


def require_workers() -> None:
    """Raise MachineError if no worker process can be started, as in a script without a main guard."""
    with spawned_pool(1) as pool:
        try:
            with lean_start():
                future = pool.submit(os.getpid)
            future.result()
        except (BrokenProcessPool, OSError) as error:
            raise no_worker(error) from error
