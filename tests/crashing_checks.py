"""Checks of a source that end their worker. A module of its own, because workers import it: not all that tests use."""

import os
import signal

from dvm_hf.check.source import Facts, Source, SourceCheck


def crashing(source: Source) -> SourceCheck:
    if source.kind == "background" and source.name == "0001":
        os.kill(os.getpid(), signal.SIGKILL)
    return SourceCheck((), Facts())


def ending(source: Source) -> SourceCheck:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError
