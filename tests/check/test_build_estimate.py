"""The build estimate against a build; builds without rows."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from check_runs import LIMITED, SIZE, TRIMAP, B, F, build_error, cut, film, found, looked_at
from conftest import TreeWriter

from dvm_hf.check.build_estimate import EFFECT_SECONDS, build_estimate, synthetic_costs
from dvm_hf.check.report import check
from dvm_hf.check.source import Facts
from dvm_hf.clips.appearance.named_effects import EFFECTS
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.dataset.config import DVMConfig, plans
from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Size
from dvm_hf.media.still.image_encoding import write_image


def test_crops_larger_than_a_clip_are_reported_like_in_a_build(root: Path) -> None:
    report = looked_at(root, crop_size=55, clip_length=4)
    told = [one for one in report.findings if one.code == "crop-too-large"]
    assert [one.text.partition(" clips")[0] for one in told] == ["crop_size is 55, but 2 of 4"] * 2
    most = int(told[0].hint.rpartition(" ")[2])
    assert "crop_size is 55" in build_error(root, crop_size=55)
    assert build_error(root, crop_size=most) == ""
    assert f"up to {most}" in build_error(root, crop_size=most + 1)
    assert [one.without_rows for one in report.outlooks] == [2, 2]


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({"clip_length": 16}, 13),  # train: stills as long as their background of 13 frames
        ({"clip_length": 13, "frame_step": 2}, 13),  # a window of 13 spans 25 frames
        ({"clip_length": 11, "max_image_frames": 10, "kinds": ("image",)}, 10),
    ],
    ids=str,
)
def test_a_build_without_rows_is_an_error(
    root: Path, load: Callable[..., Any], fields: dict[str, Any], most: int, deep: bool
) -> None:
    (told,) = [one for one in looked_at(root, deep=deep, require_rows=True, **fields).findings if "'train'" in one.text]
    assert (told.code, told.severity) == ("no-rows", "error")
    assert f"the longest clip has {most} frames" in told.text
    with pytest.raises(SourceError, match="no window remains"):
        load("train", data_dir=str(root), split="train", **fields)
    enough = most if "frame_step" not in fields else (most + 1) // 2
    assert not any(
        "'train'" in one.text for one in looked_at(root, require_rows=True, **fields | {"clip_length": enough}).findings
    )


def test_kinds_without_foregrounds_are_an_error(root: Path) -> None:
    shutil.rmtree(root / "fg/video/train")
    report = looked_at(root, kinds=("video",), clip_length=4, require_rows=True)
    assert [(one.code, one.severity) for one in report.findings] == [("no-kind", "error")]
    assert [one.config for one in report.outlooks] == ["test"]


def test_a_pair_list_without_lines_of_the_kinds_is_an_error(root: Path) -> None:
    (root / "pairs.txt").write_text("image+disc.png+0030.mp4\n")
    assert found(root, pairs=str(root / "pairs.txt")) == []
    (told,) = looked_at(root, pairs=str(root / "pairs.txt"), kinds=("video",)).findings
    assert (told.code, told.severity) == ("plan", "error")
    assert "no line of the kinds video" in told.text


def test_a_requested_split_must_exist(root: Path) -> None:
    shutil.rmtree(root / "bg/test")
    for needed, code, severity in (("test", "split-unusable", "error"), ("train", "split-empty", "note")):
        config = DVMConfig(name=needed, data_dir=str(root), clip_length=4)
        told = check(root, configs=[config], processes=0, needed=needed).findings
        assert [(one.code, one.severity) for one in told if one.code.startswith("split")] == [(code, severity)]


def test_unknown_frame_counts_are_not_zero(root: Path) -> None:
    config = DVMConfig(name="train", data_dir=str(root))
    planned = plans(config).clips
    facts = {("image", "disc"): Facts(Size(48, 64)), ("video", "0000"): Facts(Size(48, 64))}
    facts |= {("background", one.background.name): Facts(Size(48, 64)) for one in planned}
    found, seen = build_estimate(config, planned, facts, synthetic_costs(config))
    assert found == []
    assert seen.without_rows == 0


def test_a_damaged_file_is_not_rendered_for_the_estimate(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / B).write_bytes((root / B).read_bytes()[:400])
    TreeWriter(root).moving("0000", frames=12, alpha_frames=10)  # an error though its sizes are known
    rendered: list[Path] = []

    def noted(config: DVMConfig, plan: ClipPlan) -> tuple[int, int, float]:
        rendered.extend((plan.background.path, plan.foreground.colour))
        return 1, 1, 1.0

    monkeypatch.setattr("dvm_hf.check.report.sampled", noted)
    looked_at(root, deep=True)
    assert rendered
    assert not {root / B, root / F} & set(rendered)


def levelled(root: Path) -> None:
    write_image(root / "fg/image/test/alpha/disc.png", np.full((48, 40), 128, np.uint8))


def enlarged_trimap(root: Path) -> None:
    write_image(root / TRIMAP, np.full((50, 40), 128, np.uint8))


REFUSED: dict[str, tuple[Callable[[Path], object], dict[str, Any], int]] = {  # damage, fields, clips that remain of 4
    "an alpha with fewer frames": (lambda root: TreeWriter(root).moving(split="test", alpha_frames=10), {}, 2),
    "an alpha of one level": (levelled, {}, 2),
    "a truncated background": (cut("bg/test/0030.mp4", keep=0.5), {}, 2),
    "a trimap of another size": (enlarged_trimap, {"trimap": "provided"}, 2),
    "a trimap that is not read": (enlarged_trimap, {}, 4),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", REFUSED)
def test_clips_that_a_build_refuses_are_not_counted(root: Path, load: Callable[..., Any], case: str) -> None:
    damage, fields, left = REFUSED[case]
    fields = {"clip_length": 4, "remainder": "drop"} | fields
    damage(root)
    seen = next(one for one in looked_at(root, deep=True, **fields).outlooks if one.config == "test")
    rows = load("test", data_dir=str(root), split="test", on_error="skip", streaming=True, **fields)
    built = [row["clip_id"] for row in rows]
    assert (seen.rows, seen.clips, seen.without_rows) == (len(built), 4, 4 - left)
    assert len(set(built)) == left


def test_clips_that_a_header_shows_to_be_refused_are_not_counted(root: Path) -> None:
    TreeWriter(root).moving(split="test", frames=12, alpha_frames=8)
    seen = next(one for one in looked_at(root, clip_length=4).outlooks if one.config == "test")
    assert (seen.clips, seen.without_rows) == (4, 2)


def test_an_empty_trimap_matters_only_for_provided_trimaps(root: Path, load: Callable[..., Any]) -> None:
    TreeWriter(root).still("two", split="test", value=77)
    (root / TRIMAP).write_bytes(b"")
    for trimap in ("dvm-test", "provided"):
        seen = next(one for one in looked_at(root, trimap=trimap).outlooks if one.config == "test")
        rows = load(
            "test",
            data_dir=str(root),
            split="test",
            on_error="skip",
            streaming=True,
            trimap=trimap,
            remainder="drop",
        )
        assert seen.rows == sum(1 for _ in rows)


def test_an_implausible_duration_is_ignored(root: Path) -> None:
    path = root / "bg/train/long.mkv"
    film(path, [LIMITED] * 5)
    data = path.read_bytes()
    at = data.index(b"\x44\x89\x88") + 3  # Matroska's Duration, a double
    path.write_bytes(data[:at] + struct.pack(">d", 9e15) + data[at + 8 :])
    (held,) = [one for one in looked_at(root).holdings if (one.split, one.kind) == ("train", "background")]
    assert held.frames == 12 + 13


def test_holdings_count_the_drawn_sources(root: Path) -> None:
    report = looked_at(root)
    (moving,) = [one for one in report.holdings if (one.split, one.kind) == ("test", "video")]
    assert (moving.count, moving.frames, moving.seconds) == (1, 15, pytest.approx(15 / 25))
    assert (moving.smallest, moving.largest) == (SIZE, SIZE)
    assert moving.bytes == sum(path.stat().st_size for path in (root / "fg/video/test/0000").iterdir())
    (backgrounds,) = [one for one in report.holdings if (one.split, one.kind) == ("train", "background")]
    assert (backgrounds.count, backgrounds.frames) == (2, 12 + 13)


def test_companions_are_part_of_the_estimate(tree: TreeWriter) -> None:
    tree.still("long")
    tree.moving("short", frames=3)
    tree.background(frames=12)
    alone, both = (looked_at(tree.root, clip_length=1, foregrounds_per_clip=count) for count in (1, 2))
    assert [(one.clips, one.frames) for one in alone.outlooks] == [(2, 12 + 3)]
    assert [(one.clips, one.frames) for one in both.outlooks] == [(2, 3 + 3)]
    told = looked_at(tree.root, foregrounds_per_clip=3).findings
    assert "needs 3 different foregrounds, but only 2 can be used" in " ".join(one.text for one in told)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"clip_length": 5, "remainder": "keep"},
        {"clip_length": 5, "remainder": "repeat_last", "crop_size": 24},
        {"clip_length": "all", "columns": ("frames",)},
        {"clip_length": 4, "encoding": "lossless", "columns": ("alpha", "foreground")},
        {"clip_length": 4, "encoding": "array", "crop_size": 24, "remainder": "drop"},
        {"clip_length": 6, "encoding": "video"},
        {"clip_length": 5, "foregrounds_per_clip": 2},
    ],
    ids=str,
)
def test_the_build_estimate_matches_a_build(root: Path, load: Callable[..., Any], fields: dict[str, Any]) -> None:
    report = looked_at(root, deep=True, **fields)
    for seen in report.outlooks:
        config = {"remainder": "drop"} | fields  # a bare DVMConfig has train's
        rows = load(seen.config, data_dir=str(root), split=seen.config, on_error="skip", **config) if seen.rows else []
        assert (seen.rows, seen.frames) == (len(rows), sum(map(len, rows["motion"])) if seen.rows else 0)
        if seen.rows and fields.get("encoding") != "array":
            cells = rows.with_format("arrow")[:]
            stored = sum(cells[name].nbytes for name in cells.column_names if name in ALL_COLUMNS)
            assert 0.5 * stored < seen.bytes < 1.5 * stored


ALL_COLUMNS = ("frames", "alpha", "trimap", "foreground", "background")


def test_motion_of_all_layers_takes_more_time_and_no_more_bytes() -> None:
    plain, moving = (synthetic_costs(DVMConfig(name="train", motion=motion)) for motion in ("dvm", "rvm"))
    assert plain.bytes == moving.bytes
    assert 1.1 < moving.seconds / plain.seconds < 1.5


def test_effects_take_time_in_their_share_of_the_clips() -> None:
    seconds = [
        synthetic_costs(DVMConfig(name="train", camera=camera)).seconds for camera in ("none", "noise:0.5", "noise")
    ]
    assert seconds[1] - seconds[0] == pytest.approx(seconds[2] - seconds[1])
    assert 1.5 < seconds[2] / seconds[0] < 2


def test_noise_takes_bytes_of_the_frames_in_its_share_of_the_clips() -> None:
    sizes = [
        synthetic_costs(DVMConfig(name="train", columns=("frames", "alpha"), encoding="video", camera=camera)).bytes
        for camera in ("none", "noise:0.5", "noise")
    ]
    assert sizes[1] - sizes[0] == pytest.approx(sizes[2] - sizes[1])
    assert sizes[2] == pytest.approx(0.14 * 2.3 + 0.14)


def test_every_effect_has_its_time() -> None:
    assert EFFECT_SECONDS.keys() == {name for rules in EFFECTS.values() for name in rules}
