// What is chosen, and one frame of it: forward, backward, every picture.

import { argmax, column, hadamard, largest, minus, oneHot, outer, row, scaled, times } from "./arrays.mjs";
import { squaredError } from "./network.mjs";
import { inputsOf } from "./inputs.mjs";
import { SIZE, mnistForm } from "./photo.mjs";
import { Model, limitOf, strongestUnits } from "./model.mjs";
import { palette } from "./colours.mjs";
import { brackets, entry, factor, math, mi, mn, mo, short, slope } from "./words.mjs";
import { checked } from "./check.mjs";
import { picturesOf } from "./pictures.mjs";
import { Bars } from "./bars.mjs";
import { Drawing } from "./drawing.mjs";
import { Digits } from "./digits.mjs";

const data = JSON.parse(document.getElementById("data").textContent);
const { height, width, hidden: K, outputs: C } = data;
const model = new Model(data);
const digits = new Digits(data.digits, height, width);
const shown = digits.images.map((image) => inputsOf(image, height, width, data.view));
const units = strongestUnits(model.params.W2);

const chosen = {
  digit: null, // its number; null while it is a drawing
  x0: new Float64Array(height * width),
  y: null, // null until somebody says
  unit: units[0], // the hidden unit that is looked at
  pointed: null, // the unit under the mouse
  weight: { leaf: "W1", at: 0 }, // of that unit: from a pixel, or to an output
  byHand: false, // whether somebody chose the unit or the weight; until then they are the foremost
};
let before = null; // {loss, wrong}, before the last step
let wrong = 0; // of the digits
let colours = palette();

const blank = () => chosen.digit === null && drawing.empty; // an empty sheet: nothing to read or to learn from
const element = (id) => document.getElementById(id);
const say = (id, text) => (element(id).textContent = text);
const change = (what) => {
  Object.assign(chosen, what);
  update();
};

// The pictures and tables. A unit that one points at is shown; one that one clicks is kept.

const unitNow = () => chosen.pointed ?? chosen.unit;
const pick = (leaf, at, unit = unitNow()) => change({ weight: { leaf, at }, unit, pointed: null, byHand: true });
const values = {}; // the last frame's, by the id of its picture
const pictures = picturesOf(data, units, {
  keep: (unit) => change({ unit, pointed: null, byHand: true }),
  point: (unit) => chosen.pointed !== unit && change({ pointed: unit }),
  pick,
  says: (id, j) => `unit ${j}: ${short(values[id][j])}`,
});
element("G3-delta1").style.setProperty("--columns", width);
element("G3-delta1").style.setProperty("--rows", height);
element("W2-ticks").hidden = C > 20; // as in the report: more have no room for their numbers
element("W2-ticks").innerHTML = Array.from({ length: C }, (_, k) => `<span>${k}</span>`).join("");

const outputs = new Bars(element("outputs"), C, ["z2", "x2"]);
const positive = model.phi[1].phi(-1e3) >= 0; // as sigmoid: bars of x2 have the whole width
element("outputs").classList.toggle("positive", positive);
const errors = new Bars(element("errors"), C, ["error", "slope", "delta2"], {
  delta2: (k) => pick("b2", k),
});
const shares = new Bars(element("shares"), C, ["W2", "delta2", "share"], {
  W2: (k) => pick("W2", k),
});

/** Draws the picture of this id, its colours from -limit to limit, and writes the limit under it. */
function draw(id, shownValues, limit = limitOf(shownValues)) {
  values[id] = shownValues;
  pictures[id].draw(shownValues, limit, colours);
  const caption = element(`${id}-limit`);
  if (caption) caption.textContent = largest(shownValues) ? `±${short(limit)}` : "all 0";
}

// One frame.

let waiting = false;
function update() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    frame();
  });
}

function frame() {
  const start = performance.now();
  if (chosen.digit === null) {
    chosen.x0 = inputsOf(mnistForm(drawing.ink()), height, width, data.view);
  }
  const { x0, y } = chosen;
  const { params } = model;
  const trace = model.forward(x0);
  const target = y === null ? null : oneHot(y, C);
  const deltas = target
    ? model.backward(trace, target)
    : { delta1: new Float64Array(K), delta2: new Float64Array(C) };
  drawForward(params, trace);
  drawBackward(params, trace, target, deltas);
  drawCheck(params, trace, target, deltas);
  drawResults(trace, target, deltas);
  performance.clearMeasures("frame");
  performance.measure("frame", { start });
}

