"""What a worker of Ray runs: the task of a shard, as a stream of events. Imports neither Ray nor `datasets`."""

import os
import socket
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from threading import Thread

import dvm_hf
from dvm_hf.errors import DVMError, MachineError, PreparedError
from dvm_hf.media.video.videos import decode_in_one_thread
from dvm_hf.prepared.atomic_io import writer_name
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.shard_task import Crash, Outcome, Task, attempt, import_arrow
from dvm_hf.prepared.shards import Progress
from dvm_hf.sources.remote.sent_sources import SentSources, receive
from dvm_hf.versions import versions

REPORTS = 2.0  # seconds between two reports of a task


@dataclass(frozen=True)
class Started:
    """A task has begun. writer: the process, as in the names of its temporary files."""

    writer: str


@dataclass(frozen=True)
class Failure:
    """An expected error. Ray would raise an exception that is yielded itself."""

    error: DVMError


Event = Started | Progress | Failure | Crash | Outcome


def installed_versions() -> dict[str, str]:
    """Return the versions that all nodes must have: of this package and of the libraries that affect shards."""
    return {"dvm_hf": dvm_hf.__version__, **versions()}


def events(task: Task, expected: Mapping[str, str], sources: SentSources | None = None) -> Iterator[Event]:
    """Build a shard; yield its start, its progress, and at last its outcome or error.

    expected: `installed_versions` of the driver. sources: those to fetch into the cache of this node.
    """
    yield Started(writer_name())
    try:
        _require_same_versions(expected)
        if sources is not None:
            task = replace(task, data_dir=receive(sources, task.data_dir))
        _require_folders(task)
    except DVMError as error:
        yield Failure(_of_this_node(error, sources is not None))
        return
    import_arrow()
    decode_in_one_thread()
    found: SimpleQueue[Progress | Outcome | DVMError | Crash] = SimpleQueue()
    Thread(target=_attempt, args=(task, found), daemon=True).start()
    while True:
        progress, result = _next(found)
        yield progress
        if result is not None:
            is_remote = sources is not None
            yield Failure(_of_this_node(result, is_remote)) if isinstance(result, DVMError) else result
            return


def _attempt(task: Task, found: SimpleQueue[Progress | Outcome | DVMError | Crash]) -> None:
    try:
        found.put(attempt(task, found.put))
    except MemoryError:  # end, to free its memory
        traceback.print_exc()
        os._exit(1)
    except BaseException:  # such as the ConnectionResetError of a network file system; `events` waits for a result
        found.put(Crash(traceback.format_exc()))


def _next(
    found: SimpleQueue[Progress | Outcome | DVMError | Crash],
) -> tuple[Progress, Outcome | DVMError | Crash | None]:
    """Return the progress of some seconds, and the result if there is one by then."""
    clips = frames = size = 0
    end = time.monotonic() + REPORTS
    while (left := end - time.monotonic()) > 0:
        try:
            one = found.get(timeout=left)
        except Empty:
            break
        if not isinstance(one, Progress):
            return Progress(clips, frames, size), one
        clips, frames, size = clips + one.clips, frames + one.frames, size + one.bytes
    return Progress(clips, frames, size), None


def _of_this_node(error: DVMError, has_sent_sources: bool) -> DVMError:
    """Return an error with the name of this node, if other nodes may not have it."""
    node = f"node {socket.gethostname()}"
    is_of_node = (isinstance(error, MachineError) or has_sent_sources) and node not in str(error)
    return type(error)(f"{node}: {error}") if is_of_node else error


def _require_same_versions(expected: Mapping[str, str]) -> None:
    """Raise PreparedError if this node has other versions than the driver."""
    node, found = socket.gethostname(), installed_versions()
    changed = [
        f"{name} is {found.get(name)}, but {expected.get(name)} where dvm prepare runs"
        for name in dict.fromkeys([*expected, *found])
        if found.get(name) != expected.get(name)
    ]
    if changed:
        raise PreparedError(
            f"node {node}: {'; '.join(changed)}: shards would have different bytes; install the same versions on all "
            "nodes"
        )


def _require_folders(task: Task) -> None:
    """Raise PreparedError if this node does not share a task's folders."""
    node = socket.gethostname()
    for path in (PreparedFolder(task.out).plan(task.shard.split), task.data_dir):
        if not path.exists():
            raise PreparedError(
                f"{path}: does not exist on the node {node}; use a folder that all nodes share, with the same path"
            )
