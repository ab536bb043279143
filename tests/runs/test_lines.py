"""Words and numbers of what runs print."""

from jaxmlp.runs import lines


def test_one_is_singular():
    counted = [lines.counted(n, "epoch") for n in (0, 1, 2, 12_345)]
    assert counted == ["0 epochs", "1 epoch", "2 epochs", "12,345 epochs"]


def test_a_loss_is_never_wider_than_ten_characters():
    losses = [0.012345, 1.0, 999.999, 1000.0, 1.7e308]
    assert [lines.loss(loss) for loss in losses] == ["0.01235", "1.00000", "999.99900", "1.000e+03", "1.700e+308"]
