"""Exceptions of the package. Each message names the file or option, the problem and the fix."""


class DVMError(Exception):
    """Base class of the exceptions for problems that a user can fix."""


class ConfigError(DVMError, ValueError):
    """A config field has an invalid value. The message gives the field, the value and the allowed values."""


class SourceError(DVMError, ValueError):
    """A source cannot be used. The message gives the file, the problem and the fix."""


class MachineError(SourceError):
    """The machine or its storage failed, not the file. The message gives the path, the failure and the fix."""


class FetchError(MachineError):
    """A remote source cannot be fetched, also when it was tried again. The message gives the address and the fix."""


class PreparedError(DVMError, ValueError):
    """A prepared folder cannot be written or is invalid. The message gives the path and the fix."""


class DamagedError(PreparedError):
    """A prepared folder, or its copy on the Hub, differs from its manifest. Raised by `verify` and `push`."""


class StoreError(DVMError, RuntimeError):
    """An object store refuses a request or cannot be reached. The message gives the address, the cause and the fix.

    No ValueError or OSError, so that no reader takes it for damage.
    """


class MetricsError(DVMError, ValueError):
    """An argument of `dvm_hf.metrics` is invalid. The message gives its name, the problem and the allowed values."""


class PredictionError(DVMError, ValueError):
    """Predictions do not match their reference. The message lists each problem, with the clip and the fix."""


class HubError(DVMError, RuntimeError):
    """The Hub rejects a request or cannot be reached. The message gives the request, the response and the fix."""
