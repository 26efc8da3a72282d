"""Layers that all move: motion="rvm"; and layers that are blurred as they move: shutter.

In: a plan and the sizes of its composite. Out: placements of each layer and the frames of the sources, drawn before any
pixel is read, and layers that are warped once by these placements. Read `eased_motion` first.
"""
