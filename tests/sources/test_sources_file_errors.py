"""The error of every mistake in a sources file: file, line, key, and what is allowed."""

import os
from pathlib import Path

import pytest
from placeholder_sources import VALID, put_sets, written

from dvm_hf.errors import SourceError
from dvm_hf.sources.tree import scan, survey

ENTRY = "train:\n  foregrounds:\n    - {path: a, %s}\n"
BACK = "train:\n  backgrounds:\n    - {path: a, %s}\n"
MISTAKES = {
    "": "line 1: train: the file is empty",
    "# nothing\n": "line 1: train: the file is empty",
    "train: [": "line 1: syntax: is not valid YAML",
    "a: b: c\n": "line 1: syntax: is not valid YAML (mapping values are not allowed here)",
    "train: \x07\n": "line 1: syntax: is not valid YAML",
    "- train\n": "line 1: the file: must be a mapping of keys to values; allowed keys: train, test",
    "valid:\n": "line 1: valid: is not a key of the file; allowed: train, test",
    "train:\n  foregrounds: []\ntrain:\n": "line 3: train: is already on line 1; write it once",
    "train:\n": "line 1: train: must be a mapping of keys to values; allowed keys: foregrounds, backgrounds",
    "train: {}\n": "line 1: train: there is no entry",
    "train:\n  fg: []\n": "line 2: fg: is not a key of train; allowed: foregrounds, backgrounds",
    "train:\n  foregrounds: a\n": "line 2: train: foregrounds: must be a list; write each entry as - {path: FOLDER}",
    "train:\n  foregrounds:\n    - a\n": "line 3: an entry of foregrounds: must be a mapping of keys to values;",
    "train:\n  foregrounds:\n    - {name: a}\n": "line 3: path: is missing; each entry needs the path of a folder",
    "train:\n  foregrounds:\n    - {path: }\n": "line 3: path: must be a string or a number",
    "train:\n  foregrounds:\n    - {path: [a]}\n": "line 3: path: must be a string or a number",
    "train:\n  foregrounds:\n    - path: a\n      path: b\n": "line 4: path: is already on line 3; write it once",
    "train:\n  foregrounds:\n    - path: a\n      2: b\n": "line 4: 2: is not a key of an entry of foreg",
    "train:\n  foregrounds:\n    - path: a\n      ? [b]\n": "line 4: a list or a mapping: is not a key of an entry of",
    "train:\n  foregrounds:\n    - path: hf://x/y\n": "line 3: path: hf://x/y: is not the address of a data set",
    "train:\n  foregrounds:\n    - path: https://host/x\n": "line 3: path: data_dir='https://host/x': web servers have",
    "train:\n  foregrounds:\n    - path: other.yaml\n": "line 3: path: 'other.yaml' is a sources file, but",
    "train:\n  foregrounds:\n    - path: .\n": "line 3: name: is needed, because the path contains no folder name",
    "train:\n  foregrounds:\n    - path: a\n      name: b/c\n": "line 4: name: 'b/c' is not allowed; a name has",
    "train:\n  foregrounds:\n    - path: a+b\n": "line 3: name: 'a+b' is not allowed; a name has",
    ENTRY % "name: .b": "line 3: name: '.b' is not allowed",
    ENTRY % "name: !!python/name:os.system x": "line 3: name: must be a string or a number",
    ENTRY % "color: straight": "line 3: color: is not a key of an entry of foregrounds; allowed: path,",
    ENTRY % "colour: red": "line 3: colour: 'red' is not allowed; allowed: straight, premultiplied, estimate",
    ENTRY % "repeat: 0": "line 3: repeat: '0' is not an integer from 1 to 1000",
    ENTRY % "repeat: 2.5": "line 3: repeat: '2.5' is not an integer from 1 to 1000",
    ENTRY % "repeat: two": "line 3: repeat: 'two' is not an integer from 1 to 1000",
    ENTRY % "share: 0.5": "line 3: share: is allowed for backgrounds only; remove it from the foregrounds",
    BACK % "repeat: 2": "line 3: repeat: is allowed for foregrounds only; remove it from the backgrounds",
    BACK % "colour: straight": "line 3: colour: is allowed for foregrounds only; remove it from the backgrounds",
    BACK % "share: 0": "line 3: share: '0' is not a number above 0 and up to 1, such as 0.5",
    BACK % "share: 1.5": "line 3: share: '1.5' is not a number above 0 and up to 1",
    BACK % "share: .nan": "line 3: share: '.nan' is not a number above 0 and up to 1",
    BACK % "share: half": "line 3: share: 'half' is not a number above 0 and up to 1",
    ENTRY % "frame_rate: 0": "line 3: frame_rate: '0' is not a number above 0 and up to 1000, such as 29.97",
    BACK % "frame_rate: 1000.5": "line 3: frame_rate: '1000.5' is not a number above 0 and up to 1000",
    ENTRY % "frame_rate: -25": "line 3: frame_rate: '-25' is not a number above 0 and up to 1000",
    BACK % "frame_rate: .inf": "line 3: frame_rate: '.inf' is not a number above 0 and up to 1000",
    ENTRY % "frame_rate: 30000/1001": "line 3: frame_rate: '30000/1001' is not a number above 0 and up to 1000",
    ENTRY % "frame_rate: [25]": "line 3: frame_rate: must be a string or a number",
    BACK % "include: []": "line 3: include: is empty; write patterns, or remove it",
    BACK % "include: [[a]]": "line 3: include: must be a string or a number",
    BACK % "exclude: list.txt": "line 3: exclude: the list ",
    BACK % "layout: films": "line 3: layout: layout='films': not a known layout;",
    BACK.replace("path: a", "path: none") % "name: x": "line 3: path: ",
    BACK % "share: 0.5": "line 3: share: the shares of the backgrounds of train add up to 0.5, but must add up to 1;",
    "train:\n  backgrounds:\n    - {path: a, share: 0.7}\n    - {path: b, share: 0.7}\n": (
        "line 4: share: the shares of the backgrounds of train add up to 1.4, but must add up to 1;"
    ),
    "train:\n  backgrounds:\n    - {path: a}\n    - {path: b, share: 1}\n": (
        "line 4: share: the shares of the backgrounds of train add up to 1, which leaves nothing for"
    ),
    "train:\n  backgrounds:\n    - path: a\n    - path: b/bg\n    - path: a/bg\n": (
        "line 5: name: 'a' and 'a' of line 3 could give two sources of the backgrounds of train the same name;"
    ),
    "train:\n  backgrounds:\n    - {path: a, name: x}\n    - {path: b, name: x.y}\n": (
        "line 4: name: 'x.y' and 'x' of line 3 could give two sources of the backgrounds of train the same name;"
    ),
    "train: " + 2000 * "[": "line 1: syntax: is n",
    "train:\n  backgrounds:\n    - {path: a, <<: {share: 1}}\n": "line 3: <<: is not a key of an entry of backgrounds;",
    "train:\n---\ntest:\n": "line 2: syntax: is not valid YAML (but found another document)",
}


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    return put_sets(tmp_path)


