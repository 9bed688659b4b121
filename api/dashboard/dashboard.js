// The dashboard: a list of jobs, and one of them with its curves. Histories are followed by their `after` cursors,
// each time that the job's stream of events tells of a change; without the stream, by the clock.
const $ = (id) => document.getElementById(id);
const POLL_MS = 2000, REDRAW_MS = 400, PAGE = 50;
const KINDS = ["gradients", "weights", "activations"];
let pages = 1, chosen = null, view = null;

// ---- talking to the server

class Refused extends Error {
  constructor(status) { super(`the server answered ${status}`); this.status = status; }
}

async function ask(path, accept = "application/json", signal = undefined) {
  const headers = { Accept: accept };
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(path, { headers, signal, cache: "no-store" });
  if (answer.status === 401 || answer.status === 403) $("login").hidden = false;
  if (!answer.ok) throw new Refused(answer.status);
  return answer;
}

const read = async (path) => (await ask(path)).json();

// The events of a stream until it ends; each is [id, text].
async function* events(path, last, signal) {
  const answer = await ask(last ? `${path}?after=${last}` : path, "text/event-stream", signal);
  if (answer.status === 204) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const field = (name) => (lines.find((line) => line.startsWith(`${name}: `)) || "").slice(name.length + 2);
      if (field("data")) yield [field("id"), field("data")];
    }
  }
}

// ---- making elements

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const number = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : value ?? "–");
const share = (value) => (typeof value === "number" ? `${(100 * value).toFixed(1)} %` : "–");
const finite = (value) => typeof value === "number" && Number.isFinite(value);

// From blue to orange, readable on light and on dark; `part` in [0, 1].
const shade = (part) => `hsl(${Math.round(215 - 190 * part)} 75% ${matchMedia("(prefers-color-scheme: dark)").matches ? 65 : 40}%)`;
// Small is dark violet, large is yellow.
const heat = (part) => `hsl(${Math.round(275 - 225 * part)} 80% ${Math.round(18 + 47 * part)}%)`;

// ---- charts

const LEFT = 58, RIGHT = 10, TOP = 8, BOTTOM = 24;

// As wide as its place on the page, so that text is of one size everywhere.
const width = (figure) => Math.max(260, figure.clientWidth - 22);

function scale(low, high, from, to) {
  const span = high - low || 1;
  return (value) => from + ((value - low) / span) * (to - from);
}

function ticks(low, high, count = 5) {
  const rough = (high - low || 1) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(Number(at.toPrecision(12)));
  return found;
}

function powers(low, high) {
  const every = Math.max(1, Math.ceil((high - low) / 6)), found = [];
  for (let at = Math.ceil(low); at <= high; at += every) found.push(at);
  return found.length ? found : [low];
}

function put(figure, chart, label, legend = []) {
  for (const old of figure.querySelectorAll("svg, ul, .nothing")) old.remove();
  if (!chart) {
    figure.append(make("p", { className: "nothing", textContent: "Nothing recorded." }));
    return;
  }
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", label);
  figure.append(chart);
  if (legend.length < 2) return;
  figure.append(make("ul", { className: "legend" }, ...legend.map(({ name, paint }) =>
    make("li", {}, draw("svg", { viewBox: "0 0 28 8", "aria-hidden": "true" }, draw("path", { d: "M0 4H28", "stroke-width": 3, ...paint })), name))));
}

