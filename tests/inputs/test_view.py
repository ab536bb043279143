"""What a network is shown: each transform against itself, their order, and what is remembered of them."""

from dataclasses import FrozenInstanceError, dataclass, fields
from functools import partial

import jax
import numpy as np
import pytest

from compare import assert_close
from jaxmlp.inputs.deskewing import deskewed
from jaxmlp.inputs.directions import direction_maps
from jaxmlp.inputs.edges import edge_maps
from jaxmlp.inputs.view import View

VIEWS = [View(), View(deskew=True), View(edges=True), View(deskew=True, edges=True)]
IMAGES = np.random.default_rng(0).integers(0, 256, (7, 4, 6), np.uint8)


def by_hand(view):
    images = deskewed(IMAGES) if view.deskew else IMAGES
    return np.asarray(edge_maps(images / 255) if view.edges else images / 255).reshape(7, 24)


def test_directions_are_made_on_the_host_of_upright_digits():
    images, both = np.repeat(IMAGES, 2, axis=2), View(deskew=True, directions=True)
    np.testing.assert_array_equal(both.prepare(images), direction_maps(deskewed(images)))
    assert_close(both.x0(images, np.float64), direction_maps(deskewed(images)).reshape(7, 48) / 255)
    assert not both.converts
    assert both.seen == ("upright", "as directions")
    assert both.misfit((4, 6)) == ("directions", "a height and width that 4 divides")


def test_directions_of_images_that_are_to_be_distorted_are_made_after_that():
    images, both = np.repeat(IMAGES, 2, axis=2), View(deskew=True, directions=True)
    np.testing.assert_array_equal(both.prepare(images, distorted=True), deskewed(images))
    assert_close(both.convert(deskewed(images) / 255, distorted=True), both.x0(images, np.float64), 1e-6)


def test_directions_and_edges_do_not_go_together():
    with pytest.raises(ValueError, match=r"^edges: expected False with directions, got True$"):
        View(directions=True, edges=True)


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_x0_is_what_each_transform_makes_of_it_in_turn(view):
    assert_close(view.x0(IMAGES, np.float64), by_hand(view))
    single = view.x0(IMAGES)
    assert single.dtype == np.float32
    assert_close(single, by_hand(view))


def test_upright_digits_are_made_on_the_host_and_edges_on_the_device():
    both = View(deskew=True, edges=True)
    np.testing.assert_array_equal(both.prepare(IMAGES), deskewed(IMAGES))
    assert_close(both.convert(IMAGES / 255), np.asarray(edge_maps(IMAGES / 255)).reshape(7, 24))
    assert [view.converts for view in VIEWS] == [False, False, True, True]
    np.testing.assert_array_equal(View().prepare(IMAGES), IMAGES)
    np.testing.assert_array_equal(View(deskew=True).convert(jax.numpy.ones((7, 24))), np.ones((7, 24)))


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_it_is_static_under_jit(view):
    traced = []

    @partial(jax.jit, static_argnames="view")
    def convert(images, view):
        traced.append(view)
        return view.convert(images)

    twin = View(**{f.name: getattr(view, f.name) for f in fields(View)})
    assert twin == view
    assert hash(twin) == hash(view)
    for static in (view, twin):  # the second call finds the first one's program
        convert(IMAGES / 255, view=static)
    convert(IMAGES / 255, view=View(deskew=not view.deskew))
    assert traced == [view, View(deskew=not view.deskew)]


def test_the_size_of_an_image_may_not_fit():
    even = "an even height and width"
    assert View(edges=True).misfit((4, 5)) == View(edges=True).misfit((5, 4)) == ("edges", even)
    assert View(edges=True).misfit((24,)) == ("edges", even)
    assert View(deskew=True).misfit((24,)) == ("deskew", "any height and width")
    assert View(deskew=True, edges=True).misfit((4, 6)) is None
    assert View(deskew=True).misfit((4, 5)) is None
    assert View().misfit((24,)) is None


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_a_checkpoint_remembers_it(view):
    assert View.from_arrays(view.arrays()) == view
    assert View.from_arrays({**view.arrays(), "phi": np.asarray("tanh")}) == view


def test_a_checkpoint_older_than_a_transform_knows_nothing_of_it():
    assert View.from_arrays({}) == View()
    assert View.from_arrays({"deskew": np.asarray(True)}) == View(deskew=True)


def test_what_it_says_of_itself():
    assert [view.code for view in VIEWS] == [
        "View()",
        "View(deskew=True)",
        "View(edges=True)",
        "View(deskew=True, edges=True)",
    ]
    assert [view.seen for view in VIEWS] == [(), ("upright",), ("as edges",), ("upright", "as edges")]
    assert [view.ink.endswith("edge") for view in VIEWS] == [False, False, True, True]
    assert View(deskew=True).ink == View().ink == "Ink"


@pytest.mark.parametrize("wrong", [{"deskew": "False"}, {"deskew": None}, {"edges": 1}], ids=str)
def test_a_value_that_is_no_bool_is_named(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"^{name}: expected True or False, got {value!r}$"):
        View(**wrong)


def test_it_is_frozen():
    with pytest.raises(FrozenInstanceError):
        View().edges = True


def test_a_record_with_more_fields_is_a_view_too():
    @dataclass(frozen=True)
    class More(View):
        hidden: int = 3

    more = More(edges=True)
    assert set(more.arrays()) == {"deskew", "directions", "edges"}
    assert_close(more.x0(IMAGES, np.float64), by_hand(View(edges=True)))
