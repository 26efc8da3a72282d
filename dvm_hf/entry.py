"""The entry point `dvm`: imports the command line, which takes a while; Ctrl-C meanwhile gives no traceback."""

from typing import Any

from dvm_hf.environment import stop_command


def main(**extra: Any) -> Any:
    """Run the command line; `extra` goes to click."""
    try:
        from dvm_hf.cli import main as commands
    except KeyboardInterrupt:
        stop_command()
        raise
    return commands(**extra)
