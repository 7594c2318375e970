// The live part: a picture after the other, each asked for when the last has arrived, and the
// state of the service once a second. While the page is hidden it asks for nothing.

import { Editor, toToml } from "./shapes.js";

const STATE_MS = 1000, AGAIN_MS = 2000;
const DONE = { appear: "appeared", disappear: "disappeared", enter: "entered", leave: "left", cross: "crossed", dwell: "stays in" };
const id = (name) => document.getElementById(name);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const fixed = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));

let camera = new URLSearchParams(location.search).get("camera") || "";
let left = new AbortController(); // ends what is asked of the camera before
let before = null; // the state of a moment ago
let listed = null; // the shapes that the list was made of
let told = ""; // the events that are listed

const editor = new Editor(id("overlay"), showShapes);

function make(name, text, attributes = {}) {
  const node = Object.assign(document.createElement(name), attributes);
  if (text !== undefined) node.textContent = text;
  return node;
}

function fill(table, rows) {
  id(table).tBodies[0].replaceChildren(...rows.map(([head, ...cells]) => {
    const row = make("tr");
    row.append(make("th", head, { scope: "row" }), ...cells.map((cell) => make("td", cell)));
    return row;
  }));
}

async function visible() {
  while (document.hidden) await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
}

async function showPictures() {
  for (let number = 0, from = camera; ; await visible()) {
    if (from !== camera) [number, from] = [0, camera];
    try {
      const reply = await fetch(`snapshot.jpg?zones=no&camera=${encodeURIComponent(camera)}&after=${number}`, { signal: left.signal });
      if (!reply.ok) throw new Error(await reply.text());
      const picture = await reply.blob();
      if (from !== camera) continue;
      number = reply.headers.get("X-Picture");
      const last = id("picture").src;
      id("picture").src = URL.createObjectURL(picture);
      await id("picture").decode().catch(() => {});
      URL.revokeObjectURL(last);
    } catch {
      if (from === camera) await sleep(AGAIN_MS);
    }
  }
}

// Nothing of the camera before is left: zones would be drawn onto its picture.
function choose(name) {
  camera = name;
  left.abort();
  left = new AbortController();
  URL.revokeObjectURL(id("picture").src);
  id("picture").removeAttribute("src");
  editor.cancel();
  history.replaceState(null, "", camera ? `?camera=${encodeURIComponent(camera)}` : "./");
}

async function showStates() {
  for (;; await sleep(STATE_MS)) {
    await visible();
    try {
      const asked = camera;
      const reply = await fetch(`state.json${camera ? `?camera=${encodeURIComponent(camera)}` : ""}`);
      if (asked !== camera) continue;
      if (reply.status === 404 && camera) choose(""); // one that has gone
      else if (!reply.ok) throw new Error(await reply.text());
      else show(await reply.json());
    } catch (error) {
      tell("bad", error instanceof TypeError ? "no connection to the device" : error.message);
    }
  }
}

function tell(kind, text) {
  if (id("health").textContent === text) return;
  id("health").className = kind;
  id("health").textContent = text;
}

function show(state) {
  const isFirst = !before;
  camera = state.camera;
  document.title = `${state.device}: ${camera}`;
  id("device").textContent = state.device;
  id("model").textContent = state.model;
  id("chooser").hidden = state.cameras.length < 2;
  if ([...id("camera").options].map((each) => each.value).join() !== state.cameras.join()) {
    id("camera").replaceChildren(...state.cameras.map((name) => make("option", name, { value: name })));
  }
  id("camera").value = camera;
  showHealth(state);
  showRows(state);
  showEvents(state);
  before = state;
  editor.load(state);
  showShapes();
  if (isFirst) showPictures();
}

function showHealth({ paused, trouble, health }) {
  if (paused) tell("", "paused");
  else if (trouble) tell("bad", trouble);
  else if (health && health.state !== "ok") tell("bad", `${health.state}: ${health.reason}`);
  else tell("good", health ? "camera ok" : "live");
}

// What stays as it was is not read out again, nor scrolled.
function showEvents({ events }) {
  const news = events.map((each) => each.id).join();
  if (news !== told) id("events").replaceChildren(...events.map(eventItem));
  told = news;
}

