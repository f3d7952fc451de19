import io
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from geosurge_jax.input.decode_limits import MAX_PIXELS, DecodingMemory
from geosurge_jax.input.geometry import Box
from geosurge_jax.input.images import (
    ImageDecodeError,
    decode_class_map,
    decode_image,
    open_photo,
    resize_crop,
    rgb_pixels,
)

WHOLE = Box(0.0, 0.0, 1.0, 1.0)
RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8).repeat(4, 0).repeat(4, 1)
GRAY = RGB[..., 0]


def saved(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def test_lossless_rgb_files_decode_exactly():
    for form, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("BMP", {})):
        pixels = decode_image(saved(Image.fromarray(RGB), form, **options))
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, RGB)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg_decodes_as_pillow_does(options):
    content = saved(Image.fromarray(RGB), "JPEG", quality=90, **options)
    expected = np.asarray(Image.open(io.BytesIO(content)))
    assert np.abs(decode_image(content).astype(int) - expected).max() <= 2


def test_gray_files_become_three_equal_channels():
    for form in ("JPEG", "PNG"):
        content = saved(Image.fromarray(GRAY), form)
        expected = np.asarray(Image.open(io.BytesIO(content)))
        np.testing.assert_array_equal(decode_image(content), np.dstack([expected] * 3))


def test_cmyk_jpeg_is_converted():
    content = saved(Image.fromarray(RGB).convert("CMYK"), "JPEG", quality=100, subsampling=0)
    pixels = decode_image(content)
    assert pixels.shape == RGB.shape
    assert np.abs(pixels.astype(int) - RGB).mean() < 3


def test_transparency_is_laid_on_white():
    alpha = np.full(GRAY.shape, 255, np.uint8)
    alpha[:, :16] = 0
    content = saved(Image.fromarray(np.dstack([RGB, alpha])), "PNG")
    pixels = decode_image(content)
    assert (pixels[:, :16] == 255).all()
    np.testing.assert_array_equal(pixels[:, 16:], RGB[:, 16:])


def test_palette_and_its_transparent_colour():
    palette = Image.fromarray(RGB).quantize(16)
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(decode_image(saved(palette, "PNG")), expected)
    clear = saved(palette, "PNG", transparency=0)
    hidden = np.asarray(palette) == 0
    assert hidden.any()
    assert (decode_image(clear)[hidden] == 255).all()
    np.testing.assert_array_equal(decode_image(clear)[~hidden], expected[~hidden])


def test_sixteen_bit_gray_keeps_the_upper_byte():
    deep = (GRAY.astype(np.uint16) << 8) + 77
    pixels = decode_image(saved(Image.fromarray(deep), "PNG"))
    np.testing.assert_array_equal(pixels, np.dstack([GRAY] * 3))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("code", range(1, 9))
def test_exif_orientation_is_applied(form, code):
    exif = Image.Exif()
    exif[0x0112] = code
    options = {"quality": 100, "subsampling": 0} if form == "JPEG" else {}
    options |= {"lossless": True} if form == "WEBP" else {}
    content = saved(Image.fromarray(RGB), form, exif=exif, **options)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    pixels = decode_image(content)
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello, this is text", "not a picture"),
        (b"\xff\xd8\xff" + bytes(200), "not a picture|cannot|broken|truncated"),
        (saved(Image.fromarray(RGB), "JPEG")[:-300], "truncated|end of file"),
        (saved(Image.fromarray(RGB), "PNG")[:-40], "truncated|unexpected end"),
        (saved(Image.fromarray(RGB), "WEBP", lossless=True)[:-40], "decoder"),
        (saved(Image.fromarray(GRAY.astype(np.float32)), "TIFF"), "32 bit"),
    ],
)
def test_damage_is_refused_with_a_reason(content, reason):
    with pytest.raises(ImageDecodeError, match=reason) as error:
        decode_image(content)
    assert "\n" not in str(error.value)


