// The test digits of the page, each a button; one that is misread is framed.

import { bytesOf } from "./model.mjs";

export class Digits {
  constructor({ images, labels, numbers, worst }, height, width) {
    const bytes = bytesOf(images);
    Object.assign(this, { labels, numbers, worst, height, width });
    this.images = labels.map((_, n) => bytes.subarray(n * height * width, (n + 1) * height * width));
  }

  /** Fills the elements with a button a digit, the worst mistakes apart; `choose` gets the number of the one clicked. */
  show(worst, others, choose) {
    this.buttons = this.images.map((_, n) => {
      const button = document.createElement("button");
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [this.width, this.height];
      button.append(canvas);
      button.addEventListener("click", () => choose(n));
      (n < this.worst ? worst : others).append(button);
      return button;
    });
  }

  paint(palette) {
    this.buttons.forEach((button, n) => {
      const context = button.firstChild.getContext("2d");
      const image = context.createImageData(this.width, this.height);
      new Uint32Array(image.data.buffer).set(Uint32Array.from(this.images[n], (pixel) => palette.ink(pixel / 255)));
      context.putImageData(image, 0, 0);
    });
  }

  /** Marks those that are misread; how many there are. */
  mark(predictions) {
    predictions.forEach((prediction, n) => {
      const right = prediction === this.labels[n];
      this.buttons[n].classList.toggle("wrong", !right);
      const read = right ? "read rightly" : `read as ${prediction}`;
      this.buttons[n].title = `test digit ${this.numbers[n]}, a ${this.labels[n]}, ${read}`;
      this.buttons[n].setAttribute("aria-label", this.buttons[n].title);
    });
    return predictions.filter((prediction, n) => prediction !== this.labels[n]).length;
  }

  choose(chosen) {
    this.buttons.forEach((button, n) => button.setAttribute("aria-pressed", n === chosen));
  }
}
