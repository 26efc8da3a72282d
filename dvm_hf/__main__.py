"""`python -m dvm_hf`."""

from dvm_hf.entry import main

main(prog_name="dvm")
