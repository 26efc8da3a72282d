"""Video matting clips as a Hugging Face dataset. Importing this makes load_dataset("dvm.py") work on datasets >= 4.

The public names load on first use, so that the import takes little longer than that of `datasets`.
"""

__version__ = "0.2.0"

import importlib
from typing import TYPE_CHECKING, Any

from dvm_hf.environment import (
    EnvironmentFault,
    end_command,
    is_array_task,
    require_usable,
    require_versions,
    stop_command,
)
from dvm_hf.worker_processes import is_lean

try:
    require_versions()
    _REGISTERS = not is_lean() and not is_array_task()  # a process that only renders needs no `datasets`
    if _REGISTERS:
        from dvm_hf.dataset.loading import register
    from dvm_hf.errors import (
        ConfigError,
        DVMError,
        HubError,
        MetricsError,
        PredictionError,
        PreparedError,
        SourceError,
        StoreError,
    )
except EnvironmentFault as error:
    end_command(error)
    raise
except KeyboardInterrupt:  # while `datasets` is imported
    stop_command()
    raise

if TYPE_CHECKING:
    from dvm_hf.clips.plan import ClipPlan, Rendering
    from dvm_hf.clips.scene import Frame
    from dvm_hf.clips.windows import Window, render
    from dvm_hf.dataset.builder import DVM
    from dvm_hf.dataset.config import DVMConfig
    from dvm_hf.dataset.loading import unregister
    from dvm_hf.sources.known_layouts import register_layout
    from dvm_hf.sources.layout import Layout, Match, Place
    from dvm_hf.sources.records import Background, Foreground
    from dvm_hf.sources.tree import scan

__all__ = [
    "DVM",
    "Background",
    "ClipPlan",
    "ConfigError",
    "DVMConfig",
    "DVMError",
    "EnvironmentFault",
    "Foreground",
    "Frame",
    "HubError",
    "Layout",
    "Match",
    "MetricsError",
    "Place",
    "PredictionError",
    "PreparedError",
    "Rendering",
    "SourceError",
    "StoreError",
    "Window",
    "register_layout",
    "render",
    "scan",
    "unregister",
]

_MODULES = {  # modules of the names that load on first use
    "Background": "sources.records",
    "ClipPlan": "clips.plan",
    "DVM": "dataset.builder",
    "DVMConfig": "dataset.config",
    "Foreground": "sources.records",
    "Frame": "clips.scene",
    "Layout": "sources.layout",
    "Match": "sources.layout",
    "Place": "sources.layout",
    "Rendering": "clips.plan",
    "Window": "clips.windows",
    "register_layout": "sources.known_layouts",
    "render": "clips.windows",
    "scan": "sources.tree",
    "unregister": "dataset.loading",
}


def __getattr__(name: str) -> Any:
    if name == "metrics":  # a package, imported on first use, so that dvm_hf.metrics.evaluate needs no other import
        return importlib.import_module("dvm_hf.metrics")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_usable()  # the modules import the libraries that this checks
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if _REGISTERS:
    register(__version__)
