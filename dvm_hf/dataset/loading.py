"""load_dataset("dvm.py") on every supported release of `datasets`.

`datasets` 3.6.0 runs the script dvm.py. Later releases do not run scripts. They look up a dataset's name in a table of
builders before they check any path, so an entry for "dvm.py" makes the same call work. The table is private, so the
tests run on every supported release.

`register` changes two things in `datasets`, and `unregister` undoes them:

- `datasets.packaged_modules._PACKAGED_DATASETS_MODULES` gets the entries "dvm.py" and "dvm";
- `datasets.load.PackagedDatasetModuleFactory` is replaced by a subclass that does not list the files under `data_dir`
  for these two names. All other names are passed to the replaced class, which may belong to another package.
"""

import hashlib
import importlib
import os
from pathlib import Path
from typing import Any

import datasets
import datasets.load
import datasets.packaged_modules
from packaging.version import Version

from dvm_hf.environment import require_usable
from dvm_hf.errors import ConfigError

NAMES = ("dvm.py", "dvm")
BUILDER_MODULE = "dvm_hf.dataset.builder"


def register(version: str) -> None:
    """Register the builder with `datasets` >= 4 under `NAMES`; its hash changes with the package's version.

    Calling it again has no effect. On `datasets` 3.6.0 it does nothing, because `datasets` runs the script there, and a
    second registration would build the same data into a second cache folder.
    """
    if _runs_scripts():
        return
    digest = hashlib.sha256(f"{BUILDER_MODULE} {version}".encode()).hexdigest()
    for name in NAMES:
        datasets.packaged_modules._PACKAGED_DATASETS_MODULES[name] = (BUILDER_MODULE, digest)
    factory = datasets.load.PackagedDatasetModuleFactory
    if isinstance(factory, type) and not issubclass(factory, _WithoutListing):
        datasets.load.PackagedDatasetModuleFactory = type("ModuleFactory", (_WithoutListing, factory), {})


def unregister() -> None:
    """Undo `register`.

    If another package has replaced the factory since, its replacement stays, and this package's class below it forwards
    every name.
    """
    for name in NAMES:
        datasets.packaged_modules._PACKAGED_DATASETS_MODULES.pop(name, None)
    factory = datasets.load.PackagedDatasetModuleFactory
    if isinstance(factory, type) and _WithoutListing in factory.__bases__:
        datasets.load.PackagedDatasetModuleFactory = factory.__bases__[1]


def load_arguments() -> dict[str, Any]:
    """Return the arguments of load_dataset that name this dataset, for the installed release of `datasets`."""
    if _runs_scripts():
        return {"path": str(_script()), "trust_remote_code": True}
    return {"path": NAMES[0]}


def _script() -> Path:
    """Return the installed script dvm.py, not a file of that name in the working directory."""
    package = Path(str(importlib.import_module("dvm_hf").__file__)).resolve().parent
    script = package.parent / "dvm.py"
    if not script.is_file():
        raise ConfigError(f"{script}: the loading script is missing; install dvm_hf again")
    return script


def _runs_scripts() -> bool:
    return Version(datasets.__version__) < Version("4.0.0")


class _WithoutListing:
    """Mixin of a module factory that does not list the files under data_dir for the names of this package.

    `datasets` lists them about twenty times before it calls the builder (7 s for 9,000 files), lists the working
    directory if data_dir is not given, and fails if either is empty. The builder scans the sources itself.
    """

    name: str
    data_dir: str | None
    data_files: Any
    download_mode: Any

    def get_module(self) -> Any:
        if self.name not in NAMES or self.name not in datasets.packaged_modules._PACKAGED_DATASETS_MODULES:
            return super().get_module()  # type: ignore[misc]
        if os.path.isdir(self.name):  # a folder of the user
            return _local_module(self)
        require_usable()  # the builder imports them
        module_path, digest = datasets.packaged_modules._PACKAGED_DATASETS_MODULES[self.name]
        given = self.data_files or datasets.data_files.DataFilesDict()  # None would make the library list files
        return datasets.load.DatasetModule(module_path, digest, {"data_files": given, "dataset_name": self.name})


def _local_module(factory: _WithoutListing) -> Any:
    """Return the module for a folder in the working directory, as `datasets` itself finds it."""
    given = {"data_dir": factory.data_dir, "data_files": factory.data_files, "download_mode": factory.download_mode}
    return datasets.load.LocalDatasetModuleFactory(factory.name, **given).get_module()