// Lines over steps. A line is {name, paint, points: [[step, value], …]}; what is not finite leaves a gap.
function lines(figure, label, given, { logarithmic = false, height = 220 } = {}) {
  const value = (y) => (logarithmic ? (y > 0 ? Math.log10(y) : NaN) : y);
  const series = given.map((each) => ({ ...each, points: thin(each.points).map(([x, y]) => [x, finite(y) ? value(y) : NaN]) }));
  const all = series.flatMap((each) => each.points.filter(([, y]) => Number.isFinite(y)));
  if (!all.length) return put(figure, null);
  let [low, high] = bounds(all.map(([, y]) => y));
  if (high - low < 1e-9) [low, high] = [low - 0.5, high + 0.5];
  const [first, last] = bounds(all.map(([x]) => x)), right = width(figure) - RIGHT;
  const x = scale(first, last, LEFT, right), y = scale(low, high, height - BOTTOM, TOP);
  const chart = draw("svg", { viewBox: `0 0 ${width(figure)} ${height}` });
  for (const at of logarithmic ? powers(low, high) : ticks(low, high)) {
    chart.append(draw("path", { class: "axis", d: `M${LEFT} ${y(at)}H${right}` }),
      draw("text", { x: LEFT - 6, y: y(at) + 4, "text-anchor": "end" }, logarithmic ? `1e${Number(at.toPrecision(3))}` : number(at)));
  }
  steps(chart, first, last, x, height);
  for (const { paint, points } of series) chart.append(draw("path", { d: path(points, x, y), ...paint }));
  put(figure, chart, label, series);
}

function steps(chart, first, last, x, height) {
  for (const at of ticks(first, last, 6).filter(Number.isInteger))
    chart.append(draw("text", { x: x(at), y: height - 6, "text-anchor": at === last ? "end" : "middle" }, String(at)));
}

function bounds(values) {
  return values.reduce(([low, high], each) => [Math.min(low, each), Math.max(high, each)], [Infinity, -Infinity]);
}

// At most a few points for each pixel: of every stretch its first point, its least and its largest.
function thin(points) {
  const most = 400;
  if (points.length <= 3 * most) return points;
  const size = Math.ceil(points.length / most), kept = [];
  for (let at = 0; at < points.length; at += size) {
    const piece = points.slice(at, at + size), fit = piece.filter(([, y]) => finite(y));
    if (fit.length < piece.length) kept.push(piece.find(([, y]) => !finite(y)));
    if (!fit.length) continue;
    const [low, high] = bounds(fit.map(([, y]) => y));
    kept.push(fit[0], fit.find(([, y]) => y === low), fit.find(([, y]) => y === high));
  }
  return [...new Set(kept)].sort(([a], [b]) => a - b);
}

function path(points, x, y) {
  let text = "", drawn = false;
  points.forEach(([step, value], i) => {
    const fits = Number.isFinite(value);
    const alone = fits && !drawn && !Number.isFinite(points[i + 1]?.[1] ?? NaN);
    if (fits) text += `${drawn ? "L" : "M"}${x(step).toFixed(1)} ${y(value).toFixed(1)}${alone ? "h2" : ""}`;
    drawn = fits;
  });
  return text;
}

// Cells: rows of {name, points}, each value coloured by its logarithm between all that are there.
function cells(figure, label, rows, { height, value = Math.log10, says = number, names = true }) {
  const every = rows.flatMap((row) => row.points.map(([, each]) => each)).filter((each) => finite(each) && each > 0).map(value);
  if (!every.length) return put(figure, null);
  const [low, high] = bounds(every), part = scale(low, high, 0, 1);
  const stepped = [...new Set(rows.flatMap((row) => row.points.map(([step]) => step)))].sort((a, b) => a - b);
  const together = Math.max(1, Math.ceil(stepped.length / 160)), shown = stepped.filter((_, i) => i % together === 0);
  // What stands for several steps: what is not finite, else the largest.
  const worst = (known, k) => stepped.slice(k * together, (k + 1) * together).map((step) => known.get(step)).filter((each) => each !== undefined)
    .reduce((kept, each) => (kept === undefined || !finite(each) || (finite(kept) && each > kept) ? each : kept), undefined);
  const left = names ? 110 : LEFT, right = width(figure) - RIGHT, wide = (right - left) / shown.length, tall = (height - BOTTOM - TOP) / rows.length;
  const chart = draw("svg", { viewBox: `0 0 ${width(figure)} ${height}` });
  rows.forEach((row, i) => {
    const known = new Map(row.points);
    const top = TOP + i * tall;
    if (row.name) chart.append(draw("text", { x: left - 6, y: top + tall / 2 + 4, "text-anchor": "end" }, row.name));
    shown.forEach((step, k) => {
      const each = worst(known, k);
      if (each === undefined) return;
      const fill = finite(each) ? (each > 0 ? heat(part(value(each))) : "none") : "var(--bad)";
      if (fill === "none" && !names) return;
      chart.append(draw("rect", { x: (left + k * wide).toFixed(2), y: top.toFixed(2), width: (wide + 0.3).toFixed(2), height: (tall - (names ? 1 : -0.3)).toFixed(2),
        fill: fill === "none" ? "black" : fill }, draw("title", {}, `${row.title ?? row.name}, step ${step}: ${says(each)}`)));
    });
  });
  steps(chart, shown[0], shown[shown.length - 1], scale(shown[0], shown[shown.length - 1], left + wide / 2, right - wide / 2), height);
  put(figure, chart, label);
}

