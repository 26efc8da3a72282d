"""The command line, in process: its output, files and exit codes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from command_runs import assert_plain_refusal, run
from conftest import TreeWriter
from PIL import Image

import dvm_hf
from dvm_hf.check import worker_check
from dvm_hf.check.report import Report, check
from dvm_hf.check.source import Source, SourceCheck
from dvm_hf.cli import main
from dvm_hf.commands import demo
from dvm_hf.preview import pictures
from dvm_hf.synthetic.mixed_tree import draw_mixed_if_missing

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def demo_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A demo folder that already contains small sources."""
    drawn = TreeWriter(tmp_path / "demo" / "DVM")
    for split in ("train", "test"):
        for name in ("a", "b"):
            drawn.still(name, split=split)
        for name in ("0000", "0001"):
            drawn.background(name, split=split, frames=16)
    (drawn.root / "test_fg_bg_names.txt").write_text("image+a.png+0000.mp4\nimage+b.png+0001.mp4\n")
    monkeypatch.setattr(demo, "CROP_SIZE", 24)
    monkeypatch.setattr(pictures, "THUMBNAIL", (64, 56))  # a PNG of the full size takes seconds
    monkeypatch.setattr(demo, "draw_if_missing", lambda target: target)
    monkeypatch.setattr(demo, "draw_mixed_if_missing", partial(draw_mixed_if_missing, scale=0.25))
    return tmp_path / "demo"


@pytest.mark.slow
def test_demo_writes_a_contact_sheet_and_prints_its_path(demo_folder: Path) -> None:
    result = run("demo", str(demo_folder))
    assert result.exit_code == 0, result.output
    sheet = demo_folder / "contact_sheet.png"
    assert str(sheet) in result.stdout
    assert str(demo_folder / "DVM") in result.stdout
    assert f"dvm preview {demo_folder / 'mixed/sources.yaml'}\n" in result.stdout
    with Image.open(sheet) as image:
        image.load()
        assert image.format == "PNG"


@pytest.mark.slow
def test_demo_as_json_is_one_object_on_stdout(demo_folder: Path) -> None:
    answers = [run("demo", str(demo_folder), "--json") for _ in range(2)]
    assert [answer.exit_code for answer in answers] == [0, 0]
    first, second = (json.loads(answer.stdout) for answer in answers)
    assert first == second  # the second run built nothing
    assert first == {
        "sources": str(demo_folder / "DVM"),
        "sources_file": str(demo_folder / "mixed" / "sources.yaml"),
        "cache": str(demo_folder / "cache"),
        "contact_sheet": str(demo_folder / "contact_sheet.png"),
        "test_rows": 2,  # 16 frames each
        "streamed_rows": first["streamed_rows"],
        "mixed_rows": 4,  # one window of each foreground
    }
    assert first["streamed_rows"] > 0
    assert answers[0].stderr.strip()  # progress


@pytest.mark.slow
def test_demo_draws_into_dvm_demo_by_default(
    demo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo_folder.rename(tmp_path / "dvm_demo")
    monkeypatch.chdir(tmp_path)
    result = run("demo")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "dvm_demo" / "contact_sheet.png").is_file()


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_plain_refusal(["demo", str(tmp_path / "file")], "file")


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_plain_refusal(["demo", str(tmp_path / "file" / "demo")], str(tmp_path / "file" / "demo"))


def test_a_source_that_cannot_be_used_is_named_without_a_traceback(demo_folder: Path) -> None:
    broken = demo_folder / "DVM/fg/image/test/alpha/a.png"
    broken.write_bytes(broken.read_bytes()[:60])
    assert_plain_refusal(["demo", str(demo_folder), "--json"], str(broken))


