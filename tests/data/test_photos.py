"""Photos brought into MNIST's form: what comes out, whatever the light, the paper and the pen."""

import functools

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image, ImageDraw

from drawn_digits import STYLES, coverage, photo, picture
from jaxmlp.data import DataError, datasets, decoding, photos

ACROSS = np.linspace(0, 1, 280)[None, :]
DOWN = ACROSS.T


@pytest.fixture
def read(tmp_path):
    """`photos.read` of an array or a Pillow image, saved first."""

    def save_and_read(picture, name="digit.png", **how):
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        image.save(tmp_path / name, **how)
        return photos.read(tmp_path / name)

    return save_and_read


def likeness(one, other):
    """The correlation of two images' pixels, the best of moves by one pixel at most."""
    moved = [np.roll(other, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return max(np.corrcoef(one.ravel(), m.ravel())[0, 1] for m in moved)


@pytest.mark.parametrize("digit", range(10))
def test_the_form_is_that_of_mnist(read, digit):
    image = read(photo(digit))
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8
    assert image.max() == 255  # ink is bright
    assert not _frame(image).any()  # on dark
    rows, columns = np.nonzero(image.any(1))[0], np.nonzero(image.any(0))[0]
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    # MNIST's own centres of mass are at (14, 14), half a pixel about.
    for axis in (0, 1):
        centre = np.average(np.arange(28), weights=image.sum(1 - axis, dtype=float))
        assert abs(centre - 14) <= 0.51


def _frame(image):
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def test_mnist_centres_its_ink_at_14_14():
    images = datasets.load().validation.images[:2000].astype(float)
    mass = images.sum((1, 2))
    for axis in (1, 2):
        assert np.mean(images.sum(3 - axis) @ np.arange(28) / mass) == pytest.approx(14, abs=0.05)


def test_the_aspect_is_kept(read):
    picture = np.full((200, 300), 230, np.uint8)
    picture[60:140, 140:160] = 20  # a bar four times as high as wide
    image = read(picture)
    assert np.ptp(np.nonzero(image.any(1))[0]) + 1 == 20
    assert np.ptp(np.nonzero(image.any(0))[0]) + 1 == 5


def test_strokes_are_anti_aliased(read):
    image = read(photo(0))
    assert ((image > 20) & (image < 235)).sum() > 20


CONDITIONS = {
    "light on dark": {"ink": 0.95, "paper": 0.1},
    "gray on gray": {"ink": 0.4, "paper": 0.65},
    "noise": {"noise": 0.06},
    "shaded from left to right": {"noise": 0.03, "light": 0.3 + 0.7 * ACROSS * np.ones_like(DOWN)},
    "shaded from above, light on dark": {
        "ink": 0.9,
        "paper": 0.3,
        "light": 0.5 + 0.5 * DOWN * np.ones_like(ACROSS),
    },
    "dark corners": {"light": 1 - 1.2 * ((ACROSS - 0.5) ** 2 + (DOWN - 0.5) ** 2)},
    "faint ink, darker corners": {
        "ink": 0.5,
        "paper": 0.8,
        "noise": 0.015,
        "light": 1 - (ACROSS - 0.5) ** 2 - (DOWN - 0.5) ** 2,
    },
    "the edge of a shadow": {"light": np.where(ACROSS + 0.3 * DOWN > 0.6, 1, 0.45)},
    "small, in a corner": {"at": (15, 180), "scale": 80, "pen": 6},
    "thin pen": {"pen": 4},
    "large": {"size": 1400, "at": (200, 200), "scale": 1000, "pen": 70},
}


@pytest.mark.slow
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("digit", [2, 4, 8])
def test_the_same_digit_comes_out_under_any_light(read, digit, condition):
    assert likeness(read(photo(digit)), read(photo(digit, **CONDITIONS[condition]))) > 0.93


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """What is read of a digit of a seed on plain paper."""

    @functools.cache
    def read(digit, seed):
        path = tmp_path_factory.mktemp("plain") / "digit.png"
        Image.fromarray(picture("pen on paper", digit, seed)).save(path)
        return photos.read(path)

    return read


@pytest.mark.parametrize("style", [style for style in STYLES if style not in ("pen on paper", "two digits")])
@pytest.mark.parametrize(
    ("digit", "seed"),
    [(8, 11), *(pytest.param(*one, marks=pytest.mark.slow) for one in [(0, 17), (1, 14), (4, 16), (5, 13)])],
)
def test_the_same_digit_comes_out_of_any_picture(read, plain, style, digit, seed):
    shown = picture(style, digit, seed)
    kind = {"name": "digit.jpg", "quality": 80} if seed % 2 else {}
    assert likeness(plain(digit, seed), read(shown, **kind)) > 0.9


@pytest.mark.parametrize("digit", range(0, 10, 3))
def test_two_digits_are_refused_and_counted(read, digit):
    with pytest.raises(DataError, match=r"digit\.png: expected one digit, got 2 figures$"):
        read(picture("two digits", digit, 5))


def test_a_digit_beside_nothing_else_may_touch_the_border(read):
    assert likeness(read(photo(5)), read(photo(5)[:220])) > 0.9


def test_a_neighbours_piece_is_not_the_digit_even_if_it_is_larger(read):
    small = {"scale": 90, "at": (120, 60), "pen": 8}
    mark = np.maximum(coverage(3, **small), coverage(0, at=(-130, 20), scale=260))
    sheet = np.rint(230 - 200 * mark).astype(np.uint8)
    assert likeness(read(photo(3, **small)), read(sheet)) > 0.97


def test_a_blot_is_no_figure(read):
    small = {"scale": 70, "at": (180, 60), "pen": 7}
    y, x = np.mgrid[:280, :280]
    blot = np.clip(45 - np.hypot(y - 140, x - 90), 0, 1)
    sheet = np.rint(230 - 200 * np.maximum(coverage(6, **small), blot)).astype(np.uint8)
    assert likeness(read(photo(6, **small)), read(sheet)) > 0.97


def test_a_box_on_ruled_paper_is_a_frame(read):
    sheet = photo(7, at=(70, 70), scale=140)
    clean = read(sheet)
    box = Image.new("L", (280, 280), 255)
    ImageDraw.Draw(box).polygon(
        [(75, 45), (240, 80), (205, 240), (40, 205)], outline=40, width=4
    )  # turned by 12 degrees
    sheet = np.minimum(sheet, box)
    for row in range(10, 280, 40):
        sheet[row : row + 2] = np.minimum(sheet[row : row + 2], 70)
    assert likeness(clean, read(sheet)) > 0.9


def test_a_digit_in_a_strip_of_shadow(read):
    strip = np.where(np.abs(ACROSS - 0.5) < 0.15, 0.4, 1) * np.ones_like(DOWN)
    small = {"scale": 70, "at": (105, 105), "pen": 7}
    assert likeness(read(photo(2, **small)), read(photo(2, light=strip, **small))) > 0.95


def test_a_one_is_no_ruled_line(read):
    sheet = np.full((300, 400), 230, np.uint8)
    sheet[20:280, 192:208] = 30
    one = read(sheet)
    assert one[5:23, 14].all()
    assert not one[:, :11].any()
    sheet[:, 60:64] = sheet[:, 340:344] = 60  # nor is it where there are some
    np.testing.assert_allclose(read(sheet), one, atol=25)


def test_a_digit_on_a_line_is_read_without_it(read):
    sheet = photo(2, at=(40, 40), scale=200)
    clean = read(sheet)
    for row in range(20, 280, 60):
        sheet[row : row + 3] = np.minimum(sheet[row : row + 3], 60)
    assert likeness(clean, read(sheet)) > 0.95


def test_a_thin_stroke_along_a_line_stays(read):
    seven = np.full((280, 280), 230, np.uint8)
    seven[60:66, 80:180] = seven[60:220, 174:180] = 20
    ruled = seven.copy()
    ruled[62:64] = ruled[140:142] = np.minimum(ruled[140:142], 90)
    ruled[62:64, 80:180] = 20
    assert likeness(read(seven), read(ruled)) > 0.9


def test_a_thin_stroke_becomes_as_wide_as_mnists(read):
    ink = [read(photo(0, pen=pen)).sum() / 255 for pen in (2, 4, 14)]
    assert ink[0] == pytest.approx(ink[2], rel=0.25)
    assert ink[1] == pytest.approx(ink[2], rel=0.25)


def test_a_speck_does_not_move_the_digit(read):
    picture = photo(4)
    clean = read(picture)
    picture[8:13, 262:267] = 30
    assert likeness(clean, read(picture)) > 0.99


def test_a_digit_of_two_strokes_stays_whole(read):
    picture = np.full((200, 200), 230, np.uint8)
    picture[50:150, 60:75] = 20
    picture[50:90, 120:135] = 20
    image = read(picture)
    assert np.count_nonzero(np.diff((image[6] > 128).astype(int)) == 1) == 2


def test_what_is_transparent_is_ground(read):
    plain = read(photo(3))
    alpha = np.rint(255 * coverage(3)).astype(np.uint8)
    for ink in (0, 255):  # a pen of either colour on nothing
        rgba = np.dstack([np.full_like(alpha, ink)] * 3 + [alpha])
        assert likeness(plain, read(rgba)) > 0.97
    sheet = Image.fromarray(photo(3)).convert("RGBA").rotate(6, expand=True)  # its corners are transparent
    assert likeness(read(photo(3, turn=-6)), read(sheet)) > 0.95


def test_all_kinds_of_png_and_jpeg(read):
    gray = photo(5)
    plain = read(gray)
    image = Image.fromarray(gray)
    assert likeness(plain, read(image.convert("RGB"), "digit.jpg", quality=80)) > 0.99
    assert likeness(plain, read(image.convert("P"))) > 0.99
    assert likeness(plain, read(image.convert("1", dither=Image.Dither.NONE))) > 0.95
    assert likeness(plain, read(gray.astype(np.uint16) * 257)) > 0.99


def test_a_camera_held_sideways(read):
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: turn by 90 degrees clockwise to see it upright
    lying = np.rot90(photo(7))
    assert likeness(read(photo(7)), read(np.ascontiguousarray(lying), "digit.jpg", exif=exif)) > 0.98


@pytest.mark.parametrize("empty", ["blank", "noise", "shaded", "one pixel"])
def test_a_picture_without_ink_is_refused(read, empty):
    picture = {
        "blank": np.full((280, 280), 200, np.uint8),
        "noise": np.clip(200 + 8 * np.random.default_rng(0).standard_normal((280, 280)), 0, 255).astype(np.uint8),
        "shaded": np.rint(255 * (0.3 + 0.6 * ACROSS) * np.ones_like(DOWN)).astype(np.uint8),
        "one pixel": np.zeros((1, 1), np.uint8),
    }[empty]
    with pytest.raises(DataError, match=r"digit\.png: expected a pen stroke on plain ground, got .* without ink$"):
        read(picture)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"\x89PNG\r\n\x1a\n", "cut"])
