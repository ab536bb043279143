"""The pictures that the README shows of a report, photographed by Chromium.

    python -m jaxmlp.train --hidden=100 --epochs=12 --run_dir=RUN
    python tools/pictures/report.py RUN

Needs the extra [plot] and the program chromium.
"""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

from jaxmlp.data import datasets
from jaxmlp.inspection import deltas, mistakes, reporting, scoring
from jaxmlp.inspection.markup import html, tag
from jaxmlp.inspection.page import STYLE, Section
from jaxmlp.runs.run import read_run

PICTURES = Path(__file__).resolve().parent
WIDTH, TALL, SCALE, MARGIN = 960, 3000, 1.5, 12  # of the page, in its pixels; of the picture in the page's
COLOURS = 128


def main(run_dir: Path) -> None:
    network, validation = read_run(run_dir).network, datasets.load().validation
    scores = scoring.score(network, validation, "MNIST")
    chosen = deltas.chosen(scores, scoring.gradient_norms(network, validation))
    worst = scoring.worst_mistakes(scores, reporting.WORST)
    pictures = {
        "deltas": deltas.section(deltas.examples(network, validation, scores, chosen), network),
        "worst_mistakes": mistakes.section(worst, validation, network),
    }
    for name, section in pictures.items():
        photograph(section).save(PICTURES / f"{name}.png", optimize=True)


def photograph(section: Section) -> Image.Image:
    """What the section holds, without its paragraphs, cut to its size."""
    content = [element for element in section.content if element.tag != "p"]
    page = tag("html", tag("meta", charset="utf-8"), tag("style", STYLE.read_text()), tag("body", *content))
    with tempfile.TemporaryDirectory() as folder:
        written, shot = Path(folder, "page.html"), Path(folder, "shot.png")
        written.write_text(f"<!DOCTYPE html>{html(page)}")
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        options = [f"--window-size={WIDTH},{TALL}", f"--force-device-scale-factor={SCALE}", f"--screenshot={shot}"]
        subprocess.run([*command, *options, written.as_uri()], check=True, capture_output=True)
        picture = Image.open(io.BytesIO(shot.read_bytes())).convert("RGB")
    left, top, right, bottom = ImageChops.invert(picture).getbbox() or (0, 0, *picture.size)
    cut = picture.crop((left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN))
    return cut.quantize(COLOURS, dither=Image.Dither.NONE)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("error: expected a run directory")
    main(Path(sys.argv[1]))
