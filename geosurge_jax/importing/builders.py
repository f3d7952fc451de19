"""TFDS builders of the photo sets that `data.prepare` knows, under the same names.

    import geosurge_jax.importing.builders  # registers them
    builder = tfds.builder("mp16", data_dir="datasets")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir="MANUAL"))
    photos = builder.as_data_source("train")

They import with the defaults of `python -m data.prepare`, to the same bytes; whoever wants other flags calls
that. TFDS' own `download_and_prepare` is not used: it writes into a directory that it deletes after an
exception, so that an import of hours could not go on.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds
from absl import logging
from tensorflow_datasets.core.dataset_builder import FileReaderBuilder

from geosurge_jax.dataset.shards import record_features
from geosurge_jax.importing.importer import import_archive
from geosurge_jax.importing.photo_set import VERSION, PhotoSet
from geosurge_jax.importing.prepare import PHOTO_SETS, import_of, parser
from geosurge_jax.importing.runners import on_this_machine
from geosurge_jax.importing.table_rows import TABLE_SUFFIXES

PHOTOS = "photos"
"""Inside the manual directory: the photos, a folder or a link to one."""

_HEEDED = ("manual_dir", "download_mode")


class PhotoSetBuilder(FileReaderBuilder, skip_registration=True):  # pyright: ignore
    """Imports a photo set from the manual directory; `as_data_source` reads it."""

    photo_set: ClassVar[PhotoSet]
    VERSION = tfds.core.Version(VERSION)
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"a folder {PHOTOS!r} with the photos in any shape that data.prepare reads, and beside it the one "
        f"table ({', '.join(TABLE_SUFFIXES)}) that says where they were taken, if the photos' archive "
        "does not"
    )

    def __init__(self, *, file_format: Any = "array_record", **arguments: Any):
        super().__init__(file_format=file_format or "array_record", **arguments)
        if self.info.file_format != tfds.core.FileFormat.ARRAY_RECORD:
            raise ValueError(f"{self.name}: file_format={file_format!r}, expected 'array_record'")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.photo_set.description,
            features=record_features(),
            license=self.photo_set.licence,
            disable_shuffling=True,
        )

    def download_and_prepare(
        self,
        *,
        download_dir: Any = None,
        download_config: tfds.download.DownloadConfig | None = None,
        **others: Any,
    ) -> None:
        """Imports what lies in the manual directory, or goes on with an import that was ended.

        Args:
            download_dir: its `manual` is the manual directory, where `download_config` names none.
            download_config: `manual_dir`, and `download_mode` for a dataset that is there already.
            others: None; what TFDS has beside is not heeded and so refused.

        Raises:
            ValueError: the manual directory lacks something, something else is asked for than is done, or
                what `import_archive` raises.
        """
        config = download_config or tfds.download.DownloadConfig()
        usual = vars(tfds.download.DownloadConfig())
        asked = {key: value for key, value in vars(config).items() if value != usual[key]} | others
        refused = [key for key in asked if key not in _HEEDED and asked[key] is not None]
        if refused or config.download_mode == tfds.download.GenerateMode.UPDATE_DATASET_INFO:
            raise ValueError(
                f"{self.name}: {', '.join(refused or ['UPDATE_DATASET_INFO'])} is not heeded, expected "
                f"manual_dir alone; python -m data.prepare {self.name} has flags of its own"
            )
        if self.data_path.exists() and config.download_mode.overwrite_dataset:
            self.data_path.rmtree()
        if self.data_path.exists():
            logging.info("Reusing dataset %s (%s)", self.name, self.data_dir)
            return
        root = Path(self.data_dir_root)
        manual = config.manual_dir or Path(download_dir or root / "downloads") / "manual"
        given = parser().parse_args([self.name, *_flags(Path(manual)), f"--out={root}"])
        with on_this_machine(given.workers) as runner:
            import_archive(root, import_of(given), runner)
        self.info.read_from_directory(self.data_dir)
        print(self.photo_set.difference(self.info.splits.total_num_examples))

    def as_dataset(self, *arguments: Any, **named: Any) -> Any:
        """Raises NotImplementedError, as TFDS does for ArrayRecord files where TensorFlow is installed."""
        raise NotImplementedError(
            f"{self.name}: TFDS makes no tf.data of ArrayRecord files, expected as_data_source"
        )

    def _download_and_prepare(self, *arguments: Any, **named: Any) -> None:
        raise NotImplementedError("download_and_prepare does all of it")


def _flags(manual: Path) -> list[str]:
    """What of `data.prepare`'s flags a manual directory answers."""
    photos, tables = manual / PHOTOS, []
    if manual.is_dir():
        tables = sorted(path for path in manual.iterdir() if path.suffix.lower() in TABLE_SUFFIXES)
    if not photos.exists() or len(tables) > 1:
        found = ", ".join(path.name for path in tables) or "no table"
        found = f"no {PHOTOS!r}" if not photos.exists() else found
        raise ValueError(
            f"manual directory {manual}: {found}, expected "
            f"{PhotoSetBuilder.MANUAL_DOWNLOAD_INSTRUCTIONS}"
        )
    return [f"--source={photos}", *(f"--table={table}" for table in tables)]


BUILDERS: Mapping[str, type[PhotoSetBuilder]] = {
    name: type(
        name,
        (PhotoSetBuilder,),
        {"name": name, "photo_set": photo_set, "__module__": __name__},
    )
    for name, photo_set in PHOTO_SETS.items()
}
"""By name; TFDS knows each of them by being made."""
