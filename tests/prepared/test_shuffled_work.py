"""Several builders in one folder work in different orders."""

import os

import pytest

from dvm_hf.prepared.shuffled_work import shuffled


def test_processes_build_in_different_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = list(range(20))
    orders = []
    for pid in (4, 4, 5):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        orders.append(list(shuffled(jobs)))
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) == jobs
