// The sheet that one draws on, with mouse, finger, pen or keyboard. What is drawn is opaque, the rest transparent.

const SIDE = 256; // pixels: what predict makes of a photo
const PEN = 20; // pixels wide: as MNIST's strokes are to a digit that fills the sheet
const KEY_STEP = 8; // pixels an arrow key moves the pen

export class Drawing {
  /** `changed` is called after every change of the strokes on the canvas. */
  constructor(canvas, changed) {
    [canvas.width, canvas.height] = [SIDE, SIDE];
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.changed = changed;
    this.strokes = []; // each a list of points [x, y]
    this.pointer = { id: null, stroke: null }; // the one that draws: a second one at the same time is ignored
    this.pen = { x: SIDE / 2, y: SIDE / 4, shown: false, stroke: null }; // of the keyboard; it is down in a stroke
    this.#listenToPointer();
    this.#listenToKeys();
  }

  get empty() {
    return this.strokes.length === 0;
  }

  undo() {
    if (this.empty) return;
    this.strokes.pop();
    this.#lift();
    this.changed();
  }

  clear() {
    this.wipe();
    this.changed();
  }

  /** Clears the sheet without a word. */
  wipe() {
    this.strokes = [];
    this.#lift();
    this.#show();
  }

  /** How much of each pixel is inked, 0 to 1. */
  ink() {
    this.#paint();
    const pixels = this.context.getImageData(0, 0, SIDE, SIDE).data;
    const data = new Float64Array(SIDE ** 2);
    for (let p = 0; p < data.length; p++) data[p] = pixels[4 * p + 3] / 255; // how opaque it is
    if (this.pen.shown) this.#paintPen();
    return { height: SIDE, width: SIDE, data };
  }

  /** Ends the strokes that are being drawn: what moves on draws no more. */
  #lift() {
    Object.assign(this.pointer, { id: null, stroke: null });
    this.pen.stroke = null;
  }

  #begin(point) {
    const stroke = [point];
    this.strokes.push(stroke);
    return stroke;
  }

  #show() {
    this.#paint();
    if (this.pen.shown) this.#paintPen();
  }

  #paint() {
    const { context } = this;
    context.clearRect(0, 0, SIDE, SIDE);
    context.strokeStyle = getComputedStyle(this.canvas).color;
    Object.assign(context, { lineWidth: PEN, lineCap: "round", lineJoin: "round" });
    for (const [first, ...rest] of this.strokes) {
      context.beginPath();
      context.moveTo(...first);
      context.lineTo(first[0] + 0.01, first[1]); // a dot, if this is all
      for (const point of rest) context.lineTo(...point);
      context.stroke();
    }
  }

  #paintPen() {
    const { context, pen } = this;
    context.beginPath();
    context.arc(pen.x, pen.y, PEN / 2, 0, 2 * Math.PI);
    context.lineWidth = 2;
    context.strokeStyle = getComputedStyle(this.canvas).outlineColor;
    context.stroke();
  }

  #listenToPointer() {
    const { canvas, pen, pointer } = this;
    const point = ({ clientX, clientY }) => {
      const { left, top, width, height } = canvas.getBoundingClientRect();
      return [((clientX - left) / width) * SIDE, ((clientY - top) / height) * SIDE];
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || pointer.id !== null) return;
      canvas.setPointerCapture(event.pointerId);
      this.#lift();
      pen.shown = false;
      Object.assign(pointer, { id: event.pointerId, stroke: this.#begin(point(event)) });
      this.changed();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerId !== pointer.id) return;
      const events = event.getCoalescedEvents?.() ?? [];
      pointer.stroke.push(...(events.length ? events : [event]).map(point));
      this.changed();
    });
    canvas.addEventListener("lostpointercapture", (event) => {
      if (event.pointerId === pointer.id) Object.assign(pointer, { id: null, stroke: null });
    });
  }

  #listenToKeys() {
    const { canvas, pen } = this;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    canvas.addEventListener("keydown", (event) => {
      const undoes = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z";
      const move = moves[event.key];
      if (!move && event.key !== " " && !undoes) return;
      event.preventDefault();
      if (undoes) return this.undo();
      pen.shown = true;
      if (move) {
        pen.x = Math.min(SIDE, Math.max(0, pen.x + KEY_STEP * move[0]));
        pen.y = Math.min(SIDE, Math.max(0, pen.y + KEY_STEP * move[1]));
        pen.stroke?.push([pen.x, pen.y]);
      } else {
        pen.stroke = pen.stroke ? null : this.#begin([pen.x, pen.y]);
      }
      if (pen.stroke) this.changed();
      else this.#show(); // the pen alone has moved
    });
    canvas.addEventListener("blur", () => {
      Object.assign(pen, { shown: false, stroke: null });
      this.#show();
    });
  }
}
