"""What each hidden unit looks for: its incoming weights, as a picture."""

import numpy as np
import numpy.typing as npt

from jaxmlp.inspection import tiles
from jaxmlp.inspection.markup import tag
from jaxmlp.inspection.page import Section
from jaxmlp.runs.storage import Network

SHOWN = 100  # units, at most
BEYOND = 0.005  # the part of the weights that are beyond the colours: a few extreme ones would pale all others


def strongest(W2: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """The hidden units by the norm of their outgoing weights, largest first, SHOWN at most."""
    return np.argsort(-np.linalg.norm(W2, axis=1), kind="stable")[:SHOWN]


def section(network: Network, size: tuple[int, int]) -> Section:
    """The columns of W1 as pictures of this height and width, on one scale."""
    W1, W2 = np.asarray(network.params.W1), np.asarray(network.params.W2)
    units = strongest(W2)
    limit = float(np.quantile(np.abs(W1[:, units]), 1 - BEYOND))
    drawn = [
        tag(
            "figure",
            tiles.signed(W1[:, j].reshape(size), limit, f"the weights into unit {j}"),
            tag("figcaption", f"{j}"),
        )
        for j in units
    ]
    intro = tag(
        "p",
        "Each picture is a column of W1, the weights into the unit of that number. "
        f"{network.view.ink} on red excites the unit, on blue inhibits it; all share one scale: ",
        tiles.scale(limit),
        ". The units stand in the order of the norm of their outgoing weights, the largest first: "
        f"{len(units):,} of {len(W2):,}.",
    )
    return Section("units", "What each hidden unit looks for", [intro, tag("div", *drawn, class_="tiles")])
