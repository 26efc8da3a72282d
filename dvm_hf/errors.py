"""Exceptions of the package; each text names the thing, the problem and what to do, and stands alone."""


class DVMError(Exception):
    """Base of the exceptions that the package raises for what a user can fix."""


class ConfigError(DVMError, ValueError):
    """A config field has a value that is not allowed: the text names the field, the value and the rule."""


class SourceError(DVMError, ValueError):
    """A source cannot be used: the text names the file, the problem and what to do."""


class MachineError(SourceError):
    """A fault of the machine or its storage, not of the file: the text names the path, the fault and what to do."""


class PreparedError(DVMError, ValueError):
    """A prepared folder cannot be written or is not valid: the text names the path and what to do."""


class DamagedError(PreparedError):
    """A prepared folder, or a copy of it on the Hub, differs from its manifest: found by `verify` and `push`."""


class HubError(DVMError, RuntimeError):
    """The Hub refuses a request or cannot be reached: the text gives the request, the answer and what to do."""
