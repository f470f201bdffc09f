"use strict";
// Truth and predictions along a test row: one row at a time, moved and zoomed by buttons, keys and pointer.
(() => {
  const WIDTH = 960, LEFT = 156, SPAN = WIDTH - LEFT - 12, TRACK = 46, HEIGHT = 36, TOP = 8;
  const ABSENT = 25; // the letter z
  const escape = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
  const comma = (number) => Math.round(number).toLocaleString("en-US");

  const runs = (text) => {
    const found = [];
    for (const [, letter, length] of text.matchAll(/([a-z])([0-9A-Z]+)/g)) {
      found.push(new Uint8Array(parseInt(length, 36)).fill(letter.charCodeAt(0) - 97));
    }
    const all = new Uint8Array(found.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of found) { all.set(part, at); at += part.length; }
    return all;
  };
  const levels = (text) => {
    const [top, packed] = text.split(":");
    return Float32Array.from(atob(packed), (c) => (c.charCodeAt(0) / 255) * Number(top));
  };

  for (const figure of document.querySelectorAll("figure.locus")) {
    const data = JSON.parse(figure.querySelector("script").textContent);
    const tools = figure.querySelector(".tools");
    const svg = figure.querySelector("svg.tracks");
    const said = figure.querySelector("output");
    const choice = tools.querySelector("select");
    let row = 0, from = 0, to = 1, length = 1, truth = [], models = [];

    const place = (k) => {
      const [, , first, step] = data.rows[row];
      return data.labels ? data.labels[k] ?? "" : comma(first + step * k);
    };
    const names = (k) => (k === ABSENT ? "not known" : data.classes ? data.classes[k] : k ? "on" : "off").replaceAll("_", " ");

    // What a column of pixels shows: the most frequent class, and whether it holds one that is drawn as a tick; the
    // highest of probabilities, so that no peak is lost.
    const columns = () => Math.max(1, Math.min(SPAN, Math.ceil(to) - Math.floor(from)));
    const edges = (c, count) => {
      const a = Math.floor(from + ((to - from) * c) / count);
      return [a, Math.max(a + 1, Math.floor(from + ((to - from) * (c + 1)) / count))];
    };
    const look = (k) => (data.classes ? (data.looks[k] ?? null) : k === 1 ? ["box", "enhancer"] : null);
    const boxes = (values) => {
      const count = columns(), width = SPAN / count, shown = [], ticks = [];
      for (let c = 0; c < count; c += 1) {
        const [a, b] = edges(c, count), seen = new Map();
        let tick = null;
        for (let k = a; k < Math.min(b, length); k += 1) {
          const how = look(values[k]);
          if (how && how[0] === "tick") tick = how[1];
          else seen.set(values[k], (seen.get(values[k]) ?? 0) + 1);
        }
        shown.push([...seen].reduce((best, one) => (one[1] > best[1] ? one : best), [null, 0])[0]);
        if (tick) ticks.push(`<rect class="${tick}" x="${(LEFT + c * width).toFixed(1)}" y="3" width="${Math.max(width, 2).toFixed(1)}" height="30"/>`);
      }
      let text = `<line class="rule" x1="${LEFT}" x2="${LEFT + SPAN}" y1="18" y2="18"/>`;
      for (let c = 0; c < count; ) {
        let end = c + 1;
        while (end < count && shown[end] === shown[c]) end += 1;
        const how = shown[c] === null ? null : look(shown[c]);
        if (how) {
          const [y, height] = how[0] === "line" ? [16.5, 3] : [8, 20];
          text += `<rect class="${how[1]}" x="${(LEFT + c * width).toFixed(1)}" y="${y}" width="${Math.max((end - c) * width, 1).toFixed(1)}" height="${height}"/>`;
        }
        c = end;
      }
      return text + ticks.join("");
    };
    const bars = (values, top, series) => {
      const count = columns(), width = SPAN / count;
      let text = `<line class="rule" x1="${LEFT}" x2="${LEFT + SPAN}" y1="${HEIGHT}" y2="${HEIGHT}"/>`;
      for (let c = 0; c < count; c += 1) {
        const [a, b] = edges(c, count);
        let most = 0;
        for (let k = a; k < Math.min(b, length); k += 1) most = Math.max(most, values[k]);
        const tall = (HEIGHT * most) / top;
        const thick = Math.max(width - (width > 4 ? 1 : 0), 0.8);
        if (tall > 0.05) text += `<rect class="c${series % 8}" x="${(LEFT + c * width).toFixed(1)}" y="${(HEIGHT - tall).toFixed(1)}" width="${thick.toFixed(1)}" height="${tall.toFixed(1)}"/>`;
      }
      return text;
    };
    const track = (name, body, number) =>
      `<g transform="translate(0 ${TOP + number * TRACK})"><title>${escape(name)}</title><text class="name" x="4" y="22">${escape(name.length > 20 ? name.slice(0, 19) + "…" : name)}</text>${body}</g>`;
    // Round coordinates, or the names of some of the labels: where they stand (in entries), and their text.
    const marks = () => {
      if (data.labels) {
        const count = Math.min(6, Math.max(1, Math.floor(to - from)));
        const some = Array.from({ length: count }, (_, m) => Math.floor(from + ((to - from) * (m + 0.5)) / count));
        return some.map((k) => [k + 0.5, place(k)]);
      }
      const [, , first, step] = data.rows[row];
      const raw = (Math.abs(step) * (to - from)) / 6, power = 10 ** Math.floor(Math.log10(raw));
      const apart = Math.max(1, [1, 2, 5, 10].find((factor) => factor * power >= raw) * power);
      const [low, high] = [first + step * from, first + step * to].sort((a, b) => a - b);
      const found = [];
      for (let at = Math.ceil(low / apart) * apart; at < high; at += apart) found.push([(at - first) / step + 0.5 / Math.abs(step), comma(at)]);
      return found;
    };
    const axis = (number) => {
      let text = `<line class="rule" x1="${LEFT}" x2="${LEFT + SPAN}" y1="2" y2="2"/>`;
      for (const [at, name] of marks()) {
        const x = (LEFT + ((at - from) / (to - from)) * SPAN).toFixed(1);
        text += `<line class="rule" x1="${x}" x2="${x}" y1="2" y2="7"/><text x="${x}" y="20" text-anchor="middle">${escape(name.length > 18 ? name.slice(0, 17) + "…" : name)}</text>`;
      }
      return `<g transform="translate(0 ${TOP + number * TRACK})">${text}</g>`;
    };
    const where = () => {
      const [, title, first, step] = data.rows[row];
      const [a, b] = [Math.floor(from), Math.min(length, Math.ceil(to))];
      if (data.labels) return `${title}: ${b - a} of ${length} ${data.names}`;
      const [low, high] = step > 0 ? [first + step * a, first + step * b] : [first + 1 + step * b, first + 1 + step * a];
      return `${title}: ${comma(low)}–${comma(high)} is shown`;
    };
    const draw = () => {
      const chosen = models.filter((model) => model.box.checked);
      const top = Math.max(1e-12, ...chosen.map((model) => model.top));
      let text = track("true", boxes(truth), 0);
      chosen.forEach((model, number) => {
        text += track(model.name, data.classes ? boxes(model.values) : bars(model.values, top, model.series), number + 1);
      });
      text += axis(chosen.length + 1);
      if (!data.classes && chosen.length) text += `<text x="${LEFT - 4}" y="${TOP + TRACK + 8}" text-anchor="end">${top.toPrecision(2)}</text>`;
      svg.setAttribute("viewBox", `0 0 ${WIDTH} ${TOP + (chosen.length + 1) * TRACK + 26}`);
      svg.innerHTML = text;
      svg.setAttribute("aria-label", `True and predicted labels of ${where()}`);
      said.textContent = where();
    };

    const open = (number) => {
      row = Math.max(0, Math.min(data.rows.length - 1, number));
      choice.value = String(row);
      truth = runs(data.rows[row][4]);
      length = truth.length;
      for (const model of models) {
        model.values = (data.classes ? runs : levels)(model.said[row]);
        model.top = data.classes ? 1 : model.values.reduce((most, one) => Math.max(most, one), 0);
      }
      [from, to] = [0, length];
      draw();
    };
    const view = (middle, size) => {
      const wide = Math.min(length, Math.max(Math.min(length, 10), size));
      from = Math.max(0, Math.min(length - wide, middle - wide / 2));
      to = from + wide;
      draw();
    };
    const zoom = (factor, at = (from + to) / 2) => view(at + ((from + to) / 2 - at) * factor, (to - from) * factor);
    const move = (share) => view((from + to) / 2 + share * (to - from), to - from);
    const at = (event) => {
      const box = svg.getBoundingClientRect();
      return from + ((((event.clientX - box.left) / box.width) * WIDTH - LEFT) / SPAN) * (to - from);
    };

    data.rows.forEach(([index, title], number) => {
      choice.append(new Option(`${index}: ${title}`, String(number)));
    });
    const fields = tools.querySelector("fieldset");
    models = data.models.map((model) => {
      const label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
      label.dataset.model = model.name;
      label.append(box, ` ${model.name}`);
      fields.append(label);
      box.addEventListener("change", draw);
      return { ...model, box };
    });
    if (models.length > 6) models.forEach((model, number) => { model.box.checked = number < 6; });
    choice.addEventListener("change", () => open(Number(choice.value)));
    const actions = {
      previous: () => open(row - 1), next: () => open(row + 1), in: () => zoom(0.5), out: () => zoom(2), whole: () => view(length / 2, length),
      left: () => move(-0.25), right: () => move(0.25),
    };
    for (const button of tools.querySelectorAll("button")) button.addEventListener("click", actions[button.value]);
    const keys = {
      ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", "-": "out", Home: "whole", 0: "whole", PageUp: "previous", PageDown: "next",
    };
    svg.addEventListener("keydown", (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      actions[keys[event.key]]();
    });
    let held = null;
    svg.addEventListener("pointerdown", (event) => {
      held = { x: event.clientX, middle: (from + to) / 2 };
      svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", (event) => {
      if (held) {
        const perPixel = ((to - from) * WIDTH) / SPAN / svg.getBoundingClientRect().width;
        view(held.middle - (event.clientX - held.x) * perPixel, to - from);
        return;
      }
      const k = Math.floor(at(event));
      if (k < from || k >= to) return;
      const words = models.filter((model) => model.box.checked).map(
        (model) => `${model.name}: ${data.classes ? names(model.values[k]) : model.values[k].toPrecision(3)}`,
      );
      said.textContent = [`${place(k)}: true ${names(truth[k])}`, ...words].join(" · ");
    });
    for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => { held = null; });
    svg.addEventListener("pointerleave", () => { said.textContent = where(); });
    svg.addEventListener("dblclick", (event) => zoom(0.5, at(event)));
    svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey) return; // the page scrolls
      event.preventDefault();
      zoom((event.deltaY || event.deltaX) > 0 ? 1.25 : 0.8, at(event));
    }, { passive: false });

    figure.querySelector(".still")?.remove();
    figure.querySelector(".live").hidden = false;
    open(0);
  }
})();
