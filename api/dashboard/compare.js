// Several jobs side by side: their newest figures, and each curve once for all of them.
import { LOGARITHMIC, TITLES, hue, lines, make, number, points, share } from "./dashboard-charts.js";
import { $, POLL_MS, Refused, ask, fitting, pause, read, say } from "./dashboard-server.js";

const MAIN = { loss: "Loss", validation_loss: "Validation loss", accuracy: "Accuracy", validation_accuracy: "Validation accuracy" };
const CURVES = { ...MAIN, ...TITLES };
const over = (job) => ["succeeded", "failed", "cancelled"].includes(job.state);

export class Comparison {
  constructor(ids) {
    this.id = ids.join(",");
    this.ids = ids;
    this.jobs = [];
    this.tables = [];
    this.known = null; // the entity tag of the newest tables
    this.left = false;
  }

  stop() { this.left = true; }

  async refresh() {
    this.jobs = await Promise.all(this.ids.map((id) => read(`/v1/jobs/${id}`)));
    const answer = await ask(`/v1/metrics?job=${this.id}&max_points=${fitting()}`, { known: this.known });
    if (answer.status === 304) return;
    this.known = answer.headers.get("ETag");
    this.tables = (await answer.json()).jobs;
  }

  // [column, title] of the curves that any of the jobs has; those that their clients named come last.
  curves() {
    const names = new Set(this.tables.flatMap((table) => Object.keys(table.columns)));
    const known = Object.keys(CURVES).filter((name) => names.has(name)), own = [...names].filter((name) => !(name in CURVES)).sort();
    return [...known, ...own].map((name) => [name, CURVES[name] ?? name]);
  }

  show() {
    if (this.left || !this.jobs.length) return;
    $("job").hidden = true;
    $("comparison").hidden = false;
    $("compared").textContent = `${this.jobs.length} jobs compared`;
    const called = this.jobs.map((job) => job.name || job.id), twice = new Set(called.filter((name, i) => called.indexOf(name) !== i));
    const name = (i) => (twice.has(called[i]) ? `${called[i]} (${this.ids[i].slice(4, 9)})` : called[i]);
    $("figures").replaceChildren(...this.jobs.map((job, i) => this.row(job, name(i), i)));
    $("curves").replaceChildren(...this.curves().map(([column, title]) => make("figure", { id: `curve-${column}` }, make("figcaption", { textContent: title }))));
    for (const [column, title] of this.curves())
      lines($(`curve-${column}`), `${title} of ${this.jobs.length} jobs over the steps`,
        this.tables.map((table, i) => ({ name: name(i), paint: { stroke: hue(i) }, points: points(table, column) })), { logarithmic: LOGARITHMIC.has(column) });
  }

  row(job, name, i) {
    const { latest, result } = job, cell = (text) => make("td", { textContent: text });
    const mark = make("span", { className: "mark", textContent: "■ " });
    mark.style.color = hue(i);
    const state = make("span", { className: `state ${job.state}`, textContent: job.state });
    return make("tr", {}, make("td", {}, mark, make("a", { href: `#${job.id}`, textContent: name })), make("td", {}, state),
      cell(job.progress.step), cell(number(latest?.loss)), cell(share(latest?.accuracy)), cell(number(latest?.validation_loss)),
      cell(share(latest?.validation_accuracy)), cell(number(result?.seconds)));
  }

  async run() {
    while (!this.left) {
      try {
        await this.refresh();
        this.show();
        if (!this.left) say(this.jobs.every(over) ? "finished" : "live");
        if (this.jobs.every(over)) return;
      } catch (error) {
        if (this.left) return;
        say(error instanceof Refused ? error.message : "the server does not answer; trying again");
        if (error.status === 404 || error.status === 401) return;
      }
      await pause(POLL_MS);
    }
  }
}
