// A table with a row for each class, and in every cell a number and its bar.

import { short } from "./words.mjs";

export class Bars {
  /**
   * `columns` names the cells of a row; where `choose[name]` is given the number is a button that calls it with the
   * class. `body` is the tbody to fill.
   */
  constructor(body, classes, columns, choose = {}) {
    this.rows = Array.from({ length: classes }, (_, k) => {
      const row = body.insertRow();
      row.innerHTML = `<th scope="row">${k}</th>`;
      const cells = columns.map((name) => {
        const cell = row.insertCell();
        cell.innerHTML = `<div class="bar"><i></i></div><${choose[name] ? "button" : "span"}>–`;
        const number = cell.lastChild;
        if (choose[name]) number.addEventListener("click", () => choose[name](k));
        return [name, { bar: cell.querySelector("i"), number }];
      });
      return { row, cells: Object.fromEntries(cells) };
    });
  }

  /** Fills the column; its bars are as long as the cell at ± `limit`. Null leaves it blank. */
  draw(name, values, limit) {
    this.rows.forEach(({ cells }, k) => {
      const { bar, number } = cells[name];
      const share = values ? Math.max(-1, Math.min(1, values[k] / limit)) : 0;
      bar.style.transform = `scaleX(${share})`;
      bar.className = share < 0 ? "minus" : "plus";
      number.textContent = values ? short(values[k]) : "–";
    });
  }

  /** Gives the row of this class, and no other, the style `mark`. */
  mark(mark, chosen) {
    this.rows.forEach(({ row }, k) => row.classList.toggle(mark, k === chosen));
  }
}