// ---- a job's data, as it is followed

class View {
  constructor(id) {
    this.id = id;
    this.job = null;
    this.after = {};
    this.network = { loss: new Map(), accuracy: new Map(), validation_loss: new Map(), validation_accuracy: new Map() };
    this.layers = new Map(); // index → {name, norms: step → number}
    this.histograms = new Map(); // "kind index" → {name, steps: step → counts}
    this.edges = null;
    this.log = [];
    this.stop = new AbortController();
  }

  // All that is new of one history.
  async follow(what, take) {
    for (let more = true; more; ) {
      const after = this.after[what];
      const answer = await read(`/v1/jobs/${this.id}/${what}?limit=5000${after ? `&after=${after}` : ""}`);
      this.after[what] = answer.after;
      more = answer.more;
      take(answer);
    }
  }

  async refresh() {
    this.job = await read(`/v1/jobs/${this.id}`);
    await this.follow("metrics", (answer) => {
      for (const [name, points] of Object.entries(this.network))
        each(answer.columns[name], (value, i) => points.set(answer.steps[i], value));
    });
    await this.follow("gradients", (answer) => {
      for (const { index, name, steps: at, columns } of answer.layers) {
        const layer = this.layers.get(index) ?? { norms: new Map() };
        layer.name = name;
        each(columns.gradient_norm, (value, i) => layer.norms.set(at[i], value));
        this.layers.set(index, layer);
      }
    });
    await this.follow("histograms", (answer) => {
      this.edges = answer.edges;
      for (const { index, name, kind, steps: at, counts } of answer.histograms) {
        const key = `${kind} ${index}`, kept = this.histograms.get(key) ?? { steps: new Map() };
        kept.name = name;
        counts.forEach((each, i) => kept.steps.set(at[i], each));
        this.histograms.set(key, kept);
      }
    });
    const told = await read(`/v1/jobs/${this.id}/events?format=json${this.after.events ? `&after=${this.after.events}` : ""}`);
    this.after.events = told.after;
    this.log.push(...told.events);
  }

  get over() { return ["succeeded", "failed", "cancelled"].includes(this.job?.state); }

  sorted(points) { return [...points].sort(([a], [b]) => a - b); }

  show() {
    if (view !== this || !this.job) return;
    const { job } = this, sorted = (name) => this.sorted(this.network[name]);
    $("job").hidden = false;
    $("name").textContent = job.name || job.id;
    facts(job);
    lines($("loss"), `Loss of ${job.name || job.id} over the steps, newest ${number(job.latest?.loss)}`, [
      { name: "training", paint: { class: "one" }, points: sorted("loss") },
      { name: "validation", paint: { class: "two" }, points: sorted("validation_loss") }]);
    lines($("accuracy"), `Accuracy over the steps, newest ${share(job.latest?.accuracy)}`, [
      { name: "training", paint: { class: "one" }, points: sorted("accuracy") },
      { name: "validation", paint: { class: "two" }, points: sorted("validation_accuracy") }]);
    const layers = [...this.layers].sort(([a], [b]) => a - b).map(([, layer]) => ({ name: layer.name, points: this.sorted(layer.norms) }));
    const part = scale(0, Math.max(1, layers.length - 1), 0, 1);
    const norms = layers.map((layer) => number(layer.points[layer.points.length - 1]?.[1]));
    const label = `Gradient norm of ${layers.length} layers over the steps; newest, from the input's side: ${norms.join(", ")}`;
    lines($("norms"), label, layers.map((layer, i) => ({ ...layer, paint: { stroke: shade(part(i)) } })), { logarithmic: true, height: 260 });
    cells($("heat"), label, layers, { height: TOP + BOTTOM + Math.max(layers.length, 2) * 22 });
    this.table(layers);
    this.distribution();
    $("events").replaceChildren(...this.log.map(({ at, event, detail }) =>
      make("li", {}, make("time", { dateTime: at, textContent: at.replace("T", " ").replace("Z", "") }), ` ${event}${detail ? `: ${detail}` : ""}`)));
  }

