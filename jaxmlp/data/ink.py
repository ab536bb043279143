"""How much ink each pixel of a picture holds: how far it stands off from the ground around it."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Gray = npt.NDArray[np.float32]  # (height, width), 0 is black and 1 is white
Colours = npt.NDArray[np.float32]  # (height, width, 3)

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
COLOUR_GAIN = 1.5  # one colour is taken for the luminance where it varies so much more
DETAIL = 1 / 8  # of the shorter side: what varies more slowly is light, not ink


def gray(picture: Colours) -> Gray:
    """The luminance, or where ink and ground differ in colour alone, the red, green or blue that tells them apart."""
    channels = [picture @ LUMINANCE, *np.moveaxis(picture, -1, 0)]
    spreads = np.array([_detail(channel) for channel in channels]) * [COLOUR_GAIN, 1, 1, 1]
    return np.ascontiguousarray(channels[int(np.argmax(spreads))])


def _detail(channel: Gray) -> float:
    """The root mean square of what is finer than light and coarser than noise."""
    size = DETAIL * min(channel.shape)
    fine = ndimage.gaussian_filter(channel, size / 24)
    return float(np.sqrt(np.mean((fine - ndimage.uniform_filter(channel, max(3, round(size)))) ** 2)))


def ground(gray: Gray, widest: int) -> Gray:
    """The brightness under the ink: of what no dark stroke at most so many pixels wide covers nearby.

    A morphological closing: it follows the edges of shadows and of sheets.
    """
    padded = np.pad(gray, 2 * widest, mode="edge")  # what leaves the picture goes on outside it
    inside = slice(2 * widest, -2 * widest)
    closed: Gray = ndimage.grey_closing(padded, widest)[inside, inside]
    return closed
