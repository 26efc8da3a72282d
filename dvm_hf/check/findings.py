"""Findings of `dvm check`: the broken rule, the path, a text and a hint, with a severity.

error: a build stops, or with on_error="skip" skips the clips of the source.
warning: a build works, but its clips may be unusable.
note: not a problem; describes how an unusual file is read.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from dvm_hf.check.rules import RULES
from dvm_hf.errors import MachineError, SourceError
from dvm_hf.machine_faults import HINTS, TRANSIENT
from dvm_hf.sources.records import Problem

SEVERITIES = ("error", "warning", "note")
REASONS = ("folder-misspelt", "folder-missing", "tree-empty", "split-unusable", "split-empty", "crop-too-large")
NUMBERS = re.compile(r"(\d+)", re.ASCII)
NOT_CACHED = ("crash", "unreadable", "machine-fault")


@dataclass(frozen=True)
class Finding:
    """A broken rule of a source tree. path: see `path_in_tree`. hint: what to do."""

    code: str
    path: str
    text: str
    hint: str

    @property
    def severity(self) -> str:
        return RULES[self.code].severity

    def __str__(self) -> str:
        return f"{self.path}: {self.text}; {self.hint}"


def finding(code: str, path: str, **values: object) -> Finding:
    """Return a finding with the text and the hint of its rule."""
    rule = RULES[code]
    return Finding(code, path, rule.text.format(**values), rule.hint.format(**values))


def of_problem(problem: Problem) -> Finding:
    """Return the finding for a problem of a scan, whose text ends with the hint."""
    text, _, hint = problem.text.rpartition("; ")
    return Finding(problem.code, problem.path, text, hint)


def of_error(code: str, path: str, error: SourceError, *, full_path: Path) -> Finding:
    """Return the finding for an error of a reader, without the full path; faults of permissions are `unreadable`."""
    cause = error.__cause__
    if isinstance(error, MachineError):
        return finding("machine-fault", path, fault=getattr(cause, "strerror", None) or str(cause or error))
    if isinstance(cause, OSError) and cause.errno in TRANSIENT:
        return unreadable(path, cause)
    text, _, hint = str(error).removeprefix(f"{full_path}: ").rpartition("; ")
    return Finding(code, path, text or hint, hint if text else RULES[code].hint)


def unreadable(path: str, error: OSError) -> Finding:
    """Return the finding for a file that the system cannot open at the moment."""
    if error.errno in HINTS:
        return finding("machine-fault", path, fault=error.strerror or str(error))
    return Finding("unreadable", path, f"cannot be read ({error.strerror})", RULES["unreadable"].hint)


def _with_numbers(text: str) -> list[object]:
    """Return a key that sorts line 9 before line 10."""
    return [int(part) if number % 2 else part for number, part in enumerate(NUMBERS.split(text))]


def by_severity(findings: list[Finding]) -> list[Finding]:
    """Return each finding once: the most severe first, then those of folders, which may cause others, then by path."""

    def rank(one: Finding) -> tuple[object, ...]:
        reason = REASONS.index(one.code) if one.code in REASONS else len(REASONS)
        return SEVERITIES.index(one.severity), reason, one.path, one.code, _with_numbers(one.text)

    return sorted(set(findings), key=rank)
