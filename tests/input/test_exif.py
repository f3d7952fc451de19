import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from geosurge_jax.input.exif import exif_blocks, jpeg_segments, orientation, read_directory
from geosurge_jax.input.images import decode_image


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
    directory = read_directory(exif_blocks(with_exif())[0])
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
    assert read_directory(tiff)[0x0112] == (8,)
    segment = b"Exif\x00\x00" + tiff
    assert orientation(b"\xff\xd8\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment) == 8


@pytest.mark.parametrize("code", [0, 9, 65535])
def test_senseless_orientations_count_as_upright(code):
    assert orientation(with_exif(code)) == 1


def test_a_file_without_exif():
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, "JPEG")
    assert exif_blocks(file.getvalue()) == []
    assert orientation(file.getvalue()) == 1


def test_segments_cover_the_file_up_to_the_first_scan():
    content = with_exif()
    position = 2
    for _, start, end in jpeg_segments(content):
        assert start == position
        position = end
    assert content[position : position + 2] == b"\xff\xda"


def start_of_exif(content: bytes) -> int:
    return next(start for marker, start, _ in jpeg_segments(content) if marker == 0xE1)


@pytest.mark.parametrize("stray", [b"\x00", b"stray", b"\xff", b"\xff\x00", b"\xff\xff\x00\x01"])
def test_exif_behind_stray_bytes(stray):
    content = with_exif()
    at = start_of_exif(content)
    damaged = content[:at] + stray + content[at:]
    assert orientation(damaged) == 6
    assert Image.open(io.BytesIO(damaged)).getexif()[0x0112] == 6  # Pillow agrees


def test_exif_behind_a_segment_with_a_wrong_length():
    content = with_exif()
    at = start_of_exif(content)
    short = b"\xff\xed\x00\x10Photoshop 3.0\x00\x04\x06\x00\x00\x00\x07"
    assert orientation(content[:at] + short + content[at:]) == 6
    empty = b"\xff\xed\x00\x00"
    assert orientation(content[:at] + empty + content[at:]) == 6


def test_the_first_of_two_exif_segments_with_an_orientation_counts():
    content, other = with_exif(6), with_exif(8)
    at = start_of_exif(content)
    first = other[start_of_exif(other) :][: 2 + int.from_bytes(other[at + 2 : at + 4], "big")]
    assert orientation(content[:at] + first + content[at:]) == 8
    empty = b"\xff\xe1\x00\x10Exif\x00\x00II*\x00\x08\x00\x00\x00"
    assert orientation(content[:at] + empty + content[at:]) == 6


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("international", [False, True])
def test_exif_in_a_text_of_imagemagick(zipped, international):
    block = b"Exif\x00\x00" + exif_blocks(with_exif(6))[0]
    digits = "\n".join(block.hex()[at : at + 72] for at in range(0, 2 * len(block), 72))
    text = f"\nexif\n{len(block):8}\n{digits}\n"
    notes = PngImagePlugin.PngInfo()
    add = notes.add_itxt if international else notes.add_text
    add("Raw profile type exif", text, zip=zipped)
    file = io.BytesIO()
    Image.fromarray(np.zeros((60, 90, 3), np.uint8)).save(file, "PNG", pnginfo=notes)
    assert orientation(file.getvalue()) == 6
    assert decode_image(file.getvalue()).shape == (90, 60, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_exif_blocks_of_each_format(form):
    exif = Image.Exif()
    exif[0x010F] = "A maker"
    file = io.BytesIO()
    Image.fromarray(np.zeros((60, 90, 3), np.uint8)).save(file, form, exif=exif)
    (block,) = exif_blocks(file.getvalue())
    assert read_directory(block)[0x010F] == b"A maker\x00"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damage_never_raises(data):
    content = bytearray(with_exif())
    for position in data.draw(st.lists(st.integers(2, 200), max_size=20)):
        content[position] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(0, len(content)))])
    assert 1 <= orientation(damaged) <= 8
    read_directory(damaged[20:])
