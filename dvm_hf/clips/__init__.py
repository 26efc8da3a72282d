"""From a `ClipPlan` to windows of composited frames.

In: a plan, which carries everything that rendering needs, and the bytes of its sources. Out: `Window`s of `Frame`s.
A clip is a pure function of its plan and of those bytes.
Read `plan` first (which foreground over which background), then `windows` (one pass over a clip) and `scene` (a frame).
"""
