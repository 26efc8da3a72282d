"""Results of a deep check are cached until a file or a version changes."""

import os
from pathlib import Path

import pytest
from check_runs import B, claiming, looked_at

from dvm_hf.check import check_cache, worker_check
from dvm_hf.check.source import Source, SourceCheck


def test_decoded_files_are_cached_until_they_change(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claiming(root)
    first = looked_at(root, deep=True)
    decoded: list[str] = []

    def recorded(source: Source) -> SourceCheck:
        decoded.append(source.colour)
        return worker_check.by_decoding(source)

    monkeypatch.setitem(worker_check.METHODS, "decoding", recorded)
    second = looked_at(root, deep=True)
    assert decoded == []
    assert (second.findings, second.holdings) == (first.findings, first.holdings)
    os.utime(root / B, ns=(0, (root / B).stat().st_mtime_ns + 1))
    looked_at(root, deep=True)
    assert decoded == [B]


def test_results_of_other_versions_are_discarded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at(root, deep=True)
    decoded: list[str] = []

    def watched(source: Source) -> SourceCheck:
        decoded.append(source.colour)
        return worker_check.by_decoding(source)

    monkeypatch.setitem(worker_check.METHODS, "decoding", watched)
    edition, used = check_cache.EDITION
    monkeypatch.setattr(check_cache, "EDITION", [edition, used | {"libavcodec": "0.0.0"}])
    looked_at(root, deep=True)
    assert B in decoded


def test_results_before_an_interruption_are_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []

    def interrupted(source: Source) -> SourceCheck:
        if len(decoded) == 3:
            raise KeyboardInterrupt
        decoded.append(source.colour)
        return worker_check.by_decoding(source)

    monkeypatch.setitem(worker_check.METHODS, "decoding", interrupted)
    with pytest.raises(KeyboardInterrupt):
        looked_at(root, deep=True)
    first = list(decoded)
    decoded.clear()
    with pytest.raises(KeyboardInterrupt):
        looked_at(root, deep=True)
    assert len(first) == len(decoded) == 3
    assert not set(first) & set(decoded)


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage", [b"", b"{", b"null\n", b'{"key": 1}\n', b'{"key": "k", "findings": [{}], "facts": []}']
)
def test_a_damaged_cache_is_discarded(root: Path, damage: bytes) -> None:
    report = looked_at(root, deep=True)
    (path,) = (root.parent / "checked").iterdir()
    path.write_bytes(path.read_bytes()[:-40] + b"\n" + damage)
    assert looked_at(root, deep=True).findings == report.findings
