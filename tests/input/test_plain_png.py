import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from geosurge_jax.input.images import ImageDecodeError, decode_class_map
from geosurge_jax.input.plain_png import read_plain_png, write_plain_png

CLASSES = np.random.default_rng(0).integers(0, 150, (7, 5), np.uint8).repeat(9, 0).repeat(9, 1)


@settings(max_examples=30, deadline=None)
@given(shape=st.tuples(st.integers(1, 50), st.integers(1, 50)), seed=st.integers(0, 9))
def test_pillow_reads_what_is_written(shape, seed):
    classes = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    content = write_plain_png(classes)
    image = Image.open(io.BytesIO(content))
    assert image.mode == "L"
    np.testing.assert_array_equal(np.asarray(image), classes)
    np.testing.assert_array_equal(read_plain_png(content, 2500), classes)


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "1", "I;16"])
def test_other_pngs_are_left_to_pillow(mode):
    file = io.BytesIO()
    Image.fromarray(CLASSES).convert(mode).save(file, "PNG")
    assert read_plain_png(file.getvalue(), 10**6) is None


def test_filtered_rows_are_left_to_pillow():
    rows = np.zeros((2, 4), np.uint8)
    rows[1] = [2, 1, 1, 1]  # row 1 adds to row 0: filter "up"
    content = write_plain_png(np.zeros((2, 3), np.uint8))
    start, end = content.index(b"IDAT"), content.index(b"IEND") - 8
    body = b"IDAT" + zlib.compress(rows.tobytes(), 9)
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    filtered = content[: start - 4] + chunk + content[end + 4 :]
    assert read_plain_png(filtered, 100) is None
    np.testing.assert_array_equal(decode_class_map(filtered), [[0, 0, 0], [1, 1, 1]])


def test_no_damage_passes():
    content = write_plain_png(CLASSES)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0x55
        assert read_plain_png(bytes(damaged), 10**6) is None
    for length in range(len(content)):
        assert read_plain_png(content[:length], 10**6) is None
    assert read_plain_png(content + b"\0", 10**6) is None
    with pytest.raises(ImageDecodeError):
        decode_class_map(content[:-30])


def test_more_pixels_than_the_header_says_are_not_unpacked():
    content = write_plain_png(np.zeros((4000, 4000), np.uint8))
    short = bytearray(content)
    short[16:24] = (10).to_bytes(4, "big") * 2
    short[29:33] = zlib.crc32(bytes(short[12:29])).to_bytes(4, "big")
    assert read_plain_png(bytes(short), 10**6) is None
    assert read_plain_png(content, 10**6) is None


def test_a_map_takes_less_room_than_with_filters():
    file = io.BytesIO()
    Image.fromarray(CLASSES).save(file, "PNG", optimize=True)
    assert len(write_plain_png(CLASSES)) < len(file.getvalue())
