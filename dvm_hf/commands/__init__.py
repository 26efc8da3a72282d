"""One module for each command of `dvm`."""
