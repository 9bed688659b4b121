// Talking to the server, with the access token where it asks for one.
export const $ = (id) => document.getElementById(id);
export const pause = (ms) => new Promise((done) => setTimeout(done, ms));
export const say = (text) => { if ($("status").textContent !== text) $("status").textContent = text; };
export const POLL_MS = 2000;

export class Refused extends Error {
  constructor(status) { super(`the server answered ${status}`); this.status = status; }
}

export async function ask(path, { accept = "application/json", known = null, signal = undefined } = {}) {
  const headers = { Accept: accept };
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = `Bearer ${token}`;
  if (known) headers["If-None-Match"] = known;
  const answer = await fetch(path, { headers, signal, cache: "no-store" });
  if (answer.status === 401 || answer.status === 403) $("login").hidden = false;
  if (!answer.ok && answer.status !== 304) throw new Refused(answer.status);
  return answer;
}

export const read = async (path) => (await ask(path)).json();

// Buckets enough for the page's width: a history of any length is read and drawn in no more points than that.
export const fitting = () => Math.max(200, Math.min(1600, document.querySelector("main").clientWidth));

// The events of a stream until it ends; each is [id, text].
export async function* events(path, last, signal) {
  const answer = await ask(last ? `${path}?after=${last}` : path, { accept: "text/event-stream", signal });
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
