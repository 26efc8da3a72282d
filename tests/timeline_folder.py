"""A folder of its own for the kept facts of videos."""

from pathlib import Path

import pytest

from dvm_hf.media.kept_facts import KEPT, TIMELINES


@pytest.fixture
def timelines(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for facts of videos; no facts of an earlier test are kept."""
    folder = tmp_path_factory.mktemp("timelines")
    monkeypatch.setenv(TIMELINES.variable, str(folder))
    KEPT.clear()
    return folder
