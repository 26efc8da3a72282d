"""The DVM dataset: load_dataset("dvm.py", "train", data_dir="DVM").

datasets 3.6.0 runs this script (trust_remote_code=True). datasets >= 4 does not run scripts, so run
`import dvm_hf` before load_dataset. `python dvm.py` is the command line.
"""

import dvm_hf

__all__ = ["DVM"]
__version__ = dvm_hf.__version__

if __name__ == "__main__":
    from dvm_hf.entry import main

    main()
elif __name__ != "__mp_main__":  # a worker of the command line, which needs no builder
    DVM = dvm_hf.DVM  # not for the command line, which reports unusable libraries itself
