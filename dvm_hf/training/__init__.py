"""The training stream's inside; `dvm_hf.torch` is its door."""
