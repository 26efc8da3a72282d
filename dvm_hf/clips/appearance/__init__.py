"""Light and camera: how layers look before they are composited, and what a camera does to the composite.

In: a plan and the sizes of its composite. Out: random parameters, drawn before any pixel is read, and the layers and
composites that they give. Read `named_effects` first, then `lit_layers` and `filmed_frames`.
"""
