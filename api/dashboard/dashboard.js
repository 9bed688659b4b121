// The dashboard: a list of jobs, and one of them with its curves, or several compared. A job's curves are read again
// in as many points as fit its page, each time that its stream of events tells of a change; without the stream, by
// the clock.
import { LOGARITHMIC, TITLES, cells, finite, hue, lines, make, number, points, put, scale, shade, share } from "./dashboard-charts.js";
import { Comparison } from "./dashboard-compare.js";
import { $, POLL_MS, Refused, ask, events, fitting, pause, read, say } from "./dashboard-server.js";

const REDRAW_MS = 400, PAGE = 50;
const KINDS = ["gradients", "weights", "activations"];
const MAIN = new Set(["loss", "accuracy", "validation_loss", "validation_accuracy"]);
const TOP_AND_BOTTOM = 32; // of a chart
let pages = 1, chosen = [], view = null;

// ---- a job's data, as it is followed

class View {
  constructor(id) {
    this.id = id;
    this.job = null;
    this.after = {};
    this.network = { steps: [], columns: {} };
    this.layers = []; // tables
    this.histograms = new Map(); // "kind index" → {name, steps: step → counts}
    this.edges = null;
    this.happened = [];
    this.took = 0; // milliseconds, the newest refresh
    this.leaving = new AbortController();
  }

  stop() { this.leaving.abort(); }

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
    const begin = performance.now();
    this.job = await read(`/v1/jobs/${this.id}`);
    const path = `/v1/jobs/${this.id}`, fit = `max_points=${fitting()}`;
    [this.network, { layers: this.layers }] = await Promise.all([read(`${path}/metrics?${fit}`), read(`${path}/gradients?column=gradient_norm&${fit}`)]);
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
    this.happened.push(...told.events);
    await this.readLog();
    this.took = performance.now() - begin;
  }

  // What the workers wrote, once somebody looks.
  async readLog() {
    if (!$("log-box").open) return;
    const answer = await ask(`/v1/jobs/${this.id}/log?after=${this.after.log ?? 0}`, { accept: "text/plain" });
    if (!this.after.log) $("log").textContent = "";
    this.after.log = answer.headers.get("Nabla-After");
    if (view === this) $("log").append(await answer.text());
  }

  get over() { return ["succeeded", "failed", "cancelled"].includes(this.job?.state); }

  show() {
    if (view !== this || !this.job) return;
    const { job } = this, called = job.name || job.id;
    $("comparison").hidden = true;
    $("job").hidden = false;
    $("name").textContent = called;
    facts(job);
    this.pair("loss", `Loss of ${called} over the steps, newest ${number(job.latest?.loss)}`);
    this.pair("accuracy", `Accuracy over the steps, newest ${share(job.latest?.accuracy)}`);
    this.others(called);
    const layers = this.layers.map((table) => ({ name: table.name, points: points(table, "gradient_norm") }));
    const part = scale(0, Math.max(1, layers.length - 1), 0, 1);
    const norms = layers.map((layer) => number(layer.points[layer.points.length - 1]?.[1]));
    const label = `Gradient norm of ${layers.length} layers over the steps; newest, from the input's side: ${norms.join(", ")}`;
    lines($("norms"), label, layers.map((layer, i) => ({ ...layer, paint: { stroke: shade(part(i)) } })), { logarithmic: true, height: 260 });
    cells($("heat"), label, layers, { height: TOP_AND_BOTTOM + Math.max(layers.length, 2) * 22 });
    $("layer-box").hidden = !layers.length;
    this.table(layers);
    this.distribution();
    $("nothing").hidden = [...document.querySelectorAll("#job figure")].some((figure) => !figure.hidden);
    $("log-box").hidden = job.executor === "client" || job.spec?.executor === "client";
    $("events").replaceChildren(...this.happened.map(({ at, event, detail }) =>
      make("li", {}, make("time", { dateTime: at, textContent: at.replace("T", " ").replace("Z", "") }), ` ${event}${detail ? `: ${detail}` : ""}`)));
  }

  // Of training and of validation.
  pair(what, label) {
    lines($(what), label, [{ name: "training", paint: { class: "one" }, points: points(this.network, what) },
      { name: "validation", paint: { class: "two" }, points: points(this.network, `validation_${what}`) }], { band: true });
  }

  // A figure for each other column: the client's own beside loss and accuracy, the rest where who wants them opens them.
  others(called) {
    const names = Object.keys(this.network.columns).filter((name) => !MAIN.has(name));
    for (const [box, own] of [[$("own"), true], [$("more-curves"), false]]) {
      const wanted = names.filter((name) => own === !(name in TITLES));
      const kept = new Map([...box.children].map((figure) => [figure.id, figure]));
      box.replaceChildren(...wanted.map((name) => kept.get(`curve-${name}`) ??
        make("figure", { id: `curve-${name}` }, make("figcaption", { textContent: TITLES[name] ?? name }))));
      box.hidden = !wanted.length;
      for (const [i, name] of wanted.entries())
        lines($(`curve-${name}`), `${TITLES[name] ?? name} of ${called} over the steps`,
          [{ name, paint: own ? { stroke: hue(i) } : { class: "one" }, points: points(this.network, name) }], { band: true, logarithmic: LOGARITHMIC.has(name) });
    }
    $("more-box").hidden = $("more-curves").hidden;
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
    if (!chosen) {
      put($("histograms"), null);
      $("histograms").hidden = false; // for another choice
      return;
    }
    const used = [...chosen.steps.values()].reduce((sum, counts) => sum.map((each, i) => each + counts[i]), new Array(64).fill(0));
    const first = used.findIndex((each) => each > 0), last = 63 - [...used].reverse().findIndex((each) => each > 0);
    const rows = [];
    for (let bin = last; bin >= first && first >= 0; bin--) {
      const edge = (at) => (this.edges[at] ? this.edges[at].toExponential(0) : "0");
      const low = bin ? edge(bin - 1) : "below", high = bin < 63 ? edge(bin) : "above";
      rows.push({ name: (last - bin) % 3 ? "" : low, title: `from ${low} to ${high}`, points: [...chosen.steps].sort(([a], [b]) => a - b).map(([step, counts]) => [step, counts[bin], counts[bin], counts[bin], 0]) });
    }
    cells($("histograms"), `Distribution of ${$("kind").value} of ${chosen.name} over ${chosen.steps.size} steps`, rows,
      { height: TOP_AND_BOTTOM + Math.max(rows.length, 8) * 9, value: Math.log1p, says: (count) => `${count} numbers`, names: false });
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
    let due = false, busy = false, failed = null, next = 0;
    const redraw = setInterval(async () => {
      if (!due || busy || performance.now() < next) return;
      due = false;
      busy = true;
      try { await this.refresh(); this.show(); } catch (error) { failed = error; this.leaving.abort(); }
      busy = false;
      next = performance.now() + 4 * this.took; // what takes long is done rarely
    }, REDRAW_MS);
    try {
      for await (const [id] of events(`/v1/jobs/${this.id}/events`, String(this.job.revision), this.leaving.signal)) due = id !== "";
    } catch (error) {
      if (view === this) {
        this.leaving = new AbortController();
        say("polling");
        await pause(POLL_MS);
      }
      if (failed) throw failed;
    } finally {
      clearInterval(redraw);
    }
  }
}

