"""Find the foregrounds and backgrounds in a folder with a known layout, check names and sizes, and read pair lists.

In: a root folder and a split. Out: a `SourceTree` of `Foreground`, `Background` and `Problem` objects.
Read `tree` first.
"""
