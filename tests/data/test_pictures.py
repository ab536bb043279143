"""Files told apart by content: IDX, gzipped IDX, .npy and photos; and what is refused."""

import gzip
import io
import os
import struct

import numpy as np
import pytest

from jaxmlp.data import DataError, pictures
from jaxmlp.data.datasets import MNIST

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 5), np.uint8)
IDX = struct.pack(">4B3I", 0, 0, 8, 3, *IMAGES.shape) + IMAGES.tobytes()


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, pixels=20):
        path = tmp_path / "file"  # the name says nothing
        path.write_bytes(content)
        return pictures.read(path, pixels)

    return write_and_read


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (IDX, IMAGES),
        (gzip.compress(IDX), IMAGES),
        (npy(IMAGES), IMAGES),
        (npy(IMAGES[0]), IMAGES[:1]),
        (npy(IMAGES / 255), IMAGES),
        (npy((IMAGES / 255).astype(np.float32)), IMAGES),
        (npy(np.full((4, 5), 0.999)), np.full((1, 4, 5), 255)),
        (npy(np.asfortranarray(IMAGES)), IMAGES),
    ],
    ids=["IDX", "gzip", "npy", "one image", "float64", "float32", "rounded", "Fortran order"],
)
def test_reads_images(read, content, expected):
    images = read(content)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, expected)


def test_reads_a_photo(read):
    Image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    picture = np.full((100, 100), 230, np.uint8)
    picture[20:80, 45:55] = 20
    Image.fromarray(picture).save(file, "png")
    assert read(file.getvalue(), 784).shape == (1, 28, 28)
    message = r"expected an IDX or \.npy file of images of 20 pixels, got another file \(a photo has 28x28 once"
    with pytest.raises(DataError, match=message):
        read(file.getvalue(), 20)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy(IMAGES)[:-1], "expected a whole .npy file, got one that NumPy refuses: "),
        (npy(IMAGES)[:20], "expected a whole .npy file, got one that NumPy refuses: "),
        (npy(np.array([{}])), "expected a whole .npy file, got one that NumPy refuses: "),
        (
            npy(IMAGES).replace(b"(3, 4, 5)", b"(99,99,9)"),
            "expected a whole .npy file, got one that NumPy refuses: ",
        ),
        (npy(IMAGES[:0]), "expected "),
        (npy(IMAGES[0, 0]), r"expected \(height, width\) or \(n, height, width\), got \(5,\)"),
        (npy(IMAGES * 1.0), r"expected uint8, or floats from 0 to 1, got float64 from 4\.0 to 248\.0"),
        (npy(np.full((4, 5), np.nan)), "expected uint8, or floats from 0 to 1, got float64 from nan to nan"),
        (npy(IMAGES.astype(int)), "expected uint8, or floats from 0 to 1, got int64"),
        (npy(IMAGES[:, :3]), "expected images of 20 pixels, one for each input, got 3x5"),
        (IDX[:-1], "expected 76 bytes, as its header says .*, got 75"),
    ],
)
def test_refuses(read, tmp_path, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read(content)
    assert str(caught.value).startswith(f"{tmp_path / 'file'}: expected ")
    assert "\n" not in str(caught.value)


def brands(*names):
    """The first box of an ISO media file."""
    box = b"ftyp" + names[0] + bytes(4) + b"".join(names[1:])
    return (
        (4 + len(box)).to_bytes(4, "big") + box + b"\0\0\0\x08avif"
    )  # what comes after the box counts for nothing


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (brands(b"heic", b"mif1", b"heic"), "HEIC"),
        (brands(b"mif1", b"heic"), "HEIC"),
        (brands(b"avif", b"mif1", b"miaf"), "AVIF"),
        (brands(b"mif1", b"avif", b"miaf"), "AVIF"),
        (brands(b"isom", b"mp41"), r"a film \(MP4 or QuickTime\)"),
        (b"GIF89a", "GIF"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "WebP"),
        (b"BM\x9a\0\0\0", "BMP"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"MM\0*\0\0\0\x08", "TIFF"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\1\0\1\0", "ICO"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    ],
)
def test_other_pictures_are_named(read, content, name):
    message = rf"expected a PNG or JPEG picture, an IDX or a \.npy file, got {name} \(save it as JPEG or PNG\)$"
    with pytest.raises(DataError, match=message):
        read(content, 784)


def test_labels_are_no_images():
    with pytest.raises(DataError, match="expected the number of dimensions 3, got 1"):
        pictures.read(MNIST / "t10k-labels-idx1-ubyte.gz", 784)


def test_refuses_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")  # to open it would wait for ever
    for name, got in (("absent", "No such file or directory"), ("", "a folder or device"), ("fifo", "a folder or")):
        with pytest.raises(DataError, match=f"expected .* file, got {got}"):
            pictures.read(tmp_path / name, 784)