// ---- the job's facts

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
  if (chosen.includes(job.id)) link.setAttribute("aria-current", "page");
  if (job.state === "running" && job.progress.steps)
    link.append(make("progress", { max: 1, value: job.progress.fraction ?? 0, ariaLabel: `Progress of ${job.name || job.id}` }));
  const box = make("input", { type: "checkbox", value: job.id, checked: chosen.length > 1 && chosen.includes(job.id), ariaLabel: `Compare ${job.name || job.id}` });
  box.addEventListener("change", () => compare(job.id, box.checked));
  return make("li", {}, link, make("label", { title: "Compare" }, box));
}

// Ticks a job for comparison, or takes it out; the one that is looked at is the first.
function compare(id, wanted) {
  const ids = chosen.filter((each) => each !== id);
  if (wanted) ids.push(id);
  location.hash = ids.join(",");
}

async function list() {
  const jobs = [];
  let next = "";
  for (let page = 0; page < pages && next !== null; page++) {
    const answer = await read(`/v1/jobs?limit=${PAGE}${next ? `&cursor=${next}` : ""}`);
    jobs.push(...answer.jobs);
    next = answer.next;
  }
  const href = document.activeElement?.getAttribute?.("href"), ticked = document.activeElement?.value;
  $("jobs").replaceChildren(...jobs.map(entry));
  if (href) $("jobs").querySelector(`[href="${href}"]`)?.focus();
  else if (ticked) $("jobs").querySelector(`[value="${ticked}"]`)?.focus();
  $("more").hidden = next === null;
  $("none").hidden = jobs.length > 0;
  document.querySelector("main").classList.toggle("empty", jobs.length === 0);
  if (!jobs.length) say("ready");
  if (!chosen.length && jobs.length) choose([jobs[0].id]);
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

function choose(ids) {
  const id = ids.join(",");
  if (view?.id === id) return;
  view?.stop();
  chosen = ids;
  $("job").hidden = $("comparison").hidden = true;
  $("log").textContent = "";
  view = ids.length > 1 ? new Comparison(ids) : new View(id);
  view.run();
  for (const link of $("jobs").querySelectorAll("a"))
    chosen.includes(link.getAttribute("href").slice(1)) ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  for (const box of $("jobs").querySelectorAll("input")) box.checked = chosen.length > 1 && chosen.includes(box.value);
}

const fromHash = () => location.hash.length > 1 && choose(location.hash.slice(1).split(",").slice(0, 50));

$("hint").textContent = `curl --json '{"dataset": {"generator": "spirals"}, "model": {"layers": [{"units": 32, "activation": "sigmoid"}]}}' ${location.origin}/v1/jobs`;
$("more").addEventListener("click", () => { pages++; list(); });
for (const id of ["kind", "layer"]) $(id).addEventListener("change", () => view?.distribution?.());
$("more-box").addEventListener("toggle", () => view?.show());
$("log-box").addEventListener("toggle", () => view?.readLog?.());
$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value);
  $("login").hidden = true;
  list().then(() => view?.run(), () => {});
});
addEventListener("hashchange", fromHash);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view?.show());
addEventListener("resize", () => view?.show());
fromHash();
keepListing();
