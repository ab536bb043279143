"""The grid on which pixels lie, learned from images whose pixels come in any order.

Pixels beside each other go together, even where all others are known: two are linked if their partial correlation
is among the four largest of each, and the link is a side of a square of links. The distances along links are laid
flat, and every pixel gets a cell of its own.

Sources: N. Le Roux, Y. Bengio, P. Lamblin, M. Joliveau, B. Kégl, Learning the 2-D topology of images, NIPS 2007,
who lay pixels flat by their correlations; J. B. Tenenbaum, V. de Silva, J. C. Langford, A global geometric
framework for nonlinear dimensionality reduction, Science 2000; J. T. Vogelstein et al., Fast approximate quadratic
programming for graph matching, PLOS ONE 2015.
"""

from functools import partial
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import linalg, optimize
from scipy.sparse import csgraph, csr_array
from scipy.spatial.distance import cdist

from jaxmlp.checks import check_array
from jaxmlp.inputs.pixel_grid import Grid

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MOST_PIXELS = 1600  # of an image: time grows with the cube of it
DECIMALS = 6  # so that what the number of threads rounds otherwise is the same in the end
AT_ONCE = 10_000  # images in a chunk, which bounds the memory
RIDGES = 0.015, 0.05  # in mean variances of a pixel: one for many images, one for a thousand
STILL = 0.004  # in roots of that: a pixel of a smaller standard deviation has no links
LINKS = 4  # of a pixel, at most
ROUNDS = 20  # in which pixels without links are placed
HELD = 1 / 2  # of the pixels that vary: more must be held together by links
JOINED = 0.85  # of the links: as many must join neighbours in the end; 0.89 of those of 500 digits do


class NoGrid(ValueError):
    """These images do not show how their pixels lie. The text says what they are."""


class Layout(NamedTuple):
    """Linked pixels, laid flat."""

    correlations: Floats  # (D, D), partial
    links: Bools  # (D, D)
    pixels: Integers  # (m,): those of the largest part that holds together
    place: npt.NDArray[np.complex128]  # (m,), in the plane of complex numbers
    depth: float  # how far from flat they are: the variance along their third axis over that along the second


def learned(images: npt.NDArray[np.uint8]) -> Grid:
    """The grid of H rows and W columns on which the pixels of these images (n, H, W) are neighbours.

    The order in which their pixels come decides nothing but ties. No image can show which way the grid lies: it is
    mirrored, and turned if it is square, so that ink spreads most downwards, and has its longer tails below and on
    the right. Pixels without links, which hardly vary, fill the cells that remain. Takes seconds.

    Raises NoGrid, and ValueError on images of another shape or dtype.
    """
    n, height, width = check_array("images", images, ("n", "H", "W"), np.dtype(np.uint8))
    if height * width > MOST_PIXELS:
        raise NoGrid(f"of more than {MOST_PIXELS:,} pixels")
    pixels = images.reshape(n, -1)
    if np.all(pixels == pixels[0]):
        raise NoGrid("that are all the same")
    covariance = covariance_of(pixels)
    layouts = [laid_flat(partial_correlations(covariance, ridge)) for ridge in RIDGES]
    if not any(layouts):
        raise NoGrid("whose pixels do not go together")
    layout = min(filter(None, layouts), key=attrgetter("depth"))
    neighbours = beside(height, width)
    grid = placed(layout, pixels.mean(axis=0), height, width)
    grid = filled(exchanged(grid, layout, neighbours), layout, neighbours)
    if np.sum(layout.links[np.ix_(grid, grid)] & neighbours) < JOINED * np.sum(layout.links):
        raise NoGrid("whose pixels do not go together as those of a grid do")
    return tuple(grid.tolist())


def covariance_of(pixels: npt.NDArray[np.uint8]) -> Floats:
    """Of the pixels (n, D), (D, D). Sums of whole numbers are exact, so that no number of threads rounds them."""
    n, D = pixels.shape
    total, products = pixels.sum(axis=0, dtype=np.float64), np.zeros((D, D))
    for start in range(0, n, AT_ONCE):
        some = pixels[start : start + AT_ONCE].astype(np.float64)
        products += some.T @ some
    covariance: Floats = (products - np.outer(total, total) / n) / (n - 1)
    return covariance


def partial_correlations(covariance: Floats, ridge: float) -> Floats:
    """−P_ij / √(P_ii P_jj), (D, D), where P is the inverse of the covariance with `ridge` mean variances added to
    each variance; 0 with itself, and for a pixel that hardly varies.
    """
    variance = np.diag(covariance)
    P = linalg.inv(covariance + ridge * variance.mean() * np.eye(len(variance)))
    root = np.sqrt(np.diag(P))
    varies = variance > STILL**2 * variance.mean()
    correlations: Floats = np.where(np.outer(varies, varies), -P / np.outer(root, root), 0)
    np.fill_diagonal(correlations, 0)
    return correlations


def linked(correlations: Floats) -> Bools:
    """Which two pixels, (D, D), have a correlation > 0 that is among the four largest of each, and three such links
    as a way around it.
    """
    largest = np.zeros_like(correlations, bool)
    np.put_along_axis(largest, np.argsort(-correlations, axis=1)[:, :LINKS], True, axis=1)
    links = (largest & largest.T & (correlations > 0)).astype(np.float64)
    ends = links.sum(axis=0)
    there_and_back = ends[:, None] + ends - 1  # ways of three links that go along this one
    squares: Bools = (links > 0) & (links @ links @ links > there_and_back)
    return squares


