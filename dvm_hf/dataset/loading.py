"""load_dataset("dvm.py") on every supported `datasets`.

Up to 3.6.0 the library runs the script dvm.py. From 4.0 on it runs none, but finds a builder by name in a table of its
own before it looks at any path; an entry "dvm.py" there makes the same call work. The table is private: the tests over
the supported releases are what guards it.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

import datasets
import datasets.load
import datasets.packaged_modules
from packaging.version import Version

from dvm_hf.errors import ConfigError

NAMES = ("dvm.py", "dvm")
BUILDER_MODULE = "dvm_hf.dataset.builder"


def register(version: str) -> None:
    """Make the builder known to `datasets` >= 4 under `NAMES`; its hash changes with the package's version."""
    if _runs_scripts():
        return  # there the script itself is run; a second way would build the same data into a second cache folder
    digest = hashlib.sha256(f"{BUILDER_MODULE} {version}".encode()).hexdigest()
    for name in NAMES:
        datasets.packaged_modules._PACKAGED_DATASETS_MODULES[name] = (BUILDER_MODULE, digest)
    library_factory = datasets.load.PackagedDatasetModuleFactory
    if not issubclass(library_factory, _ModuleFactory):
        datasets.load.PackagedDatasetModuleFactory = _ModuleFactory


def load_arguments() -> dict[str, Any]:
    """The arguments of load_dataset that name this dataset, whichever release of `datasets` is installed."""
    if _runs_scripts():
        return {"path": str(_script()), "trust_remote_code": True}
    return {"path": NAMES[0]}


def _script() -> Path:
    """The script dvm.py, which is installed beside the package; not another one of that name in the working folder."""
    script = Path(__file__).resolve().parent.parent / "dvm.py"
    if not script.is_file():
        raise ConfigError(f"{script}: the loading script is missing; install dvm_hf again")
    return script


def _runs_scripts() -> bool:
    return Version(datasets.__version__) < Version("4.0.0")


class _ModuleFactory(datasets.load.PackagedDatasetModuleFactory):
    """Does not list the files under data_dir for our names.

    The library lists them, some twenty times over, before it asks the builder (7 s for 9,000 files), lists the working
    directory where data_dir is not given, and fails where either is empty. The builder scans for itself.
    """

    def get_module(self) -> Any:
        if self.name not in NAMES:
            return super().get_module()
        if os.path.isdir(self.name):  # the user's own
            return _local_module(self)
        module_path, digest = datasets.packaged_modules._PACKAGED_DATASETS_MODULES[self.name]
        given = self.data_files or datasets.data_files.DataFilesDict()  # None would make the library ask for files
        return datasets.load.DatasetModule(module_path, digest, {"data_files": given, "dataset_name": self.name})


def _local_module(factory: datasets.load.PackagedDatasetModuleFactory) -> Any:
    """The data of a folder in the working directory, as the library itself would find them."""
    given = {"data_dir": factory.data_dir, "data_files": factory.data_files, "download_mode": factory.download_mode}
    return datasets.load.LocalDatasetModuleFactory(factory.name, **given).get_module()
