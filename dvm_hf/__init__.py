"""Video matting clips as a Hugging Face dataset. Importing this makes load_dataset("dvm.py") work on datasets >= 4."""

__version__ = "0.1.0"

from dvm_hf.environment import EnvironmentFault, end_command, require_usable, stop_command

try:
    require_usable()  # before anything else imports these libraries
    from dvm_hf.clips.plan import ClipPlan, Rendering
    from dvm_hf.clips.scene import Frame
    from dvm_hf.clips.windows import Window, render
    from dvm_hf.dataset.builder import DVM
    from dvm_hf.dataset.config import DVMConfig
    from dvm_hf.dataset.loading import register
    from dvm_hf.errors import ConfigError, PreparedError, SourceError
    from dvm_hf.sources.tree import scan
except EnvironmentFault as error:
    end_command(error)
    raise
except KeyboardInterrupt:  # of these seconds
    stop_command()
    raise

__all__ = [
    "DVM",
    "ClipPlan",
    "ConfigError",
    "DVMConfig",
    "EnvironmentFault",
    "Frame",
    "PreparedError",
    "Rendering",
    "SourceError",
    "Window",
    "render",
    "scan",
]

register(__version__)