def laid_flat(correlations: Floats) -> Layout | None:
    """The largest part that links hold together, in the plane: Isomap by the distances along links.

    Two pixels with two ways of two links between them touch at a corner: they are √2 apart. None if half of the
    pixels that vary are not in it.
    """
    links = linked(correlations)
    _, part = csgraph.connected_components(csr_array(links))
    pixels = np.flatnonzero(part == np.argmax(np.bincount(part)))
    if len(pixels) <= max(LINKS, HELD * np.sum(correlations.any(axis=0))):
        return None
    side = links[np.ix_(pixels, pixels)].astype(np.float64)
    corner = side @ side >= 2
    np.fill_diagonal(corner, False)
    apart = csgraph.shortest_path(csr_array(np.where(side, 1, np.where(corner, 2**0.5, 0))), directed=False)
    products = -(apart**2) / 2
    products -= products.mean(axis=0)
    products -= products.mean(axis=1, keepdims=True)
    variances, axes = linalg.eigh(products, subset_by_index=[len(pixels) - 3, len(pixels) - 1])
    third, second, first = np.maximum(variances, np.finfo(float).tiny)
    place = axes[:, 2] * np.sqrt(first) + 1j * axes[:, 1] * np.sqrt(second)
    return Layout(correlations, links, pixels, place, third / second)


def placed(layout: Layout, ink: Floats, height: int, width: int) -> Integers:
    """The pixel in each cell, by rows: those of the layout near their place, the others where cells remain.

    `ink`, (D,), is how much each pixel has.
    """
    pixels = layout.pixels
    rows, columns = upright(layout, ink[pixels], height, width)
    near = np.column_stack([within(rows, height), within(columns, width)])
    cells = np.indices((height, width)).reshape(2, -1).T
    _, cell = optimize.linear_sum_assignment(cdist(near, cells, "sqeuclidean").round(DECIMALS))
    grid = np.full(height * width, -1)
    grid[cell] = pixels
    grid[grid < 0] = np.setdiff1d(np.arange(height * width), pixels)
    return grid


def upright(layout: Layout, ink: Floats, height: int, width: int) -> tuple[Floats, Floats]:
    """The rows and columns, (m,) each, of the layout, with links along them and 1 long, lying as `learned` says."""
    _, links, pixels, place, _ = layout
    one, other = np.nonzero(links[np.ix_(pixels, pixels)])
    link = place[other] - place[one]
    # Turned by θ, the fourth powers of what lies along rows and columns all point to 4θ.
    place = place * np.exp(-1j * np.angle(np.sum(link**4)) / 4) / np.median(np.abs(link))

    def moment(side: Floats, power: int) -> float:
        return float(np.average((side - np.average(side, weights=ink)) ** power, weights=ink))

    length = np.ptp if height != width else partial(moment, power=2)
    sides = sorted((place.real, place.imag), key=length, reverse=height >= width)
    rows, columns = (side * np.copysign(1, moment(side, 3)) for side in sides)
    return rows, columns


def within(place: Floats, length: int) -> Floats:
    """Moved so that most of it is near the whole numbers from 0 to length − 1, and as far from both ends."""
    place = place - np.angle(np.mean(np.exp(2j * np.pi * place))) / (2 * np.pi)
    whole = np.rint(place)
    starts = np.arange(whole.min() - length, whole.max() + 1)
    inside = np.array([np.sum((start <= whole) & (whole < start + length)) for start in starts])
    start: float = np.rint(np.mean(starts[inside == inside.max()]))
    return place - start


def exchanged(grid: Integers, layout: Layout, neighbours: Bools) -> Integers:
    """The grid after exchanges that raise the sum, over neighbours of the layout, of their correlations > 0."""
    held = np.isin(np.arange(len(grid)), layout.pixels)
    gains = np.where(np.outer(held, held), layout.correlations.clip(min=0), 0).round(DECIMALS)
    start, unused = np.eye(len(grid))[grid], np.random.default_rng(0)  # SciPy may warn where no generator is given
    options = {"maximize": True, "P0": start, "rng": unused}
    found: Integers = optimize.quadratic_assignment(neighbours, gains, method="faq", options=options).col_ind
    return found


def filled(grid: Integers, layout: Layout, neighbours: Bools) -> Integers:
    """The grid with all other pixels where they go together best with what is beside them.

    At first that is the layout, then the others too, of the round before: what is best of all rounds is kept.
    """
    correlations = layout.correlations.clip(min=0).round(DECIMALS)
    of_layout = np.isin(grid, layout.pixels)
    others = np.sort(grid[~of_layout])

    def placed_beside(grid: Integers, known: Bools) -> Integers:
        gains = neighbours[np.ix_(~of_layout, known)] @ correlations[np.ix_(grid[known], others)]
        _, best = optimize.linear_sum_assignment(gains.round(DECIMALS), maximize=True)
        grid = grid.copy()
        grid[~of_layout] = others[best]
        return grid

    def together(grid: Integers) -> float:
        return float(np.sum(correlations[np.ix_(grid, grid)], where=neighbours).round(DECIMALS))

    rounds = [placed_beside(grid, of_layout)]
    for _ in range(ROUNDS):
        rounds.append(placed_beside(rounds[-1], np.full_like(of_layout, True)))
    return max(rounds, key=together)


def beside(height: int, width: int) -> Bools:
    """Which two cells, by rows, share a side: (H W, H W)."""
    cells = np.indices((height, width)).reshape(2, -1).T
    neighbours: Bools = cdist(cells, cells, "cityblock") == 1
    return neighbours
