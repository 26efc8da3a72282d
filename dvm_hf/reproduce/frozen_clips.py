"""Lists of frozen clips: all that was drawn for the clips of a split, as JSON for other programs.

docs/reproduce.md describes each field. Nothing is rendered; only crops require that alphas are decoded.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datasets.utils import tqdm

from dvm_hf.clips.motion import MOTION_COLUMNS, POSE, Placement, motion_columns
from dvm_hf.clips.moving.exposure import Exposed
from dvm_hf.clips.plan import ClipPlan, pair_line
from dvm_hf.clips.scene import Scene
from dvm_hf.clips.windows import planned_windows, window_view
from dvm_hf.dataset.appearance import appearance_texts
from dvm_hf.dataset.config import DVMConfig, checked_plans, listed_pairs, source_tree
from dvm_hf.dataset.content_digest import split_digest
from dvm_hf.machine_faults import source_fault
from dvm_hf.media.pixels import Size
from dvm_hf.prepared.plans.shard_plan import current_versions, planned_fields
from dvm_hf.prepared.source_digests import content_digest
from dvm_hf.prepared.source_paths import relative_clips, source_paths
from dvm_hf.sources.frozen_lists import FORMAT, KIND
from dvm_hf.sources.tree import root_of

TOLERANCE = 1e-6  # px, degrees and zoom: processors may differ in the last digit of a sine


def frozen_clips(config: DVMConfig, digests: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the list of the clips of a config, as a JSON object.

    digests: content digests of the clips, if they are known. Raises ConfigError or SourceError as a build does.
    """
    root, tree = root_of(Path(config.data_dir or "")), source_tree(config)
    clips = checked_plans(config, tree, listed_pairs(config)).clips
    by_file_name = tree.is_listed_by_file_name
    described = [
        _described(clip, root, by_file_name=by_file_name)
        for clip in tqdm(clips, desc="Opening", unit=" clips", delay=2)
    ]
    paths = sorted({path for clip in relative_clips(clips, root) for path in source_paths(clip)})
    known = {clip.clip_id: digests[clip.clip_id] for clip in clips if digests and clip.clip_id in digests}
    return {
        "format": FORMAT,
        "kind": KIND,
        "versions": current_versions(),
        "split": config.name,
        "config": planned_fields(config),
        "motion_columns": list(motion_columns(config.motion, config.foregrounds_per_clip)),
        "digest": split_digest(known) if len(known) == len(clips) else None,
        "clips": [one | {"digest": known.get(one["clip_id"])} for one in described],
        "sources": {path: _sha256(root / path) for path in tqdm(paths, desc="Hashing", unit=" files", delay=2)},
    }


