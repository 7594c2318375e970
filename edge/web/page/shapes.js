// Zones, lines and masks: drawn over the picture, listed, and written as TOML.
// Points are shares of the frame, as in the configuration.

const SVG = "http://www.w3.org/2000/svg";
const KINDS = ["zone", "line", "mask"];
const STEP = 0.01, NEAR_PX = 14;
const HINTS = {
  zone: "Click the corners; click the first one again, or Finish, to close. Keys: arrows move, space sets a point, Enter finishes, Backspace takes one back, Escape cancels.",
  line: "Click where the line begins, then where it ends. Keys: arrows move, space sets a point, Escape cancels.",
};
HINTS.mask = HINTS.zone;

const round = (value) => Math.round(Math.min(1, Math.max(0, value)) * 1000) / 1000;

export function toToml(shapes) {
  return shapes.map(({ kind, fields }) =>
    [`[[${kind}]]`, ...Object.entries(fields).map(([key, value]) => `${key} = ${tomlValue(value)}`), ""].join("\n"),
  ).join("\n");
}

function tomlValue(value) {
  if (Array.isArray(value)) return `[${value.map(tomlValue).join(", ")}]`;
  if (typeof value === "object") {
    return `{ ${Object.entries(value).map(([key, each]) => `${key} = ${tomlValue(each)}`).join(", ")} }`;
  }
  return JSON.stringify(value); // what JSON escapes in a text, TOML reads alike
}

export const pointsOf = ({ kind, fields }) => (kind === "line" ? [fields.from, fields.to] : fields.polygon);

function setPoints(shape, points) {
  if (shape.kind === "line") [shape.fields.from, shape.fields.to] = points;
  else shape.fields.polygon = points;
}

