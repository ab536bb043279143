"""What a run leaves in its folder, without its times."""

import json

from jaxmlp.runs import checkpoint


def left_by(run_dir):
    """(arrays of every checkpoint, rows of the record, text of the test), to compare with another run's."""
    arrays = {path.name: checkpoint.load(path) for path in run_dir.glob("*.npz")}
    for saved in arrays.values():
        saved["history"] = timeless(json.loads(saved["history"].tobytes()))
    rows = timeless(map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines()))
    return arrays, rows, (run_dir / "test.json").read_text()


def timeless(rows):
    return [{k: v for k, v in row.items() if k not in ("seconds", "examples_per_second")} for row in rows]
