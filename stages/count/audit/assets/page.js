const data = JSON.parse(document.getElementById("data").textContent);
const served = location.protocol === "http:";
const WHY = {nothing: "nothing crossed", double: "counted twice", direction: "wrong direction", class: "wrong class"};
const SCALE = 1.5;
let marks = data.marks;
let chosen = null;
const views = [];

function make(name, attributes = {}, ...children) {
  const svg = ["svg", "g", "circle", "path", "rect", "text", "title"].includes(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

function plural(number, thing) {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}

// ---- keeping

let saving = false, again = false;
const key = `sightline-audit-${data.title}-${data.windows.length ? data.windows[0].id : ""}`;

function say(text, bad = false) {
  const place = document.getElementById("saved");
  place.textContent = text;
  place.classList.toggle("bad", bad);
}

async function keep() {
  if (!served) {
    try { localStorage.setItem(key, JSON.stringify(marks)); } catch { /* a browser that keeps nothing */ }
    say("this page is a plain file: download the marks when you are done");
    return;
  }
  if (saving) { again = true; return; }
  saving = true;
  try {
    do {
      again = false;
      say("saving");
      const answer = await fetch("marks", {method: "PUT", body: JSON.stringify(marks), headers: {"Content-Type": "application/json"}});
      const told = await answer.json();
      if (!answer.ok) {
        say(`not saved: ${told.error}${answer.status === 409 ? "; load this page again" : ""}`, true);
        return;
      }
      marks.revision = told.revision;
      say(`saved ${new Date().toLocaleTimeString()}`);
    } while (again);
  } catch {
    say("not saved: sightline audit has ended; start it again, or download the marks", true);
  } finally {
    saving = false;
  }
}

function changed() {
  showAll();
  keep();
}

function download() {
  const url = URL.createObjectURL(new Blob([JSON.stringify(marks, null, 1) + "\n"], {type: "application/json"}));
  const link = make("a", {href: url, download: "marks.json"});
  link.click();
  URL.revokeObjectURL(url);
}

async function load(file) {
  try {
    const read = JSON.parse(await file.text());
    if (read.format !== 1 || typeof read.counts !== "object" || !Array.isArray(read.missed) || !Array.isArray(read.reviewed))
      throw new Error();
    marks = {...read, revision: marks.revision};
    changed();
  } catch {
    say(`${file.name} holds no marks`, true);
  }
}

// ---- marking

function mark(id, verdict, why = null) {
  if (verdict === null) delete marks.counts[id];
  else marks.counts[id] = verdict === "wrong" ? {verdict, why: why || "nothing"} : {verdict, why: null};
  changed();
}

function toggleReviewed(window) {
  if (isReviewed(window, marks)) marks.reviewed = marks.reviewed.filter(id => id !== window.id);
  else {
    for (const count of window.counts) marks.counts[count.id] ??= {verdict: "right", why: null};
    if (!marks.reviewed.includes(window.id)) marks.reviewed.push(window.id);
  }
  changed();
}

function choose(id, {scroll = true} = {}) {
  chosen = id;
  showAll();
  const card = document.getElementById(`card-${id}`);
  if (scroll && card) card.scrollIntoView({block: "nearest", behavior: "smooth"});
}

function step(by) {
  const ids = views.filter(view => !view.node.hidden).flatMap(view => view.window.counts.map(count => count.id));
  if (!ids.length) return;
  const at = ids.indexOf(chosen);
  choose(ids[Math.min(Math.max(at < 0 ? 0 : at + by, 0), ids.length - 1)]);
}

// ---- a window

// Slits are laid side by side; between two of them time is interpolated.
function columnOf(strip, ms) {
  const times = strip.times_ms;
  let at = 0;
  while (at + 1 < times.length && times[at + 1] <= ms) at++;
  const step = at + 1 < times.length ? times[at + 1] - times[at] : Infinity;
  return (at + Math.min(Math.max((ms - times[at]) / step, 0), 1)) * strip.across;
}

function msOf(strip, column) {
  const at = Math.min(Math.max(column / strip.across, 0), strip.times_ms.length - 1);
  const before = Math.floor(at), after = Math.min(before + 1, strip.times_ms.length - 1);
  return strip.times_ms[before] + (strip.times_ms[after] - strip.times_ms[before]) * (at - before);
}

class View {
  constructor(window) {
    this.window = window;
    const name = data.several ? `${window.stream} / ${window.line}` : window.line;
    this.direction = make("select", {"aria-label": "direction of missed ones"}, ...window.directions.map(one => make("option", {}, one)));
    const labels = [...new Set([...window.labels, ...data.windows.flatMap(other => other.labels), ""])];
    this.label = make("select", {"aria-label": "class of missed ones"}, ...labels.map(one => make("option", {value: one}, one || "(no class)")));
    this.reviewed = make("button", {type: "button", class: "reviewed", onclick: () => toggleReviewed(window)}, "Looked through");
    this.cards = window.counts.map(count => new Card(count));
    this.summary = make("span", {});
    const bar = make("div", {class: "bar"}, make("h2", {}, `${name} · ${window.time} – ${window.end}`), this.summary, make("span", {class: "spacer"}));
    if (window.strip) bar.append("missed ones go ", this.direction, this.label);
    bar.append(this.reviewed);
    this.node = make("section", {class: "window", "data-window": window.id}, bar);
    if (window.strip) this.node.append(make("div", {class: "scroll"}, this.makeStrip(), this.makeAxis()));
    else this.node.append(make("p", {class: "small"}, "No strip was kept of this time: what was missed cannot be seen."));
    this.node.append(make("div", {class: "cards"}, ...this.cards.map(card => card.node)));
  }

  makeStrip() {
    const strip = this.window.strip;
    this.width = strip.times_ms.length * strip.across;
    this.svg = make("svg", {viewBox: `0 0 ${this.width * SCALE} ${strip.rows * SCALE}`, preserveAspectRatio: "none"});
    const box = make("div", {class: "strip", onclick: event => this.clicked(event)}, make("img", {src: strip.src, alt: `${this.window.line} over time`}), this.svg);
    box.style.width = `${this.width * SCALE}px`;
    box.style.height = `${strip.rows * SCALE}px`;
    return box;
  }

  makeAxis() {
    const strip = this.window.strip, axis = make("div", {class: "axis"});
    axis.style.width = `${this.width * SCALE}px`;
    const end = strip.times_ms.at(-1);
    const every = [1000, 2000, 5000, 10000, 30000].find(one => end / one <= 12) || 60000;
    for (let ms = 0; ms <= end; ms += every) {
      const tick = make("span", {}, ms ? `+${ms / 1000} s` : this.window.time.slice(11));
      tick.style.left = `${columnOf(strip, ms) * SCALE}px`;
      axis.append(tick);
    }
    return axis;
  }

  clicked(event) {
    const box = event.currentTarget.getBoundingClientRect(), strip = this.window.strip;
    const column = (event.clientX - box.left) / box.width * this.width;
    const along = Math.min(Math.max((event.clientY - box.top) / box.height, 0), 1);
    marks.missed.push({
      window: this.window.id,
      time_ms: this.window.begin_ms + msOf(strip, column),
      along: Math.round(along * 10000) / 10000,
      direction: this.direction.value,
      label: this.label.value,
    });
    changed();
  }

  show() {
    const window = this.window, done = isReviewed(window, marks);
    this.node.classList.toggle("done", done);
    this.node.hidden = document.getElementById("open-only").checked && done && !window.counts.some(count => count.id === chosen);
    this.reviewed.setAttribute("aria-pressed", done);
    const missed = marks.missed.filter(one => one.window === window.id);
    this.summary.textContent = `${window.counts.length} counted` + (missed.length ? `, ${missed.length} missed` : "");
    for (const card of this.cards) card.show();
    if (window.strip) this.drawMarks(missed);
  }

  drawMarks(missed) {
    const strip = this.window.strip;
    const x = ms => columnOf(strip, ms) * SCALE, y = along => (along ?? 0.5) * strip.rows * SCALE;
    const shapes = strip.suspended.map(([from, to, why]) => make("g", {},
      make("rect", {class: "suspended", x: x(from), y: 0, width: Math.max(x(to) - x(from), 2), height: strip.rows * SCALE}),
      make("text", {x: x(from) + 3, y: 12}, `suspended: ${why}`)));
    for (const count of this.window.counts) {
      const verdict = marks.counts[count.id]?.verdict ?? "open";
      const turn = count.direction === this.window.directions[0] ? 0 : 180;
      shapes.push(make("g", {
        class: `count ${verdict}${count.id === chosen ? " chosen" : ""}`, "data-id": count.id,
        transform: `translate(${x(count.ms)} ${y(count.along)})`,
        onclick: event => { event.stopPropagation(); choose(count.id); },
      }, make("title", {}, `${count.time} ${count.label} ${count.direction}`), make("circle", {r: 9}), make("path", {d: "M -4 -2 L 0 3 L 4 -2", transform: `rotate(${turn})`})));
    }
    for (const one of missed) {
      const cx = x(one.time_ms - this.window.begin_ms), cy = y(one.along);
      shapes.push(make("path", {
        class: "missed", d: `M ${cx} ${cy - 9} L ${cx + 9} ${cy} L ${cx} ${cy + 9} L ${cx - 9} ${cy} Z`,
        onclick: event => { event.stopPropagation(); marks.missed = marks.missed.filter(other => other !== one); changed(); },
      }, make("title", {}, `missed: ${one.label} ${one.direction}; click to take it away`)));
    }
    this.svg.replaceChildren(...shapes);
  }
}

class Card {
  constructor(count) {
    this.count = count;
    this.look = make("div", {class: "look"});
    this.right = make("button", {type: "button", class: "is-right", onclick: () => this.set("right")}, "right");
    this.wrong = make("button", {type: "button", class: "is-wrong", onclick: () => this.set("wrong")}, "wrong");
    this.why = make("select", {"aria-label": "what is wrong", onchange: () => mark(count.id, "wrong", this.why.value)},
      ...Object.entries(WHY).map(([value, text]) => make("option", {value}, text)));
    const row = make("div", {class: "row"}, this.right, this.wrong);
    if (count.clip) row.append(make("button", {type: "button", onclick: () => this.play()}, "clip"));
    this.node = make("div", {class: "card", id: `card-${count.id}`, "data-id": count.id, onclick: () => { if (chosen !== count.id) choose(count.id, {scroll: false}); }},
      this.look, make("div", {}, count.time), make("div", {class: "small"}, `${count.label} · ${count.direction}`), row, make("div", {class: "row"}, this.why));
    this.still();
  }

  set(verdict) {
    const now = marks.counts[this.count.id]?.verdict;
    mark(this.count.id, now === verdict ? null : verdict);
  }

  still() {
    this.look.replaceChildren(this.count.crop ? make("img", {src: this.count.crop, alt: this.count.label}) : make("span", {class: "none"}, "no snapshot"));
  }

  play() {
    if (!this.count.clip) return;
    if (this.look.querySelector("video")) { this.still(); return; }
    const video = make("video", {src: this.count.clip, autoplay: true, loop: true, controls: true, playsinline: true});
    video.muted = true;
    this.look.replaceChildren(video);
  }

  show() {
    const kept = marks.counts[this.count.id], verdict = kept?.verdict ?? "";
    this.node.className = `card ${verdict}${this.count.id === chosen ? " chosen" : ""}`;
    this.right.setAttribute("aria-pressed", verdict === "right");
    this.wrong.setAttribute("aria-pressed", verdict === "wrong");
    this.why.parentElement.hidden = verdict !== "wrong";
    this.why.parentElement.style.display = verdict === "wrong" ? "" : "none";
    if (kept?.why) this.why.value = kept.why;
  }
}

// ---- figures

function percent(value, interval, signed = false) {
  if (value === null || interval === null) return "–";
  const text = one => `${signed && one >= 0 ? "+" : ""}${(one * 100).toFixed(1)} %`;
  return `${text(value)} (${text(interval[0])} to ${text(interval[1])})`;
}

function showFigures() {
  const report = judge(data.windows, marks, data.several);
  const row = (name, one) => make("tr", {}, ...[name, one.counts, one.right, one.wrong, one.missed,
    percent(one.precision, one.precision_interval), percent(one.recall, one.recall_interval),
    percent(one.count_error, one.count_error_interval, true)].map(cell => make("td", {}, String(cell))));
  const rows = [row("all", report.total)];
  for (const [kind, members] of Object.entries(report.by)) {
    rows.push(make("tr", {class: "group"}, make("td", {}, `by ${kind}`)));
    for (const [name, one] of Object.entries(members)) rows.push(row(name, one));
  }
  document.querySelector("#accuracy tbody").replaceChildren(...rows);
  document.getElementById("progress").textContent =
    `${report.total.right + report.total.wrong} of ${report.total.counts} counts marked, ` +
    `${report.reviewed_windows} of ${report.windows} windows looked through`;
}

function showAll() {
  for (const view of views) view.show();
  showFigures();
}

// ---- begin

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || ["SELECT", "INPUT"].includes(event.target.tagName)) return;
  const view = views.find(one => one.window.counts.some(count => count.id === chosen));
  const card = view?.cards.find(one => one.count.id === chosen);
  const does = {
    ArrowRight: () => step(1), ArrowLeft: () => step(-1),
    r: () => card && mark(chosen, "right"), w: () => card && mark(chosen, "wrong"), u: () => card && mark(chosen, null),
    p: () => card?.play(), l: () => view && toggleReviewed(view.window),
  }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!does) return;
  event.preventDefault();
  does();
}

