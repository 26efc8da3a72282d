"""Which files the dataset card of a folder in an object store lists; `datasets` reads no card at such an address."""

from collections.abc import Mapping
from typing import Any

import yaml
from datasets.data_files import sanitize_patterns
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard

from dvm_hf.addresses import escaped, file_system
from dvm_hf.errors import SourceError
from dvm_hf.sources.remote.object_files import store_answer

Patterns = Mapping[str, list[str]]  # addresses with wildcards, by split


def card_files(address: str) -> dict[str, Patterns]:
    """Return the data files that the card at an address lists, by config; {} if there is no card or it lists none.

    Raises SourceError if the card is damaged, and FetchError if there is no connection or access is denied.
    """
    fs, root = file_system(address)
    card = f"{address.rstrip('/')}/README.md"

    def read() -> Any:
        try:
            return fs.cat_file(f"{root.rstrip('/')}/README.md")
        except FileNotFoundError:
            return b""

    data = store_answer(read, card)
    if not data.lstrip().startswith(b"---"):  # huggingface_hub would log that it lists nothing
        return {}
    folder = escaped(address)
    try:
        front_matter = DatasetCard(data.decode("utf-8"), ignore_metadata_errors=True).data
        configs = MetadataConfigs.from_dataset_card_data(front_matter)
        listed = {name: sanitize_patterns(one["data_files"]) for name, one in configs.items() if one.get("data_files")}
        return {
            name: {str(split): [f"{folder}/{pattern}" for pattern in patterns] for split, patterns in of_config.items()}
            for name, of_config in listed.items()
        }
    except (ValueError, TypeError, AttributeError, KeyError, yaml.YAMLError) as error:
        what = " ".join(str(error).split())
        raise SourceError(
            f"{card}: is not a valid dataset card ({what}); run dvm verify --repair to restore it"
        ) from error
