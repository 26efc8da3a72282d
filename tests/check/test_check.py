"""A valid tree has no findings, and every rule has a hint."""

from pathlib import Path

import pytest
from check_runs import found

from dvm_hf.check.findings import SEVERITIES
from dvm_hf.check.rules import RULES


@pytest.mark.parametrize("deep", [False, True])
def test_a_valid_tree_has_no_findings(valid_tree: Path, tmp_path: Path, deep: bool) -> None:
    assert found(valid_tree, deep=deep) == []


@pytest.mark.slow
@pytest.mark.parametrize("deep", [False, True])
def test_the_demo_sources_have_no_findings(drawn_sources: Path, deep: bool) -> None:
    assert found(drawn_sources, deep=deep, pairs="test_fg_bg_names.txt") == []


def test_every_rule_has_a_severity_and_a_hint() -> None:
    for code, rule in RULES.items():
        assert rule.severity in SEVERITIES
        assert rule.text
        assert rule.hint, code
