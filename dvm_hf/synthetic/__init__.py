"""Generate synthetic sources for the demo, tests and benchmarks.

In: a folder and a scale. Out: a source tree in the DVM layout, or one of other layouts with a sources file.
Read `source_tree` first.
"""
