"""Number of decoder threads by kind of process."""

import multiprocessing
import os
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import multiprocess
import pytest

from dvm_hf.media.video.videos import decoder_threads
from dvm_hf.worker_processes import lean_environment


def test_a_decoder_uses_all_threads_in_the_main_process():
    assert decoder_threads() == 0


def in_forked_child(function: Callable[[], Any]) -> Any:
    receiving, sending = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: this process has threads
        child = os.fork()
    if child == 0:
        os.write(sending, pickle.dumps(function()))
        os._exit(0)
    os.waitpid(child, 0)
    with open(receiving, "rb") as file:
        os.close(sending)
        return pickle.load(file)


def test_a_decoder_uses_one_thread_in_a_forked_child():
    assert in_forked_child(decoder_threads) == 1


@pytest.mark.slow
@pytest.mark.parametrize("package", [multiprocessing, multiprocess], ids=["multiprocessing", "multiprocess"])
def test_a_decoder_uses_one_thread_in_a_spawned_worker(package):
    with (
        lean_environment(),
        package.get_context("spawn").Pool(1) as pool,
    ):  # `datasets` starts its workers with multiprocess
        assert pool.apply(decoder_threads) == 1
        pool.close()
        pool.join()
