// Elements, numbers as text, and charts: lines over steps, and cells by layers or bins and steps. A point is
// [step, value, least, most, nonfinite]; what stands for several steps has their mean, their extremes and the
// number of values that were not finite.

export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

export function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export const number = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : value ?? "–");
export const share = (value) => (typeof value === "number" ? `${(100 * value).toFixed(1)} %` : "–");
export const finite = (value) => typeof value === "number" && Number.isFinite(value);

const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;
// From blue to orange, readable on light and on dark; `part` in [0, 1].
export const shade = (part) => `hsl(${Math.round(215 - 190 * part)} 75% ${dark() ? 65 : 40}%)`;
// Colours that are told apart, for as many things as one likes.
export const hue = (i) => `hsl(${[210, 22, 130, 285, 48, 340, 175, 95][i % 8]} ${i % 16 < 8 ? 75 : 40}% ${dark() ? 65 : 38}%)`;
// Small is dark violet, large is yellow.
const heat = (part) => `hsl(${Math.round(275 - 225 * part)} 80% ${Math.round(18 + 47 * part)}%)`;

// The points of a table's column that were recorded.
export function points(table, name) {
  const column = table.columns[name], mean = column?.mean ?? column ?? [];
  return mean.flatMap((value, i) => (value === null ? [] :
    [[table.steps[i], value, column.min?.[i] ?? value, column.max?.[i] ?? value, column.nonfinite?.[i] ?? (finite(value) ? 0 : 1)]]));
}

// Columns of the network besides loss and accuracy; any other was named by a job's client.
export const TITLES = { learning_rate: "Learning rate", gradient_norm: "Gradient norm of the network (logarithmic)",
  gradient_ratio_first_last: "Gradient norm of the first layer over the last's (logarithmic)",
  validation_top_5_accuracy: "Top-5 accuracy, validation", validation_f1: "F1, validation",
  validation_calibration_error: "Calibration error, validation", validation_r2: "R², validation",
  gradient_noise_scale: "Gradient noise scale", validation_mae: "Mean absolute error, validation", samples_per_second: "Rows per second" };
export const LOGARITHMIC = new Set(["gradient_norm", "gradient_ratio_first_last"]);

const LEFT = 58, RIGHT = 10, TOP = 8, BOTTOM = 24;

// As wide as its place on the page, so that text is of one size everywhere.
const width = (figure) => Math.max(260, figure.clientWidth - 22);

export function scale(low, high, from, to) {
  const span = high - low || 1;
  return (value) => from + ((value - low) / span) * (to - from);
}

function ticks(low, high, count = 5) {
  const rough = (high - low || 1) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const first = Math.ceil(low / step), found = [];
  for (let i = 0; i <= 2 * count && (first + i) * step <= high + step / 1e6; i++) found.push(Number(((first + i) * step).toPrecision(12)));
  return found;
}

// Of logarithms: whole powers of ten; of a short range the 2 and the 5 between them, too.
function powers(low, high) {
  const every = Math.max(1, Math.ceil((high - low) / 6)), between = high - low < 2 ? [0, Math.log10(2), Math.log10(5)] : [0];
  const found = [];
  for (let at = Math.floor(low); at <= high; at += every) found.push(...between.map((each) => at + each).filter((each) => each >= low && each <= high));
  return found.length ? found : [low];
}

// A range that is not empty, however large its numbers.
function widened([low, high]) {
  const size = Math.max(Math.abs(low), Math.abs(high)) || 1;
  return high - low < 1e-9 * size ? [low - size / 2, high + size / 2] : [low, high];
}

function bounds(values) {
  return values.reduce(([low, high], each) => [Math.min(low, each), Math.max(high, each)], [Infinity, -Infinity]);
}

// Puts a chart into its figure; without one, the figure is not shown.
export function put(figure, chart, label, legend = []) {
  for (const old of figure.querySelectorAll("svg, ul")) old.remove();
  figure.hidden = !chart;
  if (!chart) return;
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", label);
  figure.append(chart);
  if (legend.length < 2) return;
  figure.append(make("ul", { className: "legend" }, ...legend.map(({ name, paint }) =>
    make("li", {}, draw("svg", { viewBox: "0 0 28 8", "aria-hidden": "true" }, draw("path", { d: "M0 4H28", "stroke-width": 3, ...paint })), name))));
}

