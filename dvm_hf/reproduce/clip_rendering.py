"""The content digest of a clip, rendered by this process or by a worker. Does not import `datasets`."""

from typing import NamedTuple

import cv2

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.windows import FrameTuple
from dvm_hf.dataset.content_digest import ClipDigest, digested_windows
from dvm_hf.errors import MachineError, SourceError
from dvm_hf.prepared.shards import SKIP_HINT, TOO_SHORT
from dvm_hf.worker_processes import end_with_parent


class DigestTask(NamedTuple):
    """A clip to render, with its split. skips: whether errors of its sources are a reason to skip it."""

    split: str
    plan: ClipPlan
    skips: bool


class Rendered(NamedTuple):
    """The digest of a clip, and the reason why the clip or its last windows are skipped; each may be empty.

    error: returned and not raised, so that the first clip with an error can be named, whichever ends first.
    """

    digest: str = ""
    reason: str = ""
    error: SourceError | None = None


def start_worker() -> None:
    """Prepare a worker process: the others use the other cores."""
    end_with_parent()
    cv2.setNumThreads(1)


def numbered(call: tuple[int, DigestTask]) -> Rendered:
    """Render a clip that has a number."""
    return rendered(call[1])


def rendered(clip: DigestTask) -> Rendered:
    """Render a clip and return its digest; no picture is kept."""
    try:
        return Rendered(*_clip_digest(clip.plan, skips=clip.skips))
    except SourceError as error:
        return Rendered(error=error)


def _clip_digest(clip: ClipPlan, *, skips: bool) -> tuple[str, str]:
    """Return the digest of a clip, and the reason why the clip or its last windows are skipped; each may be empty."""
    digest, reason = ClipDigest(clip.rendering), ""
    try:
        for _ in digested_windows(clip, digest, each=lambda frame: None, collect=FrameTuple):
            pass
    except MachineError:
        raise
    except SourceError as error:
        if not skips:
            raise SourceError(f"{clip.clip_id}: {error} {SKIP_HINT}") from error
        reason = str(error)
    return digest.hex(), reason or ("" if digest.hex() else TOO_SHORT)
