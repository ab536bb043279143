"""scikit-learn to 97%: a 784-128-10 network by partial_fit, an epoch at a time until validation says so."""

import numpy as np
from sklearn.neural_network import MLPClassifier

from tools.bench.peer_mnist import TARGET, load, report


def main() -> None:
    (x, y), (validation_x, validation_y), (test_x, test_y) = load()
    model = MLPClassifier((128,), batch_size=256, learning_rate_init=5e-3, alpha=0.0, random_state=0)
    accuracy, epoch = 0.0, 0
    while accuracy < TARGET:
        model.partial_fit(x, y, classes=np.arange(10))
        accuracy, epoch = float((model.predict(validation_x) == validation_y).mean()), epoch + 1
        print(f"epoch {epoch}  validation accuracy {accuracy:.2%}", flush=True)
    report(model.predict(test_x) == test_y)


if __name__ == "__main__":
    main()