async function begin() {
  document.getElementById("title").textContent = data.title;
  document.title = `audit of ${data.title}`;
  const shown = data.windows.reduce((sum, window) => sum + window.counts.length, 0);
  document.getElementById("scope").textContent =
    (shown === data.all_counts && data.windows.length === data.all_windows
      ? `All ${plural(shown, "count")} in ${plural(data.windows.length, "window")} of time.`
      : `A random sample: ${shown} of ${data.all_counts} counts, ${data.windows.length} of ${data.all_windows} windows of time.`) +
    ` Times are ${data.zone}.`;
  document.getElementById("download").addEventListener("click", download);
  document.getElementById("load").addEventListener("change", event => event.target.files[0] && load(event.target.files[0]));
  document.getElementById("open-only").addEventListener("change", showAll);
  document.addEventListener("keydown", onKey);
  for (const window of data.windows) views.push(new View(window));
  document.getElementById("windows").append(...views.map(view => view.node));
  if (served) {
    try {
      marks = await (await fetch("marks")).json();
    } catch {
      say("the marks cannot be read: sightline audit has ended", true);
    }
  } else {
    try {
      const kept = JSON.parse(localStorage.getItem(key));
      if (kept && kept.revision >= marks.revision) marks = kept;
    } catch { /* nothing was kept */ }
  }
  showAll();
}

begin();