function drawForward({ W1, W2 }, { x0, z1, x1, z2, x2 }) {
  const j = unitNow();
  draw("x0", x0, Math.max(1, largest(x0)));
  draw("z1", z1);
  draw("x1", x1);
  draw("W1-in", column(W1, j));
  draw("W2-out", row(W2, j));
  for (const place of document.getElementsByClassName("unit")) place.textContent = j;
  const slopeNow = model.phi[0].prime(z1[j]);
  element("unit-numbers").innerHTML = [
    math(entry("z", 1, j), mo("="), mn(short(z1[j]))),
    math(entry("x", 1, j), mo("="), mn(short(x1[j]))),
    math("<msup><mi>φ</mi><mo>′</mo></msup>", brackets(entry("z", 1, j)), mo("="), mn(short(slopeNow))),
  ].join("<br>");
  outputs.draw("z2", z2, limitOf(z2));
  outputs.draw("x2", x2, Math.max(1, largest(x2)));
  outputs.mark("read", blank() ? null : argmax(x2));
  outputs.mark("meant", chosen.y);
  say("prediction", blank() ? "nothing yet" : argmax(x2));
  element("targets").disabled = blank();
}

/** Why the backward pass shows nothing, or next to nothing. */
function hint(target, { x2 }, { delta2 }) {
  if (blank()) return "Nothing is drawn: draw a digit, or choose one of the test digits.";
  if (!target) return "Say what it should have been, above: then there is an error to send back.";
  const loss = squaredError(x2, target);
  if (!Number.isFinite(loss))
    return "That was too far: the weights are no numbers any more. Undo, and make η smaller.";
  if (loss < 0.1 || largest(delta2) > 1e-3) return "";
  return "It is so sure that φ′ of its outputs is almost 0, and lets hardly any of the error back.";
}

function drawBackward({ W2 }, trace, target, deltas) {
  const { x0, z1, x1, z2, x2 } = trace;
  const { delta1, delta2 } = deltas;
  const j = unitNow();
  const outputSlopes = z2.map(model.phi[1].prime);
  const slopes = z1.map(model.phi[0].prime);
  const back = times(W2, delta2);
  say("hint", hint(target, trace, deltas));

  errors.draw("error", target && minus(x2, target), 1);
  errors.draw("slope", outputSlopes, limitOf(outputSlopes));
  errors.draw("delta2", target && delta2, limitOf(delta2));
  errors.mark("meant", chosen.y);
  errors.mark("read", blank() ? null : argmax(x2));
  draw("G1-x1", x1);
  draw("G1-delta2", delta2);
  draw("dW2", outer(x1, delta2).data);

  draw("W2delta2", back);
  draw("slope1", slopes);
  draw("delta1", delta1);
  const weights = row(W2, j);
  shares.draw("W2", weights, limitOf(weights));
  shares.draw("delta2", target && delta2, limitOf(delta2));
  const share = hadamard(weights, delta2);
  shares.draw("share", target && share, limitOf(share));
  element("share-sum").innerHTML = math(
    "<munder><mo>∑</mo><mi>k</mi></munder>",
    entry("w", 2, j, "k"),
    entry("δ", 2, "k"),
    mo("="),
    mn(short(back[j])),
    mo("="),
    slope("x", 1, j),
  );
  element("share-slope").innerHTML = math(
    entry("δ", 1, j),
    mo("="),
    factor(back[j]),
    mo("·"),
    factor(slopes[j]),
    mo("="),
    mn(short(delta1[j])),
  );

  draw("G3-x0", x0, Math.max(1, largest(x0)));
  say("G3-delta1", target ? short(delta1[j]) : "–");
  for (const id of ["z1", "x1", "W2delta2", "slope1", "delta1"]) pictures[id].mark(j);
  draw("dW1", scaled(x0, delta1[j]));
}

/** The chosen weight: what the backward pass says of it, and what moving it does to the loss. */
function drawCheck(params, trace, target, deltas) {
  const { leaf, at } = chosen.weight;
  const j = unitNow();
  pictures["W1-in"].mark(leaf === "W1" ? at : null);
  pictures.dW1.mark(leaf === "W1" ? at : null);
  pictures["W2-out"].mark(leaf === "W2" ? at : null);
  pictures.dW2.mark(leaf === "W2" ? j * C + at : null);
  const said = checked(chosen.weight, j, params, trace, deltas, target, model.phi);
  element("check-equation").innerHTML = said.equation;
  element("check-by-hand").innerHTML = said.byHand;
  element("check-difference").innerHTML = said.difference;
  say("check-verdict", said.verdict);
}

