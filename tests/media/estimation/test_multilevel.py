"""pymatting's estimate, where it is installed. Importing it for the first time compiles it."""

import os
import threading

import numpy as np
import pytest
from known_colours import error, known_colours

from dvm_hf.environment import EnvironmentFault
from dvm_hf.media.estimation import multilevel
from dvm_hf.media.estimation.box_fusion import fused_foreground
from dvm_hf.media.estimation.multilevel import is_installed, library_versions, multilevel_foreground

pytestmark = pytest.mark.slow
needs_pymatting = pytest.mark.skipif(
    not is_installed() and os.environ.get("DVM_REQUIRE_TORCH") != "1", reason="needs pip install -e '.[estimate]'"
)


@needs_pymatting
def test_its_error_is_that_of_the_measurements_and_box_fusion_has_no_larger_one():
    for scene in known_colours(0.5, density=8):
        found = error(multilevel_foreground(scene.picture, scene.alpha), scene)
        if scene.name not in ("smoke", "defocused"):  # hardly a pixel shows the foreground alone
            assert found < 1.2
        assert error(fused_foreground(scene.picture, scene.alpha), scene) < 1.15 * found


@needs_pymatting
def test_threads_and_forked_processes_have_the_same_values():
    scene = known_colours(0.25)[0]
    expected = multilevel_foreground(scene.picture, scene.alpha)
    found: list[bool] = []

    def estimate() -> None:
        for _ in range(5):
            found.append(bool((multilevel_foreground(scene.picture, scene.alpha) == expected).all()))

    threads = [threading.Thread(target=estimate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 15


@needs_pymatting
@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork in a process with threads
def test_a_forked_process_can_estimate():
    scene = known_colours(0.25)[0]
    expected = multilevel_foreground(scene.picture, scene.alpha)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(multilevel_foreground(scene.picture, scene.alpha), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


@needs_pymatting
def test_versions_are_named():
    assert library_versions().startswith("pymatting 1.")


def test_a_library_that_cannot_be_imported_is_an_error_with_the_fix(monkeypatch: pytest.MonkeyPatch):
    def broken(name: str) -> None:
        raise SystemError("initialization of _internal failed")

    monkeypatch.setattr(multilevel.importlib, "import_module", broken)
    multilevel._estimator.cache_clear()
    with pytest.raises(EnvironmentFault, match=r"SystemError: initialization of _internal failed.*uninstall pymatting"):
        multilevel_foreground(np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 9, np.uint8))
