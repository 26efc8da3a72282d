"""The DVM dataset: load_dataset("dvm.py", "train", data_dir="DVM").

On datasets 3.6.0 the library runs this script (trust_remote_code=True); on datasets >= 4 it runs none, and
`import dvm_hf` before the same call takes its place. `python dvm.py` is the command line.
"""

import dvm_hf

__all__ = ["DVM"]
__version__ = dvm_hf.__version__

if __name__ == "__main__":
    from dvm_hf.entry import main

    main()
else:
    DVM = dvm_hf.DVM  # not imported for the command line, which reports unusable libraries itself