  table(layers) {
    const newest = layers.map((layer) => layer.points[layer.points.length - 1] ?? [null, null]);
    const last = newest[newest.length - 1]?.[1];
    $("layers").replaceChildren(...layers.map((layer, i) => make("tr", {}, make("td", { textContent: layer.name }),
      make("td", { textContent: newest[i][0] ?? "–" }), make("td", { textContent: number(newest[i][1]) }),
      make("td", { textContent: finite(last) && finite(newest[i][1]) ? number(newest[i][1] / last) : "–" }))));
  }

  distribution() {
    $("histograms").hidden = this.histograms.size === 0;
    if (!this.histograms.size) return;
    const names = new Map([...this.histograms].map(([key, each]) => [key.split(" ")[1], each.name]));
    options($("kind"), KINDS.map((kind) => [kind, kind]));
    options($("layer"), [...names].sort(([a], [b]) => a - b));
    const chosen = this.histograms.get(`${$("kind").value} ${$("layer").value}`);
    if (!chosen) return put($("histograms"), null);
    const used = [...chosen.steps.values()].reduce((sum, counts) => sum.map((each, i) => each + counts[i]), new Array(64).fill(0));
    const first = used.findIndex((each) => each > 0), last = 63 - [...used].reverse().findIndex((each) => each > 0);
    const rows = [];
    for (let bin = last; bin >= first && first >= 0; bin--) {
      const edge = (at) => (this.edges[at] ? this.edges[at].toExponential(0) : "0");
      const low = bin ? edge(bin - 1) : "below", high = bin < 63 ? edge(bin) : "above";
      rows.push({ name: (last - bin) % 3 ? "" : low, title: `from ${low} to ${high}`, points: this.sorted(new Map([...chosen.steps].map(([step, counts]) => [step, counts[bin]]))) });
    }
    cells($("histograms"), `Distribution of ${$("kind").value} of ${chosen.name} over ${chosen.steps.size} steps`, rows,
      { height: TOP + BOTTOM + Math.max(rows.length, 8) * 9, value: Math.log1p, says: (count) => `${count} numbers`, names: false });
  }

  // Until another job is chosen.
  async run() {
    while (view === this) {
      try {
        await this.refresh();
        this.show();
        say(this.over ? "finished" : "live");
        if (this.over) return;
        await this.listen();
      } catch (error) {
        if (view !== this) return;
        say(error instanceof Refused ? error.message : "the server does not answer; trying again");
        if (error.status === 404 || error.status === 401) return;
        await pause(POLL_MS);
      }
    }
  }

  // Redraws as the stream tells of changes; returns when it ends. Where there is no stream, by the clock.
  async listen() {
    let due = false, failed = null;
    const redraw = setInterval(async () => {
      if (!due) return;
      due = false;
      try { await this.refresh(); this.show(); } catch (error) { failed = error; this.stop.abort(); }
    }, REDRAW_MS);
    try {
      for await (const [id] of events(`/v1/jobs/${this.id}/events`, String(this.job.revision), this.stop.signal)) due = id !== "";
    } catch (error) {
      if (view === this) {
        this.stop = new AbortController();
        say("polling");
        await pause(POLL_MS);
      }
      if (failed) throw failed;
    } finally {
      clearInterval(redraw);
    }
  }
}

// The values of a column that were recorded; where a point stands for several steps, its mean.
const each = (column, take) => (column?.mean ?? column ?? []).forEach((value, i) => value !== null && take(value, i));
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const say = (text) => { if ($("status").textContent !== text) $("status").textContent = text; };

