"""How much ink each pixel of a picture holds: how far it stands off from the ground around it."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Gray = npt.NDArray[np.float32]  # (height, width), 0 is black and 1 is white

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
COLOUR_GAIN = 1.5  # one colour is taken for the luminance where it varies so much more
DETAIL = 1 / 8  # of the shorter side: what varies more slowly is light, not ink
DARKEST = 0.1  # ground's brightness: on a darker one the camera's noise would count as ink


def gray(rgb: npt.NDArray[np.float32]) -> Gray:
    """The luminance, or where ink and ground differ in colour alone, the red, green or blue that tells them apart.

    `rgb` is (height, width, 3), 0 to 1.
    """
    channels = [rgb @ LUMINANCE, *np.moveaxis(rgb, -1, 0)]
    details = np.array([_detail(channel) for channel in channels]) * [COLOUR_GAIN, 1, 1, 1]
    return np.ascontiguousarray(channels[int(np.argmax(details))])


def _detail(channel: Gray) -> float:
    """The root mean square of what is finer than light and coarser than noise."""
    size = DETAIL * min(channel.shape)
    fine = ndimage.gaussian_filter(channel, size / 24)
    return float(np.sqrt(np.mean((fine - ndimage.uniform_filter(channel, max(3, round(size)))) ** 2)))


def ground(gray: Gray, widest: int) -> Gray:
    """The brightness under the ink: of what no dark stroke at most `widest` pixels wide covers nearby.

    A morphological closing: it follows the edges of shadows and of sheets. `widest` is odd.
    """
    margin = 2 * widest
    padded = np.pad(gray, margin, mode="edge")  # what leaves the picture goes on outside it
    closed: Gray = ndimage.grey_closing(padded, widest)[margin:-margin, margin:-margin]
    return closed


def ink(gray: Gray, ground: Gray) -> Gray:
    """How much darker than the ground each pixel is: about 0 for ground, towards 1 for black on it."""
    darker = (ground - gray) / (ground + DARKEST)
    above: Gray = darker - np.median(darker)  # the ground was the brightest of the noise
    return above
