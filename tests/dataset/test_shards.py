"""The bytes of a record, beside those that TFDS' features and protobuf make of it."""

import numpy as np
import pytest
from tensorflow_datasets.proto import tf_example_pb2

from geosurge_jax.dataset.record import NO_MAP, Record
from geosurge_jax.dataset.shards import record_features, serialized

RECORDS = (
    Record(id="a", image=b"\xff\xd8\xff\x00", latlng=(0.0, 0.0)),
    Record(
        id="Zürich/写真_1",
        image=bytes(range(256)) * 300,
        latlng=(1 / 3 - 1e-13, -179.99999999999997),
        segmentation=b"\x89PNG and more",
        scene=(2, -1, 364),
        author='Ada, "Ä"\nof Thun',
        licence="CC BY 4.0",
    ),
    Record(id="b", image=b"x", latlng=(-0.0, -180.0), scene=(-1, 0, 12), author="x" * 200),
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.id[:1])
def test_a_record_has_the_bytes_that_tfds_gives_it(record):
    example = {
        **vars(record),
        "segmentation": record.segmentation or NO_MAP,
        "latlng": np.array(record.latlng),
        "scene": np.array(record.scene, np.int32),
    }
    stored = record_features().serialize_example(example)
    message = tf_example_pb2.Example.FromString(stored)  # pyright: ignore[reportAttributeAccessIssue]
    assert serialized(record) == message.SerializeToString(deterministic=True)