function options(select, wanted) {
  if (select.options.length === wanted.length && [...select.options].every((each, i) => each.value === wanted[i][0])) return;
  const kept = select.value;
  select.replaceChildren(...wanted.map(([value, text]) => make("option", { value, textContent: text })));
  if (wanted.some(([value]) => value === kept)) select.value = kept;
}

function facts(job) {
  const { step, steps: all, epoch, epochs, eta_seconds: eta } = job.progress;
  const state = make("span", { className: `state ${job.state}`, textContent: job.state });
  const parts = [all ? `step ${step} of ${all}` : `step ${step}`, epochs ? `epoch ${epoch} of ${epochs}` : "",
    eta && job.state === "running" ? `${Math.ceil(eta)} s left` : "", job.attempt > 1 ? `attempt ${job.attempt}` : "",
    job.latest ? `loss ${number(job.latest.loss)}` : "", finite(job.latest?.validation_accuracy) ? `validation accuracy ${share(job.latest.validation_accuracy)}` : "", job.id];
  $("facts").replaceChildren(state, ` · ${parts.filter(Boolean).join(" · ")}`);
  $("progress").value = job.progress.fraction ?? 0;
  $("error").hidden = !job.error;
  $("error").textContent = job.error ? `${job.error.code}: ${job.error.detail}` : "";
}

// ---- the list

function entry(job) {
  const link = make("a", { href: `#${job.id}` }, make("strong", { textContent: job.name || job.id }),
    make("span", { className: `state ${job.state}`, textContent: `${job.state}${job.latest ? `, loss ${number(job.latest.loss)}` : ""}` }));
  if (job.id === chosen) link.setAttribute("aria-current", "page");
  if (job.state === "running" && job.progress.steps)
    link.append(make("progress", { max: 1, value: job.progress.fraction ?? 0, ariaLabel: `Progress of ${job.name || job.id}` }));
  return make("li", {}, link);
}

async function list() {
  const jobs = [];
  let next = "";
  for (let page = 0; page < pages && next !== null; page++) {
    const answer = await read(`/v1/jobs?limit=${PAGE}${next ? `&cursor=${next}` : ""}`);
    jobs.push(...answer.jobs);
    next = answer.next;
  }
  const focused = document.activeElement?.getAttribute?.("href");
  $("jobs").replaceChildren(...jobs.map(entry));
  if (focused) $("jobs").querySelector(`[href="${focused}"]`)?.focus();
  $("more").hidden = next === null;
  $("none").hidden = jobs.length > 0;
  document.querySelector("main").classList.toggle("empty", jobs.length === 0);
  if (!jobs.length) say("ready");
  if (!chosen && jobs.length) choose(jobs[0].id);
}

async function keepListing() {
  for (;;) {
    try {
      if (!document.hidden) await list();
      if (!$("login").hidden && $("jobs").children.length) $("login").hidden = true;
    } catch (error) {
      say(error instanceof Refused ? error.message : "the server does not answer; trying again");
    }
    await pause(POLL_MS);
  }
}

function choose(id) {
  if (view?.id === id) return;
  view?.stop.abort();
  chosen = id;
  $("job").hidden = true;
  view = new View(id);
  view.run();
  for (const link of $("jobs").querySelectorAll("a"))
    link.getAttribute("href") === `#${id}` ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
}

$("hint").textContent = `curl --json '{"dataset": {"generator": "spirals"}, "model": {"layers": [{"units": 32, "activation": "sigmoid"}]}}' ${location.origin}/v1/jobs`;
$("more").addEventListener("click", () => { pages++; list(); });
for (const id of ["kind", "layer"]) $(id).addEventListener("change", () => view?.distribution());
$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value);
  $("login").hidden = true;
  list().then(() => view?.run(), () => {});
});
addEventListener("hashchange", () => location.hash.length > 1 && choose(location.hash.slice(1)));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view?.show());
addEventListener("resize", () => view?.show());
if (location.hash.length > 1) choose(location.hash.slice(1));
keepListing();