@pytest.mark.parametrize("arguments", [["demo", "--no-such-option"], ["no-such-command"], ["demo", "a", "b"]])
def test_wrong_use_exits_with_2(arguments: list[str]) -> None:
    assert_plain_refusal(arguments, arguments[-1])


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_command(flag: str) -> None:
    result = run(flag)
    assert result.exit_code == 0
    for name, command in main.commands.items():
        assert f"{name} " in result.stdout
        assert command.get_short_help_str(limit=64) == command.get_short_help_str(limit=1000)  # on a line of 80 columns
        own = run(name, flag)
        assert own.exit_code == 0
        assert (command.help or "").splitlines()[0] in own.stdout
        assert "Example: dvm" in own.stdout
    assert "demo" in main.commands


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "answer"),
    [(["-m", "dvm_hf", "--version"], dvm_hf.__version__), ([str(ROOT / "dvm.py"), "--help"], "Usage: dvm.py")],
)
def test_the_command_line_starts_in_a_new_process(tmp_path: Path, command: list[str], answer: str) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    made = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert answer in made.stdout
    assert made.stderr == ""


@pytest.fixture
def checked_tree(tmp_path: Path) -> Path:
    """A valid tree of the split train."""
    drawn = TreeWriter(tmp_path / "DVM")
    drawn.still()
    drawn.background(frames=16)
    return drawn.root


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run checks in this process, which is faster; test_worker_check.py tests several processes."""

    def in_this_process(root: Path, **options: Any) -> Report:
        return check(root, **options | {"processes": 0})

    monkeypatch.setattr("dvm_hf.commands.check.check", in_this_process)


@pytest.mark.usefixtures("here")
def test_check_of_a_valid_tree_exits_with_0_and_estimates_the_build(checked_tree: Path) -> None:
    result = run("check", str(checked_tree), "--clip-length", "8")
    assert result.exit_code == 0, result.output
    assert "1 clip, 2 rows, 16 frames" in result.stdout
    assert "0 errors, 0 warnings" in result.stdout


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("options", [[], ["--deep"]])
def test_check_lists_all_problems_and_exits_with_1(checked_tree: Path, options: list[str]) -> None:
    (checked_tree / "bg/train/0009.mp4").write_bytes(b"")
    (checked_tree / "bg/train/notes.txt").write_bytes(b"x")
    result = run("check", str(checked_tree), *options)
    assert result.exit_code == 1
    first, second, third = result.stdout.splitlines()[:3]
    assert "1 image foreground, 40 x 48 px, " in result.stdout
    assert first == "error: bg/train/0009.mp4: is empty (0 bytes); copy it again [empty]"
    assert second.startswith("warning: bg/train/notes.txt: is unexpected and not read")
    assert third.startswith("note: .: the split 'test' has no usable foreground")


@pytest.mark.usefixtures("here")
def test_check_groups_findings_of_the_same_rule(checked_tree: Path) -> None:
    for number in range(250):
        shutil.copy(
            checked_tree / "fg/image/train/alpha/disc.png", checked_tree / f"fg/image/train/alpha/s{number}.png"
        )
    (checked_tree / "fg/image/train/fg").rename(checked_tree / "fg/image/train/fgs")
    lines = run("check", str(checked_tree)).stdout.splitlines()
    errors = [line for line in lines if line.startswith("error")]
    assert "rename it to fg/image/train/fg" in errors[0]
    assert len(errors) < 6
    (many,) = [line for line in errors if "[no-colour]" in line]
    assert many.startswith(
        "error: fg/image/train/alpha: 251 similar findings (disc.png, s0.png, s1.png, ...); the first: has no usable "
        "colour"
    )


@pytest.mark.usefixtures("here")
def test_an_allowed_warning_is_reported_without_failing(checked_tree: Path) -> None:
    (checked_tree / "bg/train/notes.txt").write_bytes(b"x")
    for options, code in (((), 1), (("--allow", "duplicate"), 1), (("--allow", "stray", "--allow", "duplicate"), 0)):
        result = run("check", str(checked_tree), *options)
        assert result.exit_code == code
        assert "warning: bg/train/notes.txt: is unexpected and not read" in result.stdout
    assert json.loads(run("check", str(checked_tree), "--json", "--allow", "stray").stdout)["problems"] == 0
    for no_warning in ("empty", "untagged", "nonsense"):
        assert_plain_refusal(["check", str(checked_tree), "--allow", no_warning], "--allow")


@pytest.mark.usefixtures("here")
def test_check_limits_the_listed_findings(checked_tree: Path) -> None:
    (checked_tree / "pairs.txt").write_text("nonsense\n" * 300)
    lines = run("check", str(checked_tree), "--config", "train", "--pairs", "pairs.txt").stdout.splitlines()
    assert len([line for line in lines if "[pair-line]" in line]) == 200
    assert "error: 100 more; --json lists all" in lines


@pytest.mark.usefixtures("here")
def test_check_works_without_a_cache(checked_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_CACHE_HOME", str(checked_tree / "bg/train/0000.mp4"))
    result = run("check", str(checked_tree), "--deep")
    assert result.exit_code == 0, result.output
    assert "Results could not be cached (" in result.stderr


@pytest.mark.usefixtures("here")
def test_check_as_json_is_one_object_on_stdout(checked_tree: Path) -> None:
    (checked_tree / "bg/train/0009.mp4").write_bytes(b"")
    result = run("check", str(checked_tree), "--json", "--config", "train")
    assert result.exit_code == 1
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert report["problems"] == 1
    assert report["findings"][0] == {
        "severity": "error",
        "gravity": "error",
        "code": "empty",
        "path": "bg/train/0009.mp4",
        "text": "is empty (0 bytes)",
        "hint": "copy it again",
        "advice": "copy it again",
    }
    assert [seen["config"] for seen in report["outlooks"]] == ["train"]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--clip-length", "none"], "clip_length"),
        (["--kinds", "image,moving"], "kinds"),
        (["--pairs", "nowhere.txt"], "nowhere.txt"),
        (["--config", "valid"], "--config"),
        (["--num-proc", "-1"], "--num-proc"),
    ],
)
def test_wrong_use_of_check_exits_with_2(checked_tree: Path, arguments: list[str], name: str) -> None:
    assert_plain_refusal(["check", str(checked_tree), *arguments], name)


def test_check_of_a_missing_folder_exits_with_2(tmp_path: Path) -> None:
    assert_plain_refusal(["check", str(tmp_path / "nowhere")], "nowhere")


@pytest.mark.usefixtures("here")
def test_an_interrupted_deep_check_explains_how_to_resume(checked_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(source: Source) -> SourceCheck:
        raise KeyboardInterrupt

    monkeypatch.setitem(worker_check.METHODS, "decoding", interrupted)
    result = run("check", str(checked_tree), "--deep", "--num-proc", "1")
    assert result.exit_code == 130
    assert "Stopped after 0 of 2 sources" in result.stderr
    assert "run the same command again to resume" in result.stderr


# A shell starts its background jobs with SIGINT ignored, and every process below them inherits that.
INTERRUPTIBLE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.slow
def test_an_interrupt_reaches_a_deep_check_in_many_processes(checked_tree: Path, tmp_path: Path) -> None:
    video = TreeWriter(checked_tree).background("0001", size=(360, 640), frames=60)
    for number in range(2, 100):  # enough that the check is still running when the interrupt arrives
        shutil.copyfile(video, video.with_name(f"{number:04}.mp4"))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", INTERRUPTIBLE, "-m", "dvm_hf", "check", str(checked_tree)]
    command += ["--deep", "--num-proc", "2"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        remembered = tmp_path / "home/dvm_hf/checked"
        while process.poll() is None and not (remembered.is_dir() and any(remembered.iterdir())):
            time.sleep(0.01)
        output = interrupted(process)
    assert process.returncode == 130, output
    assert "run the same command again to resume" in output
    assert "Traceback" not in output
    end = time.monotonic() + 20
    while group_lives(process.pid):
        assert time.monotonic() < end
        time.sleep(0.05)


def interrupted(process: "subprocess.Popen[str]") -> str:
    """Send Ctrl-C as a terminal does; return what the process writes to stderr."""
    os.killpg(process.pid, signal.SIGINT)
    return process.communicate(timeout=60)[1]


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