export class Editor {
  constructor(svg, changed) {
    this.svg = svg;
    this.changed = changed; // told after each change
    this.shapes = [];
    this.camera = "";
    this.several = false; // cameras
    this.counts = {};
    this.dirty = false;
    this.onto = null; // number of what the service had when these were drawn
    this.draft = null;
    this.cursor = null;
    this.size = [16, 9];
    svg.addEventListener("pointerdown", (event) => this.press(event));
    svg.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => { this.grip = null; });
    svg.addEventListener("keydown", (event) => this.key(event));
  }

  // Take what the service has, unless there are changes that it has not.
  load(state) {
    this.camera = state.camera;
    this.several = state.cameras.length > 1;
    this.counts = state.counts;
    this.size = state.size_wh[0] ? state.size_wh : [16, 9];
    if (!this.dirty && !this.grip && this.onto !== state.places) {
      this.shapes = KINDS.flatMap((kind) => state[kind].map((fields) => ({ kind, fields })));
      this.onto = state.places;
    }
    if (!this.grip) this.render();
  }

  // As the service takes them.
  asTables() {
    return Object.fromEntries(KINDS.map((kind) =>
      [kind, this.shapes.filter((each) => each.kind === kind).map((each) => each.fields)]));
  }

  change() {
    this.dirty = true;
    this.render();
    this.changed();
  }

  begin(kind) {
    this.draft = { kind, points: [] };
    this.cursor = null;
    this.svg.focus({ preventScroll: true });
    this.render();
    this.changed();
  }

  cancel() {
    this.draft = this.cursor = null;
    this.render();
    this.changed();
  }

  get hint() {
    return this.draft ? HINTS[this.draft.kind] : "Choose what to draw: a zone that objects enter, a line that they cross, or a mask in which nothing is seen.";
  }

  get mayFinish() {
    return this.draft !== null && this.draft.points.length >= (this.draft.kind === "line" ? 2 : 3);
  }

  finish() {
    if (!this.mayFinish) return;
    const { kind, points } = this.draft;
    const shape = { kind, fields: kind === "mask" ? {} : { name: this.freeName(kind) } };
    setPoints(shape, points);
    if (this.several) shape.fields.camera = this.camera;
    this.shapes = [...this.shapes, shape]; // another list is shown anew
    this.draft = this.cursor = null;
    this.change();
  }

  remove(shape) {
    this.shapes = this.shapes.filter((each) => each !== shape);
    this.change();
  }

  freeName(kind) {
    const names = this.shapes.map((each) => each.fields.name);
    let number = 1;
    while (names.includes(`${kind}-${number}`)) number += 1;
    return `${kind}-${number}`;
  }

  add(point) {
    const { kind, points } = this.draft;
    const last = points[points.length - 1];
    if (last && last[0] === point[0] && last[1] === point[1]) return; // the second half of a double click
    points.push(point);
    if (kind === "line" && points.length === 2) this.finish();
    else { this.render(); this.changed(); }
  }

  at(event) {
    const box = this.svg.getBoundingClientRect();
    return [round((event.clientX - box.left) / box.width), round((event.clientY - box.top) / box.height)];
  }

  press(event) {
    if (event.button || !event.isPrimary) return; // a menu, a second finger
    const grip = event.target.dataset;
    if (this.draft) {
      const first = this.draft.points[0];
      if (first && this.mayFinish && this.isNear(event, first)) this.finish();
      else this.add(this.at(event));
    } else if (grip.shape !== undefined) {
      this.grip = { shape: this.shapes[grip.shape], point: Number(grip.point) };
      this.svg.setPointerCapture(event.pointerId);
    }
  }

  isNear(event, [x, y]) {
    const box = this.svg.getBoundingClientRect();
    return Math.hypot(event.clientX - box.left - x * box.width, event.clientY - box.top - y * box.height) < NEAR_PX;
  }

  drag(event) {
    if (!this.grip) return;
    const points = [...pointsOf(this.grip.shape)];
    points[this.grip.point] = this.at(event);
    setPoints(this.grip.shape, points);
    this.change();
  }

  key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!this.draft || !(way || [" ", "Enter", "Backspace", "Escape"].includes(event.key))) return;
    event.preventDefault();
    const [x, y] = this.cursor || [0.5, 0.5];
    const far = event.shiftKey ? 5 * STEP : STEP;
    if (event.key === "Escape") this.cancel();
    else if (event.key === "Enter") this.finish();
    else if (event.key === "Backspace") this.draft.points.pop();
    else if (event.key === " ") this.add([x, y]);
    else this.cursor = [round(x + way[0] * far), round(y + way[1] * far)];
    this.render();
    this.changed();
  }

  render() {
    const [width, height] = this.size, px = width / (this.svg.clientWidth || width);
    const place = ([x, y]) => `${x * width},${y * height}`;
    const node = (name, attributes, text = "") => {
      const made = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      made.textContent = text;
      return made;
    };
    const outline = (points, look, open) =>
      node(open ? "polyline" : "polygon", { points: points.map(place).join(" "), class: `shape ${look}` });
    const grip = ([x, y], data = {}) => {
      const made = node("circle", { cx: x * width, cy: y * height, r: 8 * px, class: "grip" });
      Object.assign(made.dataset, data);
      return made;
    };
    // Beside a point, where all of it fits in.
    const text = ([x, y], said) => node("text", {
      x: x * width + (x < 0.6 ? 12 : -12) * px, y: Math.max(y * height - 12 * px, 16 * px), "font-size": 15 * px, "text-anchor": x < 0.6 ? "start" : "end",
    }, said);
    // From the middle of a line to the side that its first word is for: to the right of who looks along it.
    const way = ({ from, to, words = ["in"] }) => {
      const [dx, dy] = [(to[0] - from[0]) * width, (to[1] - from[1]) * height], far = 28 * px / (Math.hypot(dx, dy) || 1);
      const middle = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
      const end = [middle[0] - dy * far / width, middle[1] + dx * far / height];
      return [outline([middle, end], "line", true), text(end, words[0])];
    };
    const nodes = this.shapes.flatMap((shape, number) => {
      const { kind, fields } = shape, points = pointsOf(shape);
      if (fields.camera && fields.camera !== this.camera) return [];
      const counts = Object.entries(this.counts[fields.name] || {}).filter(([, count]) => count);
      return [
        outline(points, kind, kind === "line"),
        text(points[0], [fields.name || kind, ...counts.map(([label, count]) => `${label} ${count}`)].join(" · ")),
        ...(kind === "line" ? way(fields) : []),
        ...points.map((point, index) => grip(point, { shape: number, point: index })),
      ];
    });
    if (this.draft) nodes.push(outline(this.draft.points, "draft", true), ...this.draft.points.map((each) => grip(each)));
    if (this.cursor) {
      const [x, y] = [this.cursor[0] * width, this.cursor[1] * height];
      nodes.push(node("path", { d: `M${x} 0V${height}M0 ${y}H${width}`, class: "cursor" }));
    }
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.classList.toggle("drawing", this.draft !== null);
    this.svg.parentElement.style.aspectRatio = `${width} / ${height}`;
    this.svg.replaceChildren(...nodes);
  }
}
