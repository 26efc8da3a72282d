"""Internals of `dvm_hf.torch`.

In: a config or a dataset of rows. Out: samples, in an order that does not depend on the number of workers.
Read `sample_assignment` first (numbers only, no PyTorch), then `rendered_samples`.
"""
