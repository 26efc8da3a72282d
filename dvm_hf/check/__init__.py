"""Check a source tree before a long build: every problem of its files, and an estimate of the build.

In: a root folder, configs. Out: a `Report` of `Finding`s.
Read `report` first; `rules` holds the code, severity, text and hint of each finding.
"""