function drawResults(trace, target, deltas) {
  const loss = target ? squaredError(trace.x2, target) : null;
  element("loss").innerHTML = target ? math(mi("L"), mo("="), mn(short(loss))) : "";
  const now = target ? short(loss) : "–";
  say("loss-change", before && target ? `${short(before.loss)} → ${now}` : now);
  const unmoved = before && target && short(before.loss) === now;
  say("step-hint", unmoved ? hint(target, trace, deltas) : "");
  say("errors-change", before ? `${before.wrong} → ${wrong}` : wrong);
  for (const id of ["one-step", "ten-steps"]) element(id).disabled = !target;
  element("undo-step").disabled = model.past.length === 0;
  element("reset").disabled = model.params === model.trained;
  digits.choose(chosen.digit);
  for (const radio of document.getElementsByName("y")) radio.checked = Number(radio.value) === chosen.y;
  element("invitation").hidden = !drawing.empty;
}

// What the reader does.

const drawing = new Drawing(element("drawing"), () => {
  // A new drawing is of another digit; strokes added to one are not.
  meet(chosen.digit === null && !drawing.empty ? {} : { digit: null, y: null });
});
element("undo-stroke").addEventListener("click", () => drawing.undo());
element("clear").addEventListener("click", () => drawing.clear());

/** Another example, or another y for it. */
function meet(what) {
  before = null;
  change(what);
  if (chosen.byHand || chosen.y === null) return;
  const { delta1 } = deltasOf(chosen.x0, chosen.y);
  change({ unit: argmax(delta1.map(Math.abs)), weight: { leaf: "W1", at: argmax(chosen.x0) } });
}
const deltasOf = (x0, y) => model.backward(model.forward(x0), oneHot(y, C));

const example = (n) => ({ digit: n, x0: shown[n], y: digits.labels[n] });
digits.show(element("worst"), element("others"), (n) => {
  drawing.wipe();
  meet(example(n));
});

for (let k = 0; k < C; k++) {
  const label = document.createElement("label");
  label.innerHTML = `<input type="radio" name="y" value="${k}">${k}`;
  label.firstChild.addEventListener("change", () => meet({ y: k }));
  element("targets").append(label);
}

const eta = () => 10 ** Number(element("eta").value);
element("eta").addEventListener("input", sayEta);
function sayEta() {
  say("eta-says", short(eta()));
  element("eta").setAttribute("aria-valuetext", short(eta()));
}

/** What changes the weights: from before to after. */
function learn(act) {
  const lossNow = () => (chosen.y === null ? null : squaredError(model.forward(chosen.x0).x2, oneHot(chosen.y, C)));
  const was = { loss: lossNow(), wrong };
  act();
  wrong = digits.mark(model.predictions(shown));
  before = was.loss === null ? null : was;
  update();
}
const steps = (count) => () => learn(() => model.step(chosen.x0, oneHot(chosen.y, C), eta(), count));
element("one-step").addEventListener("click", steps(1));
element("ten-steps").addEventListener("click", steps(10));
element("undo-step").addEventListener("click", () => learn(() => model.undo()));
element("reset").addEventListener("click", () => learn(() => model.reset()));

/** For a start the digit of the largest δ2: there is most to see. */
function showMost() {
  const sizes = shown.map((x0, n) => largest(deltasOf(x0, digits.labels[n]).delta2));
  meet(example(argmax(sizes)));
}

const paint = () => {
  colours = palette();
  digits.paint(colours);
  update();
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);

if (height !== SIZE || width !== SIZE) element("draw").hidden = true; // predict too takes photos for 28x28 alone
say(
  "x0-says",
  `${height}×${width}${data.view.deskew ? ", made upright" : ""}` +
    `${data.view.directions ? ", as directions" : ""}${data.view.edges ? ", as edges" : ""}`,
);
for (const place of document.getElementsByClassName("count")) place.textContent = digits.images.length;
sayEta();
showMost();
wrong = digits.mark(model.predictions(shown));
paint();
