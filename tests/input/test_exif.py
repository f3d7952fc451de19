import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from geosurge_jax.input.exif import jpeg_exif, jpeg_segments, orientation, read_directory


def with_exif(code: int = 6) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = code
    exif[0x010F] = "A maker"
    exif[0x011A] = 72.0
    exif.get_ifd(0x8825)[1] = "N"
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, "JPEG", exif=exif, comment="hi")
    return file.getvalue()


def test_tags_of_a_jpeg():
    directory = read_directory(jpeg_exif(with_exif()) or b"")
    assert directory[0x0112] == (6,)
    assert directory[0x010F] == b"A maker\x00"
    assert isinstance(directory[0x8825], tuple)


@pytest.mark.parametrize("order", ["II", "MM"])
def test_both_byte_orders(order):
    big = order == "MM"

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, "big" if big else "little")

    entry = number(0x0112, 2) + number(3, 2) + number(1, 4) + number(8, 2) + bytes(2)
    tiff = order.encode() + number(42, 2) + number(8, 4) + number(1, 2) + entry + bytes(4)
    assert orientation(tiff) == 8
    assert orientation(b"Exif\x00\x00" + tiff) == 8


@pytest.mark.parametrize("code", [0, 9, 65535])
def test_senseless_orientations_count_as_upright(code):
    assert orientation(jpeg_exif(with_exif(code))) == 1


def test_a_file_without_exif():
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, "JPEG")
    assert jpeg_exif(file.getvalue()) is None
    assert orientation(None) == 1


def test_segments_cover_the_file_up_to_the_first_scan():
    content = with_exif()
    position = 2
    for _, start, end in jpeg_segments(content):
        assert start == position
        position = end
    assert content[position : position + 2] == b"\xff\xda"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damage_never_raises(data):
    content = bytearray(with_exif())
    for position in data.draw(st.lists(st.integers(2, 200), max_size=20)):
        content[position] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(0, len(content)))])
    assert 1 <= orientation(jpeg_exif(damaged)) <= 8
    assert 1 <= orientation(damaged[20:]) <= 8