// Lines over steps. A line is {name, paint, points}; what is not finite leaves a gap, and a mark on the axis.
// With `band`, the least and the most of each point are shaded around it.
export function lines(figure, label, given, { logarithmic = false, band = false, height = 220 } = {}) {
  const value = (y) => (!finite(y) ? NaN : !logarithmic ? y : y > 0 ? Math.log10(y) : NaN);
  const series = given.filter((each) => each.points.length)
    .map((each) => ({ ...each, points: each.points.map(([x, y, least, most, lost]) => [x, value(y), value(least), value(most), lost]) }));
  const shown = series.flatMap((each) => each.points.flatMap(([, y, least, most]) => (band ? [y, least, most] : [y]))).filter(Number.isFinite);
  figure.hidden = !series.length; // before it is measured
  if (!series.length) return put(figure, null);
  const [low, high] = widened(shown.length ? bounds(shown) : [0, 1]);
  const [first, last] = bounds(series.flatMap((each) => each.points.map(([x]) => x))), right = width(figure) - RIGHT;
  const x = scale(first, last, LEFT, right), y = scale(low, high, height - BOTTOM, TOP);
  const chart = draw("svg", { viewBox: `0 0 ${width(figure)} ${height}` });
  for (const at of logarithmic ? powers(low, high) : ticks(low, high)) {
    chart.append(draw("path", { class: "axis", d: `M${LEFT} ${y(at)}H${right}` }),
      draw("text", { x: LEFT - 6, y: y(at) + 4, "text-anchor": "end" }, logarithmic ? (10 ** at).toExponential(0).replace("+", "") : number(at)));
  }
  steps(chart, first, last, x, height);
  if (band) for (const { paint, points } of series) {
    const area = draw("path", { d: around(points, x, y), class: `band ${paint.class ?? ""}` });
    if (paint.stroke) area.style.fill = paint.stroke;
    chart.append(area);
  }
  for (const { paint, points } of series) chart.append(draw("path", { d: path(points, x, y), ...paint }));
  const lost = series.flatMap((each) => each.points.filter(([, , , , count]) => count > 0).map(([step]) => x(step).toFixed(1)));
  if (lost.length)
    chart.append(draw("path", { class: "lost", d: [...new Set(lost)].map((at) => `M${at} ${height - BOTTOM}v6`).join("") },
      draw("title", {}, "NaN or infinite here")));
  put(figure, chart, label, series);
}

function steps(chart, first, last, x, height) {
  for (const at of ticks(first, last, 6).filter(Number.isInteger))
    chart.append(draw("text", { x: x(at), y: height - 6, "text-anchor": at === last ? "end" : "middle" }, String(at)));
}

function path(points, x, y) {
  let text = "", drawn = false;
  points.forEach(([step, value], i) => {
    const fits = Number.isFinite(value);
    const alone = fits && !drawn && !Number.isFinite(points[i + 1]?.[1] ?? NaN);
    if (fits) text += `${drawn ? "L" : "M"}${x(step).toFixed(1)} ${y(value).toFixed(1)}${alone ? "m-3 0h6" : ""}`;
    drawn = fits;
  });
  return text;
}

// The outline between the least and the most, where both are there and differ.
function around(points, x, y) {
  let text = "", run = [];
  const close = () => {
    const side = (at) => run.map((point) => `${x(point[0]).toFixed(1)} ${y(point[at]).toFixed(1)}`);
    if (run.length > 1) text += `M${[...side(2), ...side(3).reverse()].join("L")}Z`;
    run = [];
  };
  for (const point of points) {
    if (Number.isFinite(point[2]) && Number.isFinite(point[3])) run.push(point);
    else close();
  }
  close();
  return text;
}

// Cells: rows of {name, points}, each value coloured by its logarithm between all that are there. What stands for
// several steps shows the worst of them: one that is not finite, else the largest.
export function cells(figure, label, rows, { height, value = Math.log10, says = number, names = true }) {
  const worst = ([, mean, , most, lost]) => (lost > 0 ? "NaN" : finite(most) ? most : mean);
  const every = rows.flatMap((row) => row.points.map(worst)).filter((each) => finite(each) && each > 0).map(value);
  const stepped = [...new Set(rows.flatMap((row) => row.points.map(([step]) => step)))].sort((a, b) => a - b);
  figure.hidden = !stepped.length;
  if (!stepped.length) return put(figure, null);
  const [low, high] = every.length ? bounds(every) : [0, 1], part = scale(low, high, 0, 1);
  const together = Math.max(1, Math.ceil(stepped.length / 160)), shown = stepped.filter((_, i) => i % together === 0);
  const column = new Map(stepped.map((step, i) => [step, Math.floor(i / together)]));
  const left = names ? 110 : LEFT, right = width(figure) - RIGHT, wide = (right - left) / shown.length, tall = (height - BOTTOM - TOP) / rows.length;
  const chart = draw("svg", { viewBox: `0 0 ${width(figure)} ${height}` });
  rows.forEach((row, i) => {
    const top = TOP + i * tall, kept = new Map();
    if (row.name) chart.append(draw("text", { x: left - 6, y: top + tall / 2 + 4, "text-anchor": "end" }, row.name));
    for (const point of row.points) {
      const k = column.get(point[0]), known = kept.get(k), each = worst(point);
      if (known === undefined || !finite(each) || (finite(known) && each > known)) kept.set(k, each);
    }
    for (const [k, each] of kept) {
      const fill = finite(each) ? (each > 0 ? heat(part(value(each))) : "none") : "var(--bad)";
      if (fill === "none" && !names) continue;
      chart.append(draw("rect", { x: (left + k * wide).toFixed(2), y: top.toFixed(2), width: (wide + 0.3).toFixed(2), height: (tall - (names ? 1 : -0.3)).toFixed(2),
        fill: fill === "none" ? "black" : fill }, draw("title", {}, `${row.title ?? row.name}, step ${shown[k]}: ${says(each)}`)));
    }
  });
  steps(chart, shown[0], shown[shown.length - 1], scale(shown[0], shown[shown.length - 1], left + wide / 2, right - wide / 2), height);
  put(figure, chart, label);
}
