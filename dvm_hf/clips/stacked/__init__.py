"""Several foregrounds in one clip, one in front of the other: foregrounds_per_clip > 1.

In: a plan with companions, and its opened foregrounds. Out: one foreground for the scene, with the union of the alphas,
the mixture of the colours, and the visible part of each alpha. Read `layer_mixture` first, then `stacked_foregrounds`.
"""