function showRows(state) {
  fill("seen", state.seen.map((each) => (each.text ? [each.text] : [
    each.label, each.score.toFixed(2), each.track_id === undefined ? "" : `#${each.track_id}`, each.stationary ? "rests" : "",
  ])));
  fill("times", Object.entries(state.stage_ms).map(([stage, values]) => [stage, ...values.map((value) => value.toFixed(2))]));
  const same = before && before.camera === state.camera && state.frames >= before.frames;
  const rate = same ? (state.frames - before.frames) / (state.now_s - before.now_s) : null;
  fill("board", [
    ["frames a second", fixed(rate, 1)],
    ["frames", `${state.frames}, ${state.dropped_frames} dropped`],
    ["memory", `${fixed(state.resident_mib, 0)} MiB`],
    ["temperature", state.temperature_c === null ? "no sensor" : `${fixed(state.temperature_c, 1)} °C`],
    ["throttled", state.throttled === null ? "not told" : state.throttled.join(", ") || "no"],
    ["up", `${fixed(state.uptime_s / 3600, 1)} h`],
  ]);
}

function eventItem(event) {
  const when = new Date((event.ended_utc_ns || event.started_utc_ns) / 1e6);
  const item = make("li"), isToday = when.toDateString() === new Date().toDateString();
  item.append(
    make("time", isToday ? when.toLocaleTimeString() : when.toLocaleString(), { dateTime: when.toISOString() }),
    [event.label, `#${event.track_id}`, DONE[event.kind] || event.kind, event.zone, event.direction].filter(Boolean).join(" "),
  );
  return item;
}

function showShapes() {
  const draft = editor.draft;
  for (const button of document.querySelectorAll("[data-draw]")) {
    button.setAttribute("aria-pressed", draft !== null && draft.kind === button.dataset.draw);
  }
  id("finish").hidden = !editor.mayFinish;
  id("cancel").hidden = draft === null;
  id("hint").textContent = editor.hint;
  id("apply").disabled = id("revert").disabled = !editor.dirty;
  const toml = toToml(editor.shapes);
  id("toml").value = toml || "# nothing is drawn yet";
  // While one is named or moved the list stays: its fields show that by themselves.
  if (listed !== editor.shapes) id("shapes").replaceChildren(...editor.shapes.map(shapeItem));
  listed = editor.shapes;
}

function shapeItem(shape) {
  const item = make("li", shape.kind);
  if (shape.kind !== "mask") {
    const name = make("input", undefined, { value: shape.fields.name, pattern: "[A-Za-z0-9_\\-]{1,64}", required: true, ariaLabel: `name of the ${shape.kind}` });
    name.addEventListener("input", () => { shape.fields.name = name.value; editor.change(); });
    item.append(name);
  }
  const anchor = make("select", undefined, { ariaLabel: "what of an object counts" });
  for (const value of shape.kind === "line" ? ["bottom", "center"] : ["bottom", "center", "overlap"]) anchor.append(make("option", value));
  anchor.value = shape.fields.anchor || "bottom";
  anchor.addEventListener("change", () => { shape.fields.anchor = anchor.value; editor.change(); });
  const remove = make("button", "Remove", { type: "button", ariaLabel: `remove ${shape.fields.name || shape.kind}` });
  remove.addEventListener("click", () => editor.remove(shape));
  item.append(anchor, remove);
  return item;
}

async function apply() {
  id("said").textContent = "…";
  const reply = await fetch(`apply?onto=${editor.onto}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ...editor.asTables(), save: id("save").checked }),
  }).catch(() => null);
  if (!reply) { id("said").textContent = "no connection to the device"; return; }
  const text = await reply.text();
  let said = { ok: false, message: text };
  try { said = JSON.parse(text); } catch { /* a sentence */ }
  if (said.ok) editor.dirty = false;
  if (reply.status === 412) editor.onto = before.places; // told, and asked again
  id("said").textContent = said.message;
  showShapes();
}

// Not the browser's newer clipboard: that is for pages of https and of this machine only.
function copy() {
  id("toml").select();
  id("said").textContent = document.execCommand("copy") ? "copied" : "marked: copy it with Ctrl C";
}

for (const button of document.querySelectorAll("[data-draw]")) {
  button.addEventListener("click", () => {
    if (editor.draft && editor.draft.kind === button.dataset.draw) editor.cancel();
    else editor.begin(button.dataset.draw);
  });
}
id("finish").addEventListener("click", () => editor.finish());
id("cancel").addEventListener("click", () => editor.cancel());
id("apply").addEventListener("click", apply);
id("copy").addEventListener("click", copy);
id("revert").addEventListener("click", () => {
  editor.dirty = false;
  editor.onto = null;
  editor.load(before);
  showShapes();
});
id("camera").addEventListener("change", (event) => choose(event.target.value));
showStates();
