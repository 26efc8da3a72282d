"""What can be wrong, as exceptions whose text stands alone."""


class ConfigError(ValueError):
    """A config field has a value it may not have: the text names field, value, rule and what is allowed."""


class SourceError(ValueError):
    """A source cannot be used: the text names the file, what is wrong with it and what to do."""


class MachineError(SourceError):
    """A fault of the machine or its storage, not of the file: the text names the path, the fault and what to do."""


class PreparedError(ValueError):
    """A prepared folder cannot be written, or is not what it must be: the text names the path and what to do."""


class DamagedError(PreparedError):
    """A prepared folder, or what was pushed of it, is not as it was made: what `verify` and `push` find."""


class HubError(RuntimeError):
    """The Hub refuses or cannot be reached: the text says what was asked, what came back and what to do."""
