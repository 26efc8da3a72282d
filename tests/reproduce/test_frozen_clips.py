"""`dvm plan`: exported lists, which others can render and this package imports."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from command_runs import assert_plain_refusal, run
from conftest import TreeWriter
from PIL import Image

OPTIONS = ("--config", "train", "--seed", "7", "--clip-length", "4", "--remainder", "keep")


def export(sources: Path, path: Path, *arguments: str) -> dict[str, Any]:
    result = run("plan", str(sources), "--export", str(path), *(arguments or OPTIONS), "--json")
    assert result.exit_code == 0, result.stderr
    content = json.loads(path.read_text())
    answer = {"file": str(path), "clips": len(content["clips"]), "frames": sum(c["frames"] for c in content["clips"])}
    assert json.loads(result.stdout) == answer
    return dict(content)


def digests(*arguments: str) -> dict[str, Any]:
    result = run("digest", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_a_list_describes_the_rows_of_a_build(few_sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("prepare", str(few_sources), str(out), *OPTIONS, "--num-shards", "1").exit_code == 0
    content = export(few_sources, tmp_path / "clips.json", *OPTIONS, "--digests", str(out))
    clips = {clip["clip_id"]: clip for clip in content["clips"]}
    rows = [row for path in (out / "data").glob("*") for row in pq.read_table(path).to_pylist()]
    assert {row["clip_id"] for row in rows} == clips.keys()
    for row in rows:
        clip = clips[row["clip_id"]]
        window = clip["windows"][row["window"]]
        assert window == {"window": row["window"], "start": row["start"], "frames": len(row["motion"]), "crop": None}
        poses = clip["motion"][row["start"] : row["start"] + window["frames"]]
        np.testing.assert_allclose(poses, row["motion"], rtol=1e-6)
        assert (clip["frame_size"], clip["seed"]) == ([row["height"], row["width"]], row["seed"])
        assert clip["pair"].startswith(f"{clip['kind']}+{row['foreground_name']}")
    assert digests(str(out)) == {
        "digest": digests(str(out))["digest"],
        "splits": {"train": content["digest"]},
        "clips": {name: clip["digest"] for name, clip in clips.items()},
    }
    assert content["config"]["seed"] == 7
    assert content["motion_columns"] == [f"foreground {name}" for name in ("row", "column", "angle", "zoom")]
    files = {clip[name] for clip in clips.values() for name in ("colour", "alpha", "background")}
    assert content["sources"].keys() == files
    for name, digest in content["sources"].items():
        assert digest == hashlib.sha256((few_sources / name).read_bytes()).hexdigest()


def test_digests_of_other_clips_are_refused(few_sources: Path, tmp_path: Path) -> None:
    out, path, pairs = tmp_path / "out", tmp_path / "clips.json", tmp_path / "pairs.txt"
    pairs.write_text("image+disc.png+0000.mp4\n")
    assert run("prepare", str(few_sources), str(out), *OPTIONS, "--pairs", str(pairs)).exit_code == 0
    command = ["plan", str(few_sources), "--export", str(path), *OPTIONS, "--digests", str(out)]
    assert_plain_refusal(command, "lacks clips of this config")
    for name, value in (("motion", "rvm"), ("frame-step", "2"), ("seed", "8"), ("shutter", "1")):
        field = f"was prepared with {name.replace('-', '_')}="
        assert_plain_refusal([*command, "--pairs", str(pairs), f"--{name}", value], field)
    assert not path.exists()
    assert run(*command, "--pairs", str(pairs)).exit_code == 0
    with_noise = tmp_path / "with_noise"  # a field that plans omit if it has its default
    assert run("prepare", str(few_sources), str(with_noise), *OPTIONS, "--camera", "noise").exit_code == 0
    field = "was prepared with camera='noise=0-7.65:1', but the list has 'none'"
    assert_plain_refusal([*command[:-1], str(with_noise)], field)


def first_picture(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_others_can_render_a_clip_from_the_list(few_sources: Path, tmp_path: Path) -> None:
    """With OpenCV alone: one warp for alpha and colour, and the equation of the composite."""
    fields = ("--clip-length", "1", "--columns", "frames,alpha,background", "--kinds", "image")
    content = export(few_sources, tmp_path / "clips.json", "--config", "train", *fields)
    out = str(tmp_path / "out")
    assert run("prepare", str(few_sources), out, "--config", "train", *fields, "--encoding", "lossless").exit_code == 0
    rows = [row for path in Path(out).glob("data/*") for row in pq.read_table(path).to_pylist()]
    for clip in content["clips"]:
        (row,) = (row for row in rows if (row["clip_id"], row["window"]) == (clip["clip_id"], 0))
        alpha = cv2.imread(str(few_sources / clip["alpha"]), cv2.IMREAD_GRAYSCALE)
        height, width = clip["frame_size"]
        assert list(alpha.shape) == clip["foreground_size"]
        y, x, angle, zoom = clip["motion"][0]
        matrix = cv2.getRotationMatrix2D((alpha.shape[1] / 2, alpha.shape[0] / 2), -angle, zoom)
        matrix[:, 2] += (x - alpha.shape[1] / 2, y - alpha.shape[0] / 2)
        matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # from pixel edges to OpenCV's pixel centres
        moved = cv2.warpAffine(alpha, matrix, (width, height), flags=cv2.INTER_LINEAR)
        stored = decoded(row["alpha"][0])
        assert np.abs(moved.astype(int) - stored).max() <= 2
        top, left = clip["background_corner"]
        background = decoded(row["background"][0])
        shown = first_picture(few_sources / clip["background"])
        assert list(shown.shape[:2]) == clip["background_size"]
        assert np.abs(shown[top : top + height, left : left + width].astype(int) - background).max() <= 1


def test_others_can_render_a_blurred_clip_from_the_list(few_sources: Path, tmp_path: Path) -> None:
    """With OpenCV alone: the mean of warps by maps between those of neighbouring frames, as in docs/reproduce.md."""
    fields = ("--clip-length", "all", "--columns", "alpha", "--kinds", "image", "--shutter", "0.8")
    fields += ("--backgrounds-per-foreground", "1", "--max-image-frames", "8")
    content = export(few_sources, tmp_path / "clips.json", "--config", "train", *fields)
    out, counts = str(tmp_path / "out"), set()
    assert run("prepare", str(few_sources), out, "--config", "train", *fields, "--encoding", "lossless").exit_code == 0
    rows = {row["clip_id"]: row for path in Path(out).glob("data/*") for row in pq.read_table(path).to_pylist()}
    for clip in content["clips"]:
        alpha = cv2.imread(str(few_sources / clip["alpha"]), cv2.IMREAD_GRAYSCALE).astype(np.float32)
        height, width = clip["frame_size"]
        for index in (0, 3, clip["frames"] - 1):
            count, before, after = clip["foreground_exposures"][index]
            counts.add(count)
            poses = (before, clip["motion"][index], after)
            before, at, after = (inverse_map(pose, alpha.shape) for pose in poses)
            total = np.zeros((height, width))
            for k in range(count):
                time = content["config"]["shutter"] * ((k + 0.5) / count - 0.5)
                matrix = at + abs(time) * ((before if time < 0 else after) - at)
                flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
                total += cv2.warpAffine(alpha, matrix, (width, height), flags=flags)
            stored = decoded(rows[clip["clip_id"]]["alpha"][index])
            assert np.abs(total / count - stored).max() <= 3
    assert max(counts) > 1


def inverse_map(pose: list[float], shape: tuple[int, ...]) -> np.ndarray:
    """From OpenCV's pixel centres of the frame to those of the foreground."""
    y, x, angle, zoom = pose
    matrix = cv2.getRotationMatrix2D((shape[1] / 2, shape[0] / 2), -angle, zoom)
    matrix[:, 2] += (x - shape[1] / 2, y - shape[0] / 2)
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return cv2.invertAffineTransform(matrix)


