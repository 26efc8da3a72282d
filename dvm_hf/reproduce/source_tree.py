"""The content digests of a source tree: renders every clip, and keeps no picture."""

from collections.abc import Sequence

from datasets.utils import tqdm

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.windows import FrameTuple
from dvm_hf.dataset.config import DVMConfig, plans
from dvm_hf.dataset.content_digest import ClipDigest, digested_windows
from dvm_hf.errors import MachineError, SourceError
from dvm_hf.prepared.shards import SKIP_HINT, TOO_SHORT
from dvm_hf.reproduce.digests import Digests


def rendered_digests(configs: Sequence[DVMConfig]) -> Digests:
    """Return the digests of the clips of configs, one per split.

    Raises ConfigError or SourceError as a build of the configs does.
    """
    planned = {config.name: plans(config) for config in configs}
    found: dict[str, dict[str, str]] = {split: {} for split in planned}
    skipped = [(problem.path, problem.text) for one in planned.values() for problem in one.skipped]
    with tqdm(total=sum(len(one.clips) for one in planned.values()), desc="Rendering", unit=" clips", delay=2) as bar:
        for config in configs:
            for clip in planned[config.name].clips:
                digest, reason = _clip_digest(clip, skips=config.on_error == "skip")
                if digest:
                    found[config.name][clip.clip_id] = digest
                if reason:
                    skipped.append((clip.clip_id, reason))
                bar.update()
    return Digests(found, tuple(skipped))


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
