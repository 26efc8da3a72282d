"""What `check` can find: a rule for every finding, its severity, what to do.

error: a build stops there, or leaves the source's clips out with on_error="skip".
warning: a build works, but its clips are hardly what is wanted.
note: no problem; how the file is read, so that nobody is surprised.
"""

from dataclasses import dataclass
from pathlib import Path

from dvm_hf.check.rules import RULES
from dvm_hf.errors import MachineError, SourceError
from dvm_hf.machine_faults import ADVICE, PASSING
from dvm_hf.sources.tree import Problem

SEVERITIES = ("error", "warning", "note")
REASONS = ("folder-misspelt", "folder-missing", "tree-empty", "split-unusable", "split-empty", "crop-too-large")
NOT_CACHED = ("crash", "unreadable", "machine-fault")


@dataclass(frozen=True)
class Finding:
    """Something found in a source tree: which rule it breaks, where (relative to the root), in words."""

    code: str
    path: str
    text: str
    advice: str

    @property
    def severity(self) -> str:
        return RULES[self.code].severity

    def __str__(self) -> str:
        return f"{self.path}: {self.text}; {self.advice}"


def finding(code: str, path: str, **values: object) -> Finding:
    """A finding in the words of its rule."""
    rule = RULES[code]
    return Finding(code, path, rule.text.format(**values), rule.advice.format(**values))


def of_problem(problem: Problem) -> Finding:
    """What a scan has found, whose text ends with what to do."""
    text, _, advice = problem.text.rpartition("; ")
    return Finding(problem.code, problem.path, text, advice)


def of_error(code: str, path: str, error: SourceError, *, full_path: Path) -> Finding:
    """What a reader has said of a file, without its full path; faults of disk or permissions are `unreadable`."""
    cause = error.__cause__
    if isinstance(error, MachineError):
        return finding("machine-fault", path, fault=getattr(cause, "strerror", None) or str(cause or error))
    if isinstance(cause, OSError) and cause.errno in PASSING:
        return unreadable(path, cause)
    text, _, advice = str(error).removeprefix(f"{full_path}: ").rpartition("; ")
    return Finding(code, path, text or advice, advice if text else RULES[code].advice)


def unreadable(path: str, error: OSError) -> Finding:
    """A file that the system does not give: this may pass."""
    if error.errno in ADVICE:
        return finding("machine-fault", path, fault=error.strerror or str(error))
    return Finding("unreadable", path, f"cannot be read ({error.strerror})", RULES["unreadable"].advice)


def by_severity(findings: list[Finding]) -> list[Finding]:
    """The gravest first, of them those of folders, which are the reason for others; then by path; each once."""

    def rank(one: Finding) -> tuple[object, ...]:
        reason = REASONS.index(one.code) if one.code in REASONS else len(REASONS)
        return SEVERITIES.index(one.severity), reason, one.path, one.code, one.text

    return sorted(set(findings), key=rank)
