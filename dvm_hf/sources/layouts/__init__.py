"""The known layouts of source folders, one module for each.

A layout lists the sources of one folder. Read `dvm_hf/sources/layout.py` first. A new module also needs a line in the
table of `known_layouts` and in docs/layouts.md.
"""
