"""One module for each command of `dvm`.

In: the command line. Out: text or JSON, and an exit code. `config_options` makes the options of the config fields.
"""