def test_huge_pictures_are_rejected_before_they_are_decoded():
    assert 9_999**2 > MAX_PIXELS
    png = bytearray(saved(Image.fromarray(GRAY), "PNG"))
    png[16:24] = struct.pack(">II", 9_999, 9_999)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    for content in (bytes(png), resized_jpeg(16_400, 16_400)):
        with pytest.raises(ImageDecodeError, match="(?i)pixels"):
            decode_image(content)


def resized_jpeg(height: int, width: int) -> bytes:
    """A small JPEG whose header claims another size."""
    jpeg = bytearray(saved(Image.fromarray(GRAY), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(jpeg)


def test_jpegs_of_large_phones_are_accepted():
    photo = open_photo(resized_jpeg(9_000, 12_000))
    assert (photo.height, photo.width, photo.reductions) == (4_500, 6_000, (1, 2, 4))


@pytest.mark.parametrize("damage", [b"", b"\x00\x00"])  # libjpeg warns of bytes before the end
@pytest.mark.parametrize("code", [1, 6])
@pytest.mark.parametrize(("limit", "base"), [(1000, 2), (200, 4), (50, 8)])
def test_large_jpegs_are_decoded_at_reduced_scale(monkeypatch, damage, code, limit, base):
    exif = Image.Exif()
    exif[0x0112] = code
    smooth = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
    content = saved(smooth, "JPEG", quality=95, exif=exif)
    content = content.replace(b"\xff\xd9", damage + b"\xff\xd9")
    whole = decode_image(content)
    monkeypatch.setattr("geosurge_jax.input.images.MAX_DECODED_JPEG_PIXELS", limit)
    photo = open_photo(content)
    pixels = photo.pixels()
    assert pixels.shape == (photo.height, photo.width, 3)
    assert (photo.height, photo.width) == (-(-whole.shape[0] // base), -(-whole.shape[1] // base))
    assert photo.reductions == (
        tuple(by for by in (1, 2, 4) if by * base <= 8) if code == 1 else (1,)
    )
    assert photo.pixels(photo.reductions[-1]).shape[0] == -(-photo.height // photo.reductions[-1])
    expected = np.asarray(Image.fromarray(whole).resize(pixels.shape[1::-1], Image.Resampling.BOX))
    assert np.abs(pixels.astype(int) - expected).mean() < 8


def test_strict_decoding_rejects_what_libjpeg_warns_about():
    content = saved(Image.fromarray(RGB), "JPEG").replace(b"\xff\xd9", b"hidden\xff\xd9")
    assert decode_image(content).shape == RGB.shape
    with pytest.raises(ImageDecodeError, match="extraneous"):
        decode_image(content, strict=True)


@pytest.mark.parametrize("keyword", ["Comment", "XML:com.adobe.xmp"])
@pytest.mark.parametrize("international", [False, True])
def test_png_with_much_text(keyword, international):
    notes = PngImagePlugin.PngInfo()
    add = notes.add_itxt if international else notes.add_text
    for _ in range(3):
        add(keyword, "x" * 30_000_000, zip=True)
    content = saved(Image.fromarray(RGB), "PNG", pnginfo=notes)
    np.testing.assert_array_equal(decode_image(content), RGB)
    gray = saved(Image.fromarray(GRAY), "PNG", pnginfo=notes)
    np.testing.assert_array_equal(decode_class_map(gray), GRAY)


def test_the_orientation_of_a_tiff_is_applied_once():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = saved(Image.fromarray(RGB), "TIFF", exif=exif)
    np.testing.assert_array_equal(decode_image(content), np.rot90(RGB, -1))


def test_class_maps_keep_their_values():
    ids = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(decode_class_map(saved(Image.fromarray(ids), "PNG")), ids)
    palette = Image.fromarray(ids).convert("P")
    palette.putdata(ids.ravel().tolist())
    palette.putpalette(bytes(range(255, -1, -1)) * 3)
    np.testing.assert_array_equal(decode_class_map(saved(palette, "PNG", bits=8)), ids)


@pytest.mark.parametrize(
    "content",
    [
        saved(Image.fromarray(RGB), "PNG"),
        saved(Image.fromarray(GRAY.astype(np.uint16)), "PNG"),
        saved(Image.fromarray(GRAY > 99), "PNG"),
        saved(Image.fromarray(GRAY), "JPEG"),
        saved(Image.fromarray(GRAY), "PNG")[:-30],
        b"\x89PNG",
    ],
)
def test_other_files_are_no_class_maps(content):
    with pytest.raises(ImageDecodeError):
        decode_class_map(content)


def test_the_whole_box_is_pillows_resize():
    expected = Image.fromarray(RGB).resize((15, 15), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(resize_crop(RGB, WHOLE, (15, 15)), np.asarray(expected))


def test_a_box_on_pixel_edges_is_a_crop():
    box = Box(8 / 32, 4 / 24, 24 / 32, 20 / 24)
    np.testing.assert_array_equal(resize_crop(RGB, box, (16, 16)), RGB[4:20, 8:24])
    np.testing.assert_array_equal(resize_crop(GRAY, box, (16, 16)), GRAY[4:20, 8:24])


def test_class_maps_are_never_blended():
    classes = np.where(np.arange(64).reshape(8, 8) % 2, 7, 200).astype(np.uint8)
    assert set(np.unique(resize_crop(classes, Box(0.1, 0.2, 0.8, 0.9), (33, 33)))) == {7, 200}


@settings(max_examples=40, deadline=None)
@given(
    left=st.floats(0, 0.5),
    top=st.floats(0, 0.5),
    across=st.floats(0.2, 0.5),
    down=st.floats(0.2, 0.5),
    size=st.integers(4, 40),
    shape=st.tuples(st.integers(40, 90), st.integers(40, 90)),
    map_shape=st.tuples(st.integers(60, 200), st.integers(60, 200)),
)
def test_photo_and_map_stay_aligned(left, top, across, down, size, shape, map_shape):
    """Red is the column and the class is the column: they agree wherever both are sampled."""
    ramp = np.zeros((*shape, 3), np.uint8)
    ramp[..., 0] = np.round(255 * (np.arange(shape[1]) + 0.5) / shape[1])
    ramp[..., 1] = np.round(255 * (np.arange(shape[0]) + 0.5) / shape[0])[:, None]
    columns = np.tile(100 * (np.arange(map_shape[1]) + 0.5) / map_shape[1], (map_shape[0], 1))
    rows = np.tile(100 * (np.arange(map_shape[0]) + 0.5) / map_shape[0], (map_shape[1], 1)).T
    box = Box(left, top, left + across, top + down)
    photo = resize_crop(ramp, box, (size, size)).astype(float) / 255
    for channel, classes in ((0, columns), (1, rows)):
        seen = resize_crop(classes.astype(np.uint8), box, (size, size)) / 100
        inner = slice(1, -1)  # bicubic at the edges of the photo sees no more of the ramp
        difference = np.abs(photo[inner, inner, channel] - seen[inner, inner])
        assert difference.max(initial=0) < 0.02 + 0.5 / min(map_shape) + 0.5 / min(shape)


def test_heic_without_its_library_names_the_remedy(monkeypatch):
    monkeypatch.setattr("geosurge_jax.input.pillow_images.HEIF_INSTALLED", False)
    with pytest.raises(
        ImageDecodeError, match=r"HEIC, which needs .pip install .geosurge-jax\[heif\]"
    ):
        decode_image(b"\0\0\0\x18ftypheic" + bytes(99))


def test_formats_outside_of_the_list_are_not_opened(monkeypatch):
    """An EPS named .jpg would start Ghostscript, which runs PostScript."""
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n%%EOF\n"

    def refuse(*arguments, **named):
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen.__init__", refuse)
    monkeypatch.setattr("os.system", refuse)
    for content in (eps, saved(Image.fromarray(RGB), "ICO"), saved(Image.fromarray(RGB), "PPM")):
        with pytest.raises(ImageDecodeError, match="not a picture"):
            decode_image(content)


def test_a_jpeg_of_endless_scans_is_rejected_at_once(monkeypatch):
    content = saved(Image.fromarray(GRAY), "JPEG", progressive=True)
    scan = content[content.rindex(b"\xff\xda") : -2]
    assert decode_image(content[:-2] + 80 * scan + b"\xff\xd9").shape == (*GRAY.shape, 3)
    monkeypatch.setattr("geosurge_jax.input.images.MAX_SCANNED_PIXELS", 100 * GRAY.size)
    with pytest.raises(ImageDecodeError, match="more than 100 scans of 32 x 24 pixels"):
        decode_image(content[:-2] + 3000 * scan + b"\xff\xd9")


@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_headers_alone_decide_that_an_image_is_too_large(form, options, monkeypatch):
    content = bytearray(saved(Image.fromarray(GRAY), form, **options))
    if form == "PNG":
        content[16:24] = struct.pack(">II", 2**25, 1)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    else:
        content[21:25] = struct.pack("<I", 16_382 | 16_382 << 14)
    monkeypatch.setattr("geosurge_jax.input.pillow_images.open_image", _header_only)
    with pytest.raises(ImageDecodeError, match="pixels, expected (sides of )?at most"):
        decode_image(bytes(content))


def _header_only(content):
    if not content.startswith(b"\x89PNG"):
        raise AssertionError("Pillow allocates a WebP as it opens it")
    image = Image.open(io.BytesIO(content))
    image.load = lambda: pytest.fail("it was decoded")
    return image


def test_running_out_of_memory_is_an_image_that_cannot_be_decoded(monkeypatch):
    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr("geosurge_jax.input.pillow_images._rgb_band", fail)
    with pytest.raises(ImageDecodeError, match="MemoryError"):
        decode_image(saved(Image.fromarray(RGB), "PNG"))


def test_threads_wait_for_memory():
    memory, inside, most = DecodingMemory(100), [], []

    def decode(size):
        with memory.reserved(size):
            inside.append(size)
            most.append(sum(inside))
            time.sleep(0.002)
            inside.remove(size)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, [30, 60, 90, 10, 300, 50, 20, 40] * 4))
    assert max(total for total in most if total != 300) <= 100
    assert 300 in most and most.count(300) == 4, "what is larger than all of it comes alone"


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "I;16", "CMYK", "1"])
def test_bands_are_converted_as_whole_images_are(mode, monkeypatch):
    rgba = np.concatenate([RGB, GRAY[..., None]], 2)
    source = Image.fromarray(rgba)
    image = (
        Image.fromarray(GRAY.astype(np.uint16) * 257) if mode == "I;16" else source.convert(mode)
    )
    whole = rgb_pixels(image)
    monkeypatch.setattr("geosurge_jax.input.pillow_images._BAND", 2 * GRAY.shape[1])
    np.testing.assert_array_equal(rgb_pixels(image), whole)
    if mode == "RGBA":
        over_white = RGB * (GRAY[..., None] / 255) + 255 * (1 - GRAY[..., None] / 255)
        assert np.abs(whole - over_white).max() <= 1.01


def test_a_large_jpeg2000_is_decoded_at_reduced_size(monkeypatch):
    smooth = Image.linear_gradient("L").resize((512, 384)).convert("RGB")
    content = saved(smooth, "JPEG2000")
    whole = decode_image(content)
    monkeypatch.setattr("geosurge_jax.input.pillow_images.MAX_DECODED_JPEG2000_PIXELS", 20_000)
    pixels = decode_image(content)
    assert whole.shape == (384, 512, 3) and pixels.shape == (96, 128, 3)
    expected = np.asarray(Image.fromarray(whole).resize((128, 96), Image.Resampling.BOX))
    assert np.abs(pixels.astype(int) - expected).mean() < 4
