"""croissant.json of a prepared folder, checked and read with MLCommons' own library."""

import io
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import file_hashes
from PIL import Image
from prepared_folder import with_content, write_prepared, written_splits

from dvm_hf.prepared.card import croissant
from dvm_hf.sources.records import Entry

mlcroissant = pytest.importorskip("mlcroissant", reason="needs mlcroissant: pip install -e '.[test]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # of mlcroissant and the libraries that it uses


@pytest.fixture
def metadata(prepared_once: Path) -> dict[str, Any]:
    return dict(json.loads((prepared_once / "croissant.json").read_bytes()))


def test_the_metadata_is_valid(prepared_once: Path) -> None:
    loaded = mlcroissant.Dataset(prepared_once / "croissant.json").metadata
    assert not loaded.issues.errors
    assert all("datePublished" in warning for warning in loaded.issues.warnings)  # a build knows no date


def test_records_are_the_rows_of_the_folder(prepared_once: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    dataset = mlcroissant.Dataset(prepared_once / "croissant.json")
    for split in ("train", "test"):
        tables = [pq.read_table(path) for path in sorted((prepared_once / "data").glob(f"{split}-*"))]
        rows = [row for table in tables for row in table.to_pylist()]
        records = list(dataset.records(split))
        assert len(records) == len(rows)
        found = {(record[f"{split}/clip_id"].decode(), record[f"{split}/window"]): record for record in records}
        for row in rows:
            record = found[row["clip_id"], row["window"]]
            assert record.keys() == {f"{split}/{name}" for name in row if name != "motion"}
            assert record[f"{split}/seed"] == row["seed"]
            for column in ("frames", "alpha", "trimap"):
                for image, stored in zip(record[f"{split}/{column}"], row[column], strict=True):
                    np.testing.assert_array_equal(
                        np.asarray(image), np.asarray(Image.open(io.BytesIO(stored["bytes"])))
                    )


def test_files_have_their_hashes_and_sizes(prepared_once: Path, metadata: dict[str, Any]) -> None:
    hashes = file_hashes(prepared_once)
    files = [one for one in metadata["distribution"] if one["@type"] == "cr:FileObject"]
    assert {one["contentUrl"]: one["sha256"] for one in files} == {
        name: digest for name, digest in hashes.items() if name.startswith("data/")
    }
    for one in files:
        assert one["contentSize"] == f"{(prepared_once / one['contentUrl']).stat().st_size} B"
    manifest = json.loads((prepared_once / "manifest.json").read_bytes())
    assert manifest["files"]["croissant.json"] == hashes["croissant.json"]
    for split in ("train", "test"):
        assert manifest["splits"][split]["digest"] in metadata["description"]


@pytest.mark.parametrize(
    "fields", [{}, {"encoding": "video"}, {"encoding": "array", "crop_size": 8, "remainder": "drop"}]
)
def test_each_encoding_has_valid_fields(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Also with entries of a sources file, whose terms are quoted."""
    (split,) = written_splits(write_prepared(tmp_path / "out", shards={"train": 1}))
    entry = Entry(name="mine", role="foregrounds", layout="cutouts", terms="CC BY 4.0")
    config = {**split.plan.content["config"], **fields}
    content = json.loads(croissant([with_content(split, config=config, entries=[vars(entry)])]))
    path = tmp_path / "croissant.json"
    path.write_text(json.dumps(content))
    loaded = mlcroissant.Dataset(path).metadata
    assert not loaded.issues.errors
    kinds = {field.id.split("/")[1]: str(field.data_types[0]) for field in loaded.record_sets[0].fields}
    expected = {"video": "https://schema.org/VideoObject", "array": None}
    assert kinds.get("frames") == expected.get(fields.get("encoding", ""), "https://schema.org/ImageObject")
    assert ("frames" in content["recordSet"][0]["description"]) == (fields.get("encoding") == "array")
    assert "CC BY 4.0" in content["license"]
    assert "DVM" not in content["license"] + content["name"]
