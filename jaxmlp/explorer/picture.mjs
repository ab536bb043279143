// Numbers as coloured cells. Where there is something to choose, mouse, finger and keyboard choose a cell.

export class Picture {
  /**
   * `cells` gives, row by row, the index of the value that each cell shows; cells past its end stay empty. A reader
   * chooses an index by a click or the arrow keys, which calls `choose`; the mouse over a cell calls `point`, with
   * null when it has left. `says` puts an index into words. Without `choose` the picture is only looked at.
   */
  constructor(element, rows, columns, { cells, colour = "signed", name, says, choose, point } = {}) {
    Object.assign(this, { element, rows, columns, colour, says });
    this.cells = cells ?? Array.from({ length: rows * columns }, (_, i) => i);
    this.cellOf = new Map(this.cells.map((index, cell) => [index, cell]));
    this.canvas = document.createElement("canvas");
    [this.canvas.width, this.canvas.height] = [columns, rows];
    this.context = this.canvas.getContext("2d");
    this.image = this.context.createImageData(columns, rows);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.cursor = document.createElement("span");
    this.cursor.className = "cursor";
    this.cursor.hidden = true;
    element.style.setProperty("--rows", rows);
    element.style.setProperty("--columns", columns);
    element.append(this.canvas, this.cursor);
    element.setAttribute("aria-label", name);
    element.setAttribute("role", choose ? "slider" : "img");
    if (choose) this.#listen(choose, point);
  }

  /** Colours every cell by its value, on a scale that ends at ± `limit`. */
  draw(values, limit, palette) {
    const colour = palette[this.colour];
    for (let cell = 0; cell < this.pixels.length; cell++) {
      this.pixels[cell] = colour((values[this.cells[cell]] ?? 0) / limit);
    }
    this.context.putImageData(this.image, 0, 0);
  }

  /** Frames the cell of this index; none for null. */
  mark(index) {
    this.cursor.hidden = index === null;
    if (index === null) return;
    const cell = this.cellOf.get(index);
    this.cursor.style.left = `${((cell % this.columns) / this.columns) * 100}%`;
    this.cursor.style.top = `${(Math.floor(cell / this.columns) / this.rows) * 100}%`;
    this.element.setAttribute("aria-valuenow", cell);
    this.element.setAttribute("aria-valuetext", this.says(index));
  }

  #listen(choose, point) {
    const { element } = this;
    element.tabIndex = 0;
    element.setAttribute("aria-valuemin", 0);
    element.setAttribute("aria-valuemax", this.cells.length - 1);
    element.setAttribute("aria-valuenow", 0);
    element.addEventListener("click", (event) => {
      const index = this.#under(event);
      if (index !== undefined) choose(index);
    });
    element.addEventListener("keydown", (event) => {
      const now = Number(element.getAttribute("aria-valuenow"));
      const [row, column] = [Math.floor(now / this.columns), now % this.columns];
      const cell = {
        ArrowLeft: column > 0 ? now - 1 : now,
        ArrowRight: column < this.columns - 1 ? now + 1 : now,
        ArrowUp: row > 0 ? now - this.columns : now,
        ArrowDown: row < this.rows - 1 ? now + this.columns : now,
        Home: 0,
        End: this.cells.length - 1,
      }[event.key];
      if (cell === undefined) return;
      event.preventDefault();
      if (cell < this.cells.length) choose(this.cells[cell]);
    });
    if (!point) return;
    element.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse") point(this.#under(event) ?? null);
    });
    element.addEventListener("pointerleave", () => point(null));
  }

  /** The index of the cell under the pointer, undefined outside. */
  #under({ clientX, clientY }) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const row = Math.floor(((clientY - top) / height) * this.rows);
    const column = Math.floor(((clientX - left) / width) * this.columns);
    if (row < 0 || row >= this.rows || column < 0 || column >= this.columns) return undefined;
    return this.cells[row * this.columns + column];
  }
}
