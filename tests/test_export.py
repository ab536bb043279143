"""jax.export: every function of a batch serves any n, exported once with a symbolic one."""

import jax
import jax.numpy as jnp
import pytest
from jax import export

from compare import assert_close
from jaxmlp import batch, curvature, statistics
from jaxmlp.activations import relu, sigmoid
from nets import random_net

PHI = (relu, sigmoid)
PARAMS = random_net()[0]

BATCH = {
    "loss": lambda x, y: batch.loss(PARAMS, x, y, PHI),
    "loss_and_gradient": lambda x, y: batch.loss_and_gradient(PARAMS, x, y, PHI),
}
STATISTICS = {
    "per_example_gradients": (),
    "squared_norms": (),
    "gradient_norms": (),
    "clipped_gradient": (0.5,),
    "second_moment": (),
    "variance": (),
    "gram": (),
    "directional": (PARAMS,),
    "noise_scale": (),
}
CURVATURE = {
    "hessian_diagonal": (),
    "hessian_traces": (),
    "gauss_newton_diagonal": (),
    "kronecker_factors": (),
    "hessian_vector_product": (PARAMS,),
    "gauss_newton_vector_product": (PARAMS,),
    "tangent_kernel": (),
}


def of_passes(function, arguments):
    return lambda x, y: function(batch.passes(PARAMS, x, y, PHI), *arguments)


FUNCTIONS = BATCH | {
    name: of_passes(getattr(module, name), arguments)
    for module, calls in ((statistics, STATISTICS), (curvature, CURVATURE))
    for name, arguments in calls.items()
}
FUNCTIONS["weighted_gradient"] = lambda x, y: statistics.weighted_gradient(batch.passes(PARAMS, x, y, PHI), x[:, 0])


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_export_serves_every_n(name):
    (n,) = export.symbolic_shape("n")
    x, y = (jax.ShapeDtypeStruct((n, width), jnp.float64) for width in (5, 3))
    exported = export.export(jax.jit(lambda x, y: jax.tree.leaves(FUNCTIONS[name](x, y))))(x, y)
    _, x, y = random_net(n=6)
    assert_close(exported.call(x, y), jax.tree.leaves(FUNCTIONS[name](x, y)), 1e-11)
