"""`python -m dvm_hf`."""

from dvm_hf.cli import main

main(prog_name="dvm")