def differences(listed: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """Yield how the clips `found` differ from listed ones; versions and digests are not compared."""
    for path, digest in listed["sources"].items():
        if path not in found["sources"]:
            yield f"{path}: is not a source of these clips, but the list has it"
        elif found["sources"][path] != digest:
            yield f"{path}: has the SHA-256 {found['sources'][path][:12]}, but the list has {str(digest)[:12]}"
    clips = {clip["clip_id"]: clip for clip in found["clips"]}
    for clip in listed["clips"]:
        other = clips.pop(clip["clip_id"], None)
        if other is None:
            yield f"{clip['clip_id']}: is not a clip of these sources, but the list has it"
            continue
        for name in sorted((clip.keys() | other.keys()) - {"digest"}):
            if not _is_close(clip.get(name), other.get(name)):
                yield f"{clip['clip_id']}: {name} differs from the list"
    yield from (f"{name}: is a clip of these sources, but the list lacks it" for name in clips)


def _described(clip: ClipPlan, root: Path, *, by_file_name: bool) -> dict[str, Any]:
    (paths,) = relative_clips([clip], root)
    foreground, background = paths.foreground, paths.background
    with ExitStack() as opened:
        scene = Scene(clip, opened)
        drawn, count = scene.random_parameters, scene.frame_count
        return (
            {
                "clip_id": clip.clip_id,
                "pair": pair_line(clip, by_file_name=by_file_name),
                "kind": foreground.kind,
                "colour": foreground.colour.as_posix(),
                "alpha": foreground.alpha.as_posix(),
                "trimap": foreground.trimap and foreground.trimap.as_posix(),
                "background": background.path.as_posix(),
                "colours": foreground.colours,
                "seed": clip.seed,
                "frames": count,
                "foreground_size": _sides(scene.geometry.foreground),
                "background_size": _sides(scene.geometry.background),
                "frame_size": _sides(scene.geometry.frame),
                "background_corner": list(drawn.background_corner),
                "motion": [list(map(float, scene.motion(index))) for index in range(count)],
                "windows": _windows(scene),
            }
            | _companions(paths, scene.foreground_sizes[1:])
            | _exposures(scene)
            | _bands(scene)
            | {name: json.loads(text) for name, text in appearance_texts(clip).items()}
        )


def _companions(clip: ClipPlan, sizes: Sequence[Size]) -> dict[str, Any]:
    """Return the further foregrounds of a clip, from back to front, if there are any. sizes: in the composite."""
    described = [
        {
            "kind": one.kind,
            "name": one.name,
            "colour": one.colour.as_posix(),
            "alpha": one.alpha.as_posix(),
            "colours": one.colours,
            "foreground_size": _sides(size),
        }
        for one, size in zip(clip.companions, sizes, strict=True)
    ]
    return {"companions": described} if described else {}


def _windows(scene: Scene) -> list[dict[str, Any]]:
    """Return the windows of a clip, with their crops if there are any."""
    planned = list(planned_windows(scene.plan.rendering, scene.frame_count))
    scene.start(sorted({index for span in planned for index in span.indices}))
    windows = []
    for span in planned:
        view = window_view(scene, span)
        crop = None if scene.plan.rendering.crop_size is None else [view.top, view.left, view.bottom, view.right]
        windows.append({"window": span.number, "start": span.indices[0], "frames": len(span.indices), "crop": crop})
        scene.release(span.indices[0])
    return windows


def _exposures(scene: Scene) -> dict[str, Any]:
    """Return the motion of the layers while the shutter is open, by frame; empty if it is not."""
    rendering, drawn = scene.plan.rendering, scene.random_parameters
    if not rendering.shutter:
        return {}

    def exposures(path: Sequence[Placement]) -> list[Any]:
        return [_exposure(placement, rendering.motion) for placement in path[: scene.frame_count]]

    found: dict[str, Any] = {"foreground_exposures": exposures(drawn.placements)}
    if drawn.background is not None:
        found["background_exposures"] = exposures(drawn.background)
    if drawn.layers:
        found["companion_exposures"] = [exposures(layer.placements) for layer in drawn.layers[1:]]
    return found


def _exposure(placement: Placement, motion: str) -> list[Any] | None:
    """Return the number of samples and the poses one frame before and after; None if the layer rests."""
    if not isinstance(placement, Exposed):
        return None
    around = (placement.before, placement.after)
    return [placement.sample_count, *(list(map(float, _numbers(one, motion))) for one in around)]


def _numbers(placement: Placement, motion: str) -> tuple[float, ...]:
    return placement.pose if len(MOTION_COLUMNS[motion]) == len(POSE) else (*placement.pose, *placement.shape)


def _bands(scene: Scene) -> dict[str, Any]:
    if scene.plan.rendering.trimap != "dvm-train":
        return {}
    return {"bands": [asdict(band) for band in scene.random_parameters.bands[: scene.frame_count]]}  # type: ignore[call-overload]


def _sides(size: Size) -> list[int]:
    return [size.height, size.width]


def _sha256(path: Path) -> str:
    try:
        return content_digest(path)
    except OSError as error:
        text = f"{path}: cannot be read ({error.strerror}); replace the file"
        raise source_fault(path, error, text) from error


def _is_close(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_close, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_close(one[name], other[name]) for name in one)
    if isinstance(one, float) and isinstance(other, int | float):
        return abs(one - other) <= TOLERANCE
    return bool(one == other)
