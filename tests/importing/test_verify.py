import dataclasses
import io
import shutil

import numpy as np
import pytest
from PIL import Image

from geosurge_jax.command_end import CommandEnd
from geosurge_jax.dataset.manifest import file_sha256, latlng_file, read_manifest, write_manifest
from geosurge_jax.dataset.record import Record
from geosurge_jax.dataset.writer import write_dataset
from geosurge_jax.importing.verify import main
from tests.importing.photos import jpeg


def with_exif():
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "a secret"
    Image.open(io.BytesIO(jpeg(9))).save(file, "JPEG", exif=exif)
    return file.getvalue()


def dataset(directory, images):
    records = [Record(f"r{n}", image, (float(n), 2.0)) for n, image in enumerate(images)]
    return write_dataset(
        directory, "some", "1.0.0", {"train": lambda: records}, ("a",), "test", "Some.", "CC0"
    )


@pytest.fixture
def sound(tmp_path):
    return dataset(tmp_path, [jpeg(n) for n in range(5)])


def test_a_sound_dataset(sound, capsys):
    main([str(sound)])
    assert capsys.readouterr().out == f"{sound}: 5 records are sound\n"


def test_damaged_records_are_named(tmp_path, capsys):
    path = dataset(tmp_path, [jpeg(0), jpeg(1)[:-90], with_exif(), jpeg(3)])
    with pytest.raises(CommandEnd) as ended:
        main([str(path)])
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "array_record-00000-of-00001, 1 (r1): " in said and "truncated" in said
    assert "array_record-00000-of-00001, 2 (r2): the image holds EXIF" in said
    assert f"error: {path}: 2 of 4 records are damaged" in said


def test_other_coordinates_are_found_although_the_manifest_knows_them(sound, capsys):
    file = sound / latlng_file("train")
    np.save(file, np.load(file)[::-1])
    manifest = read_manifest(sound)
    digests = {"train": file_sha256(file)}
    write_manifest(sound, dataclasses.replace(manifest, latlng_sha256=digests))
    with pytest.raises(CommandEnd):
        main([str(sound)])
    assert "(r0): coordinates [0.0, 2.0], expected [4.0, 2.0]" in capsys.readouterr().err


def test_a_changed_shard_and_a_missing_dataset(sound, tmp_path, capsys):
    (shard,) = sound.glob("*array_record*")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(CommandEnd) as ended:
        main([str(sound)])
    assert ended.value.code == 2 and "SHA-256" in capsys.readouterr().err
    shutil.rmtree(sound)
    with pytest.raises(CommandEnd):
        main([str(sound)])
    assert "no manifest.json" in capsys.readouterr().err