@pytest.mark.parametrize(("text", "error"), MISTAKES.items(), ids=range(len(MISTAKES)))
def test_every_mistake_is_named_with_file_line_and_key(sets: Path, text: str, error: str) -> None:
    path = written(sets, text)
    with pytest.raises(SourceError) as raised:
        survey(path, "train")
    assert str(raised.value).startswith(f"{path}, {error}")


def test_files_that_cannot_be_read_are_named(sets: Path) -> None:
    path = sets / "none.yaml"
    with pytest.raises(SourceError, match=r"none\.yaml: no such sources file; `dvm init` writes one$"):
        survey(path, "train")
    path.write_bytes(b"train:\n  \xff")
    with pytest.raises(SourceError, match=r"none\.yaml, line 2: syntax: is not UTF-8"):
        survey(path, "train")
    path.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(SourceError, match=r"has more than 1,048,576 bytes, the maximum; shorten it$"):
        survey(path, "train")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(SourceError, match=r"is a pipe or a device; pass a file$"):
        survey(path, "train")
    other = sets / "notes.txt"
    other.write_text("x")
    with pytest.raises(SourceError, match=r"notes\.txt: is a file, and not a sources file \(\.yaml\);"):
        survey(other, "train")


def test_a_layout_for_a_sources_file_is_refused(sets: Path) -> None:
    with pytest.raises(SourceError, match="layout='dvm' applies to a folder, but this is a sources file"):
        scan(written(sets), "train", layout="dvm")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            VALID.split("  backgrounds")[0],
            "has no usable backgrounds for the split 'train': it lists no",
        ),
        (
            VALID.replace("train", "test"),
            "has no usable foregrounds and no usable backgrounds for",
        ),
        (
            VALID.replace("a}", "a, exclude: '*'}", 1),
            "has no usable foregrounds for the split 'train': none in .; .:",
        ),
    ],
)
def test_a_split_without_sources_is_refused(sets: Path, text: str, error: str) -> None:
    with pytest.raises(SourceError) as raised:
        scan(written(sets, text), "train")
    assert f"sources.yaml: {error}" in str(raised.value)