def test_a_file_that_is_no_picture_is_refused(tmp_path, content):
    path = tmp_path / "digit.png"
    if content == "cut":
        Image.fromarray(photo(1, noise=0.1)).save(path)
        content = path.read_bytes()[:5000]
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"expected a PNG or JPEG picture, got one that Pillow refuses: .+"
    ) as caught:
        photos.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_large_jpeg_is_read_reduced(tmp_path):
    path = tmp_path / "digit.jpg"
    Image.fromarray(photo(3)).resize((12_000, 9_000), Image.Resampling.NEAREST).save(path)  # 108 million pixels
    assert max(decoding.read(path).shape) < 2 * decoding.ENOUGH
    wide = Image.fromarray(photo(3)).resize((400, 300))
    wide.save(tmp_path / "small.png")
    assert likeness(photos.read(tmp_path / "small.png"), photos.read(path)) > 0.98


def test_a_jpeg_of_absurd_size_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "digit.jpg"
    Image.fromarray(photo(3)).save(path)
    monkeypatch.setattr(decoding, "LARGEST_JPEG", 280 * 280 - 1)
    with pytest.raises(DataError, match=r"refuses: 78400 pixels, more than 78399$"):
        photos.read(path)


def test_a_picture_of_absurd_size_is_refused_unread(tmp_path):
    path = tmp_path / "digit.png"
    Image.new("1", (10_000, 9_000)).save(path)
    with pytest.raises(DataError, match=r"refuses: .*90000000 pixels"):
        photos.read(path)