def decoded(image: dict[str, Any]) -> np.ndarray:
    return cv2.cvtColor(found, cv2.COLOR_BGR2RGB) if (found := _read(image)).ndim == 3 else found


def _read(image: dict[str, Any]) -> np.ndarray:
    found = cv2.imdecode(np.frombuffer(image["bytes"], np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        OPTIONS,
        (*OPTIONS, "--crop-size", "16", "--clip-step", "2"),
        ("--config", "test", "--recipe", "reference", "--clip-length", "all"),
        ("--config", "train", "--motion", "rvm", "--shutter", "0.5", "--clip-length", "3", "--crop-size", "12"),
        ("--config", "train", "--backgrounds-per-foreground", "1", "--trimap", "dvm-train", "--clip-length", "3"),
        ("--config", "train", "--foregrounds-per-clip", "2", "--difficulty", "easy", "--clip-length", "3"),
    ],
)
def test_a_round_trip_gives_the_same_clips(few_sources: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    path = tmp_path / "clips.json"
    content = export(few_sources, path, *arguments)
    expected = digests(str(few_sources), *arguments)
    assert len(expected["clips"]) == len(content["clips"]) > 0
    assert digests(str(few_sources), *arguments, "--pairs", str(path)) == expected
    assert export(few_sources, tmp_path / "again.json", *arguments, "--pairs", str(path)) == content
    result = run("plan", str(few_sources), "--compare", str(path))
    assert (result.exit_code, result.stdout) == (0, f"{len(content['clips'])} clips, all as listed\n")
    found = run("check", str(few_sources), "--num-proc", "0", "--pairs", str(path), *arguments[:2], "--json")
    assert not [one for one in json.loads(found.stdout)["findings"] if one["code"].startswith("pair-")]
    del content["clips"][0]["seed"]
    path.write_text(json.dumps(content))
    result = run("plan", str(few_sources), "--compare", str(path))
    assert (result.exit_code, result.stdout) == (
        1,
        f"{content['clips'][0]['clip_id']}: seed differs from the list\n1 difference\n",
    )


SEVERAL = ("--config", "train", "--foregrounds-per-clip", "3", "--clip-length", "2")


@pytest.mark.slow
def test_a_list_decides_the_companions(tree: TreeWriter, tmp_path: Path) -> None:
    for name in ("0000", "0001", "0002"):
        tree.still(name)  # the video 0000 has the same name
    tree.moving("0000")
    tree.background()
    path = tmp_path / "clips.json"
    content = export(tree.root, path, *SEVERAL)
    sizes = {"image": [48, 40], "video": [48, 64]}  # those of the files
    for one in (one for clip in content["clips"] for one in clip["companions"]):
        assert one["foreground_size"] == sizes[one["kind"]]
    expected = digests(str(tree.root), *SEVERAL)
    for number in range(6):  # of which new draws would take some
        tree.still(f"new{number}")
    assert not expected["clips"].items() <= digests(str(tree.root), *SEVERAL)["clips"].items()
    assert digests(str(tree.root), *SEVERAL, "--pairs", str(path)) == expected
    assert run("plan", str(tree.root), "--compare", str(path)).exit_code == 0
    narrower = run("digest", str(tree.root), *SEVERAL, "--pairs", str(path), "--kinds", "image")
    assert (narrower.exit_code, "have companions of the kind video; add it to kinds" in narrower.stderr) == (2, True)
    another = tmp_path / "another.json"  # the still 0001 was a video
    for one in (one for clip in content["clips"] for one in clip["companions"] if one["name"] == "0001"):
        one["kind"] = "video"
    another.write_text(json.dumps(content))
    content = json.loads(path.read_text())
    result = run("digest", str(tree.root), *SEVERAL, "--pairs", str(another))
    assert (result.exit_code, "its companion, the video foreground '0001', is missing" in result.stderr) == (1, True)
    (tree.root / "fg/image/train/fg/0002.png").unlink()
    (tree.root / "fg/image/train/alpha/0002.png").unlink()
    missing = "its companion, the image foreground '0002', is missing or cannot be used; add it"
    result = run("digest", str(tree.root), *SEVERAL, "--pairs", str(path))
    assert (result.exit_code, missing in result.stderr) == (1, True)
    result = run("check", str(tree.root), "--num-proc", "0", "--pairs", str(path), *SEVERAL, "--json")
    found = [f"{one['text']}; {one['hint']}" for one in json.loads(result.stdout)["findings"]]
    assert any(missing in one for one in found)
    for companions in (content["clips"][0]["companions"][:1] * 2, [], [{"kind": "audio", "name": "0"}] * 2, None, "ab"):
        content["clips"][0]["companions"] = companions
        path.write_text(json.dumps(content))
        result = run("digest", str(tree.root), *SEVERAL, "--pairs", str(path))
        assert (result.exit_code, "is not a list of clips that this release reads" in result.stderr) == (1, True)


def test_crops_are_those_of_the_rows(few_sources: Path, tmp_path: Path) -> None:
    fields = (
        "--config",
        "train",
        "--clip-length",
        "3",
        "--clip-step",
        "1",
        "--columns",
        "alpha",
        "--encoding",
        "lossless",
    )
    for name, more in (("whole", ()), ("cropped", ("--crop-size", "16"))):
        assert run("prepare", str(few_sources), str(tmp_path / name), *fields, *more).exit_code == 0
    content = export(few_sources, tmp_path / "clips.json", *fields[:-2], "--crop-size", "16")
    rows = {
        name: {
            (row["clip_id"], row["window"]): row
            for path in (tmp_path / name / "data").glob("*")
            for row in pq.read_table(path).to_pylist()
        }
        for name in ("whole", "cropped")
    }
    crops = {(clip["clip_id"], one["window"]): one["crop"] for clip in content["clips"] for one in clip["windows"]}
    assert crops.keys() == rows["cropped"].keys()
    for key, (top, left, bottom, right) in crops.items():
        assert (bottom - top, right - left) == (16, 16)
        for whole, crop in zip(rows["whole"][key]["alpha"], rows["cropped"][key]["alpha"], strict=True):
            np.testing.assert_array_equal(decoded(whole)[top:bottom, left:right], decoded(crop))


def test_a_list_has_the_numbers_of_light_and_camera(few_sources: Path, tmp_path: Path) -> None:
    path = tmp_path / "clips.json"
    effects = ("--light", "shadow,exposure:0.5", "--camera", "jpeg=30,noise=2:0.5", "--seed", "11")
    content = export(few_sources, path, *OPTIONS, *effects)
    assert content["config"]["light"] == "exposure=0-0.5:0.5,shadow=0-0.6:1"
    for clip in content["clips"]:
        assert 0 <= clip["light"]["shadow"]["darkness"] <= 0.6
        assert (clip["light"]["mix"], clip["light"]["screen"], clip["camera"]["jpeg"]) == (0, None, 30)
    assert {clip["light"]["exposure"] is None for clip in content["clips"]} == {True, False}
    assert {clip["camera"]["noise"] for clip in content["clips"]} == {0, 2}
    assert run("plan", str(few_sources), "--compare", str(path)).exit_code == 0
    # other texts for the same effects
    same = ("--light", "exposure:0.5, shadow", "--camera", "noise=2-2:0.5,jpeg=30", "--seed", "11")
    found = [digests(str(few_sources), *OPTIONS, *same, *pairs) for pairs in ((), ("--pairs", str(path)))]
    assert found[0] == found[1]
    other = ["digest", str(few_sources), *OPTIONS, "--seed", "11", "--pairs", str(path)]
    assert_plain_refusal(other, "its clips have light=")
    content["clips"][0]["light"]["shadow"]["pose"][0] += 1
    path.write_text(json.dumps(content))
    result = run("plan", str(few_sources), "--compare", str(path))
    assert result.stdout == f"{content['clips'][0]['clip_id']}: light differs from the list\n1 difference\n"


def test_another_config_is_refused_with_its_fields(few_sources: Path, tmp_path: Path) -> None:
    path = tmp_path / "clips.json"
    export(few_sources, path)
    arguments = [
        "digest",
        str(few_sources),
        "--config",
        "train",
        "--pairs",
        str(path),
        "--seed",
        "7",
        "--recipe",
        "reference",
    ]
    assert_plain_refusal(arguments, "its clips have recipe='dvm', clip_length=4, remainder='keep', but this config has")
    assert_plain_refusal(["plan", str(few_sources), "--compare", str(path), "--seed", "7"], "omit this option with")
    assert_plain_refusal(["plan", str(few_sources)], "pass one of them")
    assert_plain_refusal(
        ["plan", str(few_sources), "--export", str(tmp_path / "clips.txt")], "another suffix than .json"
    )


def test_changed_and_missing_sources_are_named(few_sources: Path, tmp_path: Path) -> None:
    copy, path = tmp_path / "DVM", tmp_path / "clips.json"
    shutil.copytree(few_sources, copy)
    content = export(copy, path)
    still = copy / "fg/image/train/fg/disc.png"
    pixels = np.array(Image.open(still))
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(still)
    result = run("plan", str(copy), "--compare", str(path), "--json")
    assert result.exit_code == 1
    (fault,) = json.loads(result.stdout)["differences"]
    assert fault.startswith("fg/image/train/fg/disc.png: has the SHA-256 ")
    content["clips"][0]["motion"][2][1] += 0.5
    content["clips"][1]["background_corner"][0] += 1
    path.write_text(json.dumps(content))
    names = [content["clips"][index]["clip_id"] for index in (0, 1)]
    faults = json.loads(run("plan", str(copy), "--compare", str(path), "--json").stdout)["differences"]
    assert f"{names[0]}: motion differs from the list" in faults
    assert f"{names[1]}: background_corner differs from the list" in faults
    (copy / "bg/train/0001.mp4").unlink()
    result = run("plan", str(copy), "--compare", str(path))
    assert result.exit_code == 1
    assert "0001.mp4" in result.stderr


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"kind": "frozen clips", "format": 2}',
        '{"kind": "frozen clips", "format": 1, "clips": [1]}',
        "[" * 9999,
    ],
)
def test_other_json_files_are_no_lists(few_sources: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "clips.json"
    path.write_text(text)
    assert_plain_refusal(
        ["plan", str(few_sources), "--compare", str(path)], "is not a list of clips that this release reads"
    )
    result = run("digest", str(few_sources), "--config", "train", "--pairs", str(path))
    assert result.exit_code in (1, 2)
    assert "is not a list of clips that this release reads" in result.stderr
