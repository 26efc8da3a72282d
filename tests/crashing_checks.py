"""Checks of a source that end their worker. A module of its own, because workers import it: not all that tests use."""

import os
import signal

import pool_calls

from dvm_hf.check.source import Facts, Source, SourceCheck


def crashing(source: Source) -> SourceCheck:
    if source.kind == "background" and source.name == "0001":
        os.kill(os.getpid(), signal.SIGKILL)
    return SourceCheck((), Facts())


def sending_half(source: Source) -> SourceCheck:
    if source.paths == ("bg/train/0001.mp4",):
        pool_calls.killed_while_it_sends(0)
    return SourceCheck((), Facts())
