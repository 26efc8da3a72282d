"""From a `ClipPlan` to windows of composited frames.

In: a plan, which contains all that rendering needs, and the bytes of its sources. Out: `Window`s of `Frame`s.
A clip is a pure function of its plan and of those bytes.
Read `plan` first (how foregrounds are paired with backgrounds), then `windows` (a clip) and `scene` (a frame).
"""
