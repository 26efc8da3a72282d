"""Which sources there are: foregrounds and backgrounds of a folder, checked by name and size, and pair lists.

In: a root folder, a split. Out: `SourceTree` with its `Foreground`s, `Background`s and `Problem`s.
Read `tree` first.
"""
