"use strict";
(() => {
  const data = JSON.parse(document.getElementById("graph").textContent);
  const {boxes, frames, wires, sizes: S, total} = data;
  const SVG = "http://www.w3.org/2000/svg";
  const canvas = document.getElementById("canvas");
  const panel = document.getElementById("panel");
  const search = document.getElementById("search");
  const status = document.getElementById("status");
  const open = new Set();
  boxes.forEach((box, number) => { box.number = number; box.parts.forEach(part => { boxes[part].parent = number; }); });

  // ---- places: the same arithmetic as in layout.py ----

  const isOpen = number => number in frames && (number === 0 || open.has(number));
  function sizeOf(box) {
    const wide = Math.max(S.title * box.title.length, ...[...box.lines, box.caption].map(line => S.line * line.length));
    return [Math.max(88, Math.round(wide + 26)), 29 + 14 * box.lines.length + (box.caption ? 13 : 0)];
  }

  // The outermost closed group around a box, where its wires are seen to begin, or itself.
  function outermost(number) {
    let found = number;
    for (let above = boxes[number].parent; above; above = boxes[above].parent) if (!open.has(above)) found = above;
    return found;
  }

  // A frame's cells and links; the lanes and ports of all wires that begin at one closed group are one.
  function cellsOf(number) {
    const frame = frames[number];
    const rows = frame.rows.map((row, r) => row.map(ref => ({row: r, box: ref >= 0 ? ref : -1, x: 0, width: 2, before: [], after: []})));
    const lanes = rows.map(() => new Map()), seen = new Map();
    const from = source => seen.get(source) ?? (seen.set(source, outermost(source)), seen.get(source));
    const cellAt = (r, i, source) => {
      const cell = rows[r][i];
      if (cell.box >= 0) return cell;
      if (!lanes[r].has(source)) lanes[r].set(source, cell);
      return lanes[r].get(source);
    };
    const links = [], far = [];
    for (const [r, i, j, begin] of frame.links) {
      const source = from(begin), a = cellAt(r, i, source), b = cellAt(r + 1, j, source);
      if (a.after.includes(b) && source !== begin) continue;
      a.after.push(b);
      b.before.push(a);
      links.push([a, b, source]);
    }
    for (const [r, i, q, j, begin] of frame.far) far.push([cellAt(r, i, from(begin)), cellAt(q, j, from(begin)), from(begin)]);
    rows.forEach((row, r) => { const kept = new Set(lanes[r].values()); rows[r] = row.filter(cell => cell.box >= 0 || kept.has(cell)); });
    return {number, rows, links, far, ports: [lanes[0], lanes[rows.length - 1]], tops: [], width: 0, height: 0};
  }

  const gap = (a, b) => (a.width + b.width) / 2 + (a.box >= 0 && b.box >= 0 ? S.boxGap : S.laneGap);

  function settle(row, side) {
    const blocks = [], offsets = [];
    let offset = 0;
    row.forEach((cell, i) => {
      if (i) offset += gap(row[i - 1], cell);
      offsets.push(offset);
      const near = cell[side];
      let sum = 0, pull = 0, least = S.boxPull;
      for (const other of near) {
        const w = other.box < 0 ? 1 : S.boxPull;
        sum += w * other.x;
        pull += w;
        least = Math.min(least, w);
      }
      const wanted = near.length ? sum / pull : cell.x;
      const weight = !near.length ? S.loose : cell.box >= 0 ? 1 : least < S.boxPull ? S.laneWeight : S.loose;
      blocks.push([weight * (wanted - offset), weight, 1]);
      for (let n = blocks.length; n > 1 && blocks[n - 2][0] / blocks[n - 2][1] > blocks[n - 1][0] / blocks[n - 1][1]; n--) {
        const last = blocks.pop();
        last.forEach((value, k) => { blocks[n - 2][k] += value; });
      }
    });
    let i = 0;
    for (const [sum, heavy, many] of blocks) for (let k = 0; k < many; k++, i++) row[i].x = sum / heavy + offsets[i];
  }

  function place(number, layout) {
    const box = boxes[number];
    if (!isOpen(number)) { layout.sizes[number] = sizeOf(box); return; }
    box.parts.forEach(part => place(part, layout));
    const frame = layout.frames[number] = cellsOf(number);
    for (const row of frame.rows) {
      let x = 0;
      row.forEach((cell, i) => {
        if (cell.box >= 0) cell.width = layout.sizes[cell.box][0];
        if (i) x += gap(row[i - 1], cell);
        cell.x = x;
      });
      row.forEach(cell => { cell.x -= x / 2; });
    }
    for (let sweep = 0; sweep < S.sweeps; sweep++)
      for (const row of sweep % 2 ? [...frame.rows].reverse() : frame.rows) settle(row, sweep % 2 ? "after" : "before");
    let left = Infinity, right = -Infinity;
    for (const row of frame.rows) for (const cell of row) {
      left = Math.min(left, cell.x - cell.width / 2);
      right = Math.max(right, cell.x + cell.width / 2);
    }
    if (left > right) left = right = 0;
    frame.width = Math.max(right - left + 2 * S.pad, S.title * box.title.length + 2 * S.pad + 24);
    const shift = (frame.width - (right - left)) / 2 - left;
    let y = 0;
    frame.rows.forEach((row, i) => {
      let tall = 0;
      for (const cell of row) {
        cell.x += shift;
        if (cell.box >= 0) tall = Math.max(tall, layout.sizes[cell.box][1]);
      }
      frame.tops.push([y, y + tall]);
      if (i === 0) y = number === 0 ? 0 : S.head + S.pad / 2;
      else y += tall + (i >= frame.rows.length - 2 ? S.pad : S.rowGap);
    });
    frame.height = frame.tops[frame.tops.length - 1][1];
    layout.sizes[number] = [frame.width, frame.height];
  }

  function laidOut() {
    const layout = {frames: {}, sizes: {}, far: []};
    place(0, layout);
    return layout;
  }

  // ---- drawing ----

  function make(name, attributes, text) {
    const element = document.createElementNS(SVG, name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  const n = value => Math.round(value * 10) / 10;

  function anchor(layout, cell, end, source) {
    const frame = layout.frames[cell.box];
    const port = frame && frame.ports[end].get(source);
    return port ? cell.x - frame.width / 2 + port.x : cell.x;
  }

  function topOf(layout, frame, cell) {
    const [top, bottom] = frame.tops[cell.row];
    return cell.box < 0 ? top : (top + bottom - layout.sizes[cell.box][1]) / 2;
  }

  function linkPath(layout, frame, a, b, source, x, y) {
    const x1 = n(x + anchor(layout, a, 1, source)), x2 = n(x + anchor(layout, b, 0, source));
    const tall = a.box >= 0 ? layout.sizes[a.box][1] : 0;
    const y1 = y + topOf(layout, frame, a) + tall, y2 = y + topOf(layout, frame, b);
    const low = y + frame.tops[a.row][1], high = y + frame.tops[b.row][0], middle = n((low + high) / 2);
    return `M${x1} ${n(y1)}V${n(low)}C${x1} ${middle} ${x2} ${middle} ${x2} ${n(high)}V${n(y2)}`;
  }

  function drawFrame(parent, layout, frame, x, y) {
    const paths = new Map();
    let heads = "";
    for (const [a, b, source] of frame.links) {
      paths.set(source, (paths.get(source) || "") + linkPath(layout, frame, a, b, source, x, y));
      if (b.box >= 0 && (!layout.frames[b.box] || boxes[b.box].sealed))
        heads += `M${n(x + anchor(layout, b, 0, source))} ${n(y + topOf(layout, frame, b))}l-3.5 -6.5h7z`;
    }
    for (const [source, d] of paths) parent.append(make("path", {class: "wire", "data-from": source, d}));
    const far = new Map();
    for (const [a, b, source] of frame.far) {
      far.set(b, new Set([...(far.get(b) || []), boxes[source].caption || boxes[source].title]));
      const x1 = n(x + anchor(layout, a, 1, source)), x2 = n(x + anchor(layout, b, 0, source));
      const y1 = n(y + frame.tops[a.row][1]), y2 = n(y + frame.tops[b.row][0]);
      layout.far.push({parent, source, target: b.box, d: `M${x1} ${y1}C${x1} ${y1 + 60} ${x2} ${y2 - 60} ${x2} ${y2}`});
    }
    if (heads) parent.append(make("path", {class: "head", d: heads}));
    for (const row of frame.rows) for (const cell of row)
      if (cell.box >= 0) drawBox(parent, layout, boxes[cell.box], x + cell.x - layout.sizes[cell.box][0] / 2, y + topOf(layout, frame, cell));
    for (const [cell, names] of far) {
      const text = [...names].join(", "), left = x + cell.x - (cell.box >= 0 ? layout.sizes[cell.box][0] / 2 : 0);
      parent.append(make("text", {class: "from", x: n(left), y: n(y + topOf(layout, frame, cell) - 5)}, `from ${text.length > 44 ? `${text.slice(0, 43)}…` : text}`));
    }
  }

  const share = box => total.flops ? box.flops / total.flops : total.bytes ? box.bytes / total.bytes : 0;

  function rectangle(name, x, y, width, height, rx) {
    return make("rect", {class: name, x: n(x), y: n(y), width: n(width), height: n(height), rx: n(rx)});
  }

  function drawBox(parent, layout, box, x, y) {
    const [width, height] = layout.sizes[box.number];
    const group = make("g", {"data-box": box.number, tabindex: 0, role: box.parts.length ? "button" : "img"});
    group.setAttribute("aria-label", [box.caption, box.title, ...box.lines].filter(Boolean).join(", "));
    if (box.parts.length) group.setAttribute("aria-expanded", isOpen(box.number));
    group.append(make("title", {}, box.tip || box.title));
    box.at = [x, y, width, height];
    const frame = layout.frames[box.number];
    if (frame) {
      group.append(rectangle("group", x, y, width, height, 9));
      if (box.family) group.append(rectangle(box.family, x + 10, y + 12, 8, 8, 2));
      group.append(make("text", {class: "title", x: n(x + (box.family ? 24 : 12)), y: n(y + 20)}, [box.caption, box.title].filter(Boolean).join(" ")));
      drawFrame(group, layout, frame, x, y);
    } else drawClosed(group, box, x, y, width, height);
    parent.append(group);
  }

  function drawClosed(group, box, x, y, width, height) {
    const pill = box.kind === "input" || box.kind === "output";
    if (box.parts.length) group.append(rectangle("box under", x + 3, y + 3, width, height, 6));
    group.append(rectangle(pill ? "pill" : "box", x, y, width, height, pill ? height / 2 : 6));
    if (box.family) group.append(rectangle(box.family, x + 5, y + 6, 3.5, height - 12, 1.75));
    const part = share(box);
    if (!pill && part >= 0.01) group.append(rectangle(box.family || "shape", x + 15, y + height - 5, Math.max(2, part * (width - 24)), 2, 1));
    const left = n(pill ? x + width / 2 : x + 15), middle = pill ? {"text-anchor": "middle"} : {};
    let base = y + 18;
    if (box.caption) {
      group.append(make("text", {class: "caption", x: left, y: n(base - 2)}, box.caption));
      base += 13;
    }
    group.append(make("text", {class: "title", x: left, y: n(base), ...middle}, box.title));
    box.lines.forEach((line, i) => group.append(make("text", {class: "line", x: left, y: n(base + 14.5 + 14 * i), ...middle}, line)));
  }

  // ---- the view: what part of the drawing is seen ----

  let scale = 1, originX = 0, originY = 0, chosen = -1, svg = null, layout = null;

  function apply() {
    svg.firstChild.setAttribute("transform", `translate(${originX} ${originY}) scale(${scale})`);
  }

  function draw() {
    layout = laidOut();
    const [width, height] = layout.sizes[0];
    svg = make("svg", {class: "helix-graph", width: "100%", height: "100%", "data-width": width, "data-height": height});
    const all = make("g", {});
    drawFrame(all, layout, layout.frames[0], 0, 0);
    svg.append(all);
    canvas.replaceChildren(svg);
    apply();
    mark();
    choose(chosen, false);
  }

  // As much as can be read; of what is larger the top, with the inputs in the middle.
  function fit() {
    const width = +svg.dataset.width, height = +svg.dataset.height;
    const room = canvas.getBoundingClientRect();
    scale = Math.min(1.25, Math.max(0.85, Math.min((room.width - 40) / width, (room.height - 100) / height)));
    const top = layout.frames[0].rows[1] || [], wide = scale * width > room.width - 40 && top.length;
    const middle = wide ? top.reduce((sum, cell) => sum + cell.x, 0) / top.length : width / 2;
    originX = room.width / 2 - scale * middle;
    originY = Math.max(20, (room.height - 40 - scale * height) / 2);
    apply();
  }

  function whole() {
    const room = canvas.getBoundingClientRect();
    scale = Math.min((room.width - 40) / +svg.dataset.width, (room.height - 40) / +svg.dataset.height, 4);
    originX = (room.width - scale * +svg.dataset.width) / 2;
    originY = (room.height - scale * +svg.dataset.height) / 2;
    apply();
  }

  function zoom(factor, x, y) {
    const room = canvas.getBoundingClientRect();
    const at = [x === undefined ? room.width / 2 : x, y === undefined ? room.height / 2 : y];
    const next = Math.min(8, Math.max(0.02, scale * factor));
    originX = at[0] - (at[0] - originX) * next / scale;
    originY = at[1] - (at[1] - originY) * next / scale;
    scale = next;
    apply();
  }

  function show(number) {
    const [x, y, width, height] = boxes[number].at;
    const room = canvas.getBoundingClientRect();
    if (scale < 0.6) scale = 1;
    const free = room.width - (panel.hidden || room.width < 700 ? 0 : panel.offsetWidth);
    originX = free / 2 - scale * (x + width / 2);
    originY = room.height / 2 - scale * (y + Math.min(height / 2, room.height / scale / 3));
    apply();
  }

  function toggle(number) {
    if (!boxes[number].parts.length) return;
    const [x, y] = boxes[number].at;
    open.has(number) ? open.delete(number) : open.add(number);
    draw();
    const [newX, newY] = boxes[number].at;
    originX += scale * (x - newX);
    originY += scale * (y - newY);
    apply();
    focusOn(number);
  }

  function focusOn(number) {
    const element = canvas.querySelector(`[data-box="${number}"]`);
    if (element) element.focus({preventScroll: true});
  }

  function reveal(number) {
    let above = boxes[number].parent, changed = false;
    for (; above; above = boxes[above].parent) if (!open.has(above)) { open.add(above); changed = true; }
    if (changed) draw();
  }

  // ---- what is chosen ----

  const MOST = 24; // neighbours that are named
  const prefixes = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
  function amount(value, unit) {
    const found = prefixes.find(([factor]) => value >= factor);
    return found ? `${+(value / found[0]).toPrecision(3)} ${found[1]}${unit}` : `${value} ${unit}`;
  }

  function row(name, value) {
    const line = document.createElement("div"), term = document.createElement("dt"), told = document.createElement("dd");
    term.textContent = name;
    told.textContent = value;
    line.append(term, told);
    return line;
  }

  function choose(number, tell = true) {
    chosen = number;
    canvas.querySelectorAll(".far").forEach(element => element.remove());
    canvas.querySelectorAll(".chosen, .lit").forEach(element => element.classList.remove("chosen", "lit"));
    if (number < 0) { panel.hidden = true; return; }
    const element = canvas.querySelector(`[data-box="${number}"]`);
    if (element) element.classList.add("chosen");
    canvas.querySelectorAll(`.wire[data-from="${number}"]`).forEach(wire => wire.classList.add("lit"));
    for (const {parent, source, target, d} of layout.far)
      if (source === number || target === number) parent.prepend(make("path", {class: "wire far lit", "data-from": source, d}));
    if (!tell) return;
    const box = boxes[number], list = document.createElement("dl"), title = document.createElement("h2"), text = document.createElement("pre");
    title.textContent = [box.caption, box.title].filter(Boolean).join(" · ");
    text.textContent = box.tip;
    if (box.kind !== "input" && box.kind !== "output") {
      list.append(row("operations", amount(box.flops, "FLOP")), row("bytes moved", amount(box.bytes, "B")));
      list.append(row("share", `${(100 * share(box)).toFixed(1)} %`), row("operations a byte", box.bytes ? (box.flops / box.bytes).toFixed(2) : "0"));
    }
    if (box.parts.length) list.append(row("ops", box.ops));
    panel.replaceChildren(title, text, list);
    if (box.parts.length) panel.append(button(isOpen(number) ? "close" : "open", () => { toggle(number); choose(number); }));
    neighbours(number);
    panel.hidden = false;
  }

  function button(text, act) {
    const made = document.createElement("button");
    made.textContent = text;
    made.addEventListener("click", act);
    return made;
  }

  // Buttons that lead to what a box takes, and to what takes it.
  function neighbours(number) {
    const inside = new Set([number]);
    for (const member of inside) boxes[member].parts.forEach(part => inside.add(part));
    const ends = [new Set(), new Set()];
    for (const [a, b] of wires) if (inside.has(a) !== inside.has(b)) inside.has(a) ? ends[1].add(outermost(b)) : ends[0].add(outermost(a));
    ["takes", "goes to"].forEach((name, side) => {
      if (!ends[side].size) return;
      const heading = document.createElement("h3");
      heading.textContent = `${name}${ends[side].size > MOST ? ` (${ends[side].size}, the first ${MOST})` : ""}`;
      panel.append(heading, ...[...ends[side]].slice(0, MOST).map(end => button([boxes[end].caption, boxes[end].title].filter(Boolean).join(" · "), () => go(end))));
    });
  }

  function go(number) {
    reveal(number);
    choose(number);
    show(number);
  }

  let found = [], at = -1;
  function look() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = box => [box.title, box.caption, box.family, ...box.lines, box.tip].join(" ").toLowerCase();
    found = words.length ? boxes.filter(box => box.number && words.every(word => text(box).includes(word))).map(box => box.number) : [];
    at = -1;
    status.textContent = words.length ? `${found.length} found` : "";
    mark();
  }

  function mark() {
    canvas.querySelectorAll(".hit").forEach(element => element.classList.remove("hit"));
    if (!found.length) return;
    const wanted = new Set(found);
    canvas.querySelectorAll("[data-box]").forEach(element => { if (wanted.has(+element.dataset.box)) element.classList.add("hit"); });
  }

  function next(step) {
    if (!found.length) return;
    at = (at + step + found.length) % found.length;
    go(found[at]);
    status.textContent = `${at + 1} of ${found.length}`;
  }

  function openAll(wanted) {
    open.clear();
    if (wanted) boxes.forEach(box => { if (box.parts.length) open.add(box.number); });
    draw();
    fit();
  }

  // ---- hands ----

  const boxAt = event => { const element = event.target.closest("[data-box]"); return element ? +element.dataset.box : -1; };
  let dragged = null;
  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    const room = canvas.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / (event.deltaMode ? 20 : 400)), event.clientX - room.left, event.clientY - room.top);
  }, {passive: false});
  canvas.addEventListener("pointerdown", event => { dragged = {x: event.clientX, y: event.clientY, far: false}; });
  canvas.addEventListener("pointermove", event => {
    if (!dragged || !(event.buttons & 1)) return;
    const dx = event.clientX - dragged.x, dy = event.clientY - dragged.y;
    if (!dragged.far && Math.hypot(dx, dy) < 4) return;
    if (!dragged.far) canvas.setPointerCapture(event.pointerId);
    dragged = {x: event.clientX, y: event.clientY, far: true};
    originX += dx;
    originY += dy;
    apply();
  });
  canvas.addEventListener("click", event => {
    const moved = dragged && dragged.far;
    dragged = null;
    if (!moved) choose(boxAt(event));
  });
  canvas.addEventListener("dblclick", event => { const number = boxAt(event); if (number > 0) { toggle(number); choose(number); } });
  canvas.addEventListener("focusin", event => {
    const number = boxAt(event);
    if (number > 0 && number !== chosen && event.target.matches(":focus-visible")) { choose(number); show(number); }
  });
  canvas.addEventListener("keydown", event => {
    const number = boxAt(event);
    if ((event.key === "Enter" || event.key === " ") && number > 0) { toggle(number); choose(number); event.preventDefault(); }
  });
  const moves = {ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60]};
  const keys = {"+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), "0": fit, "w": whole, "e": () => openAll(true), "c": () => openAll(false),
    "/": () => search.focus(), "Escape": () => choose(-1)};
  document.addEventListener("keydown", event => {
    if (event.target === search || event.ctrlKey || event.metaKey || event.altKey) return;
    if (moves[event.key]) { originX += moves[event.key][0]; originY += moves[event.key][1]; apply(); event.preventDefault(); }
    else if (keys[event.key]) { keys[event.key](); event.preventDefault(); }
  });
  search.addEventListener("input", look);
  search.addEventListener("keydown", event => {
    if (event.key === "Enter") next(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") { search.value = ""; look(); canvas.focus(); }
  });
  const buttons = {"zoom-in": () => zoom(1.25), "zoom-out": () => zoom(0.8), "fit": fit, "whole": whole, "open": () => openAll(true), "close": () => openAll(false)};
  for (const id in buttons) document.getElementById(id).addEventListener("click", buttons[id]);

  const before = {};
  window.addEventListener("beforeprint", () => {
    Object.assign(before, {scale, originX, originY});
    svg.setAttribute("viewBox", `-10 -10 ${+svg.dataset.width + 20} ${+svg.dataset.height + 20}`);
    scale = 1; originX = originY = 0;
    apply();
  });
  window.addEventListener("afterprint", () => {
    svg.removeAttribute("viewBox");
    ({scale, originX, originY} = before);
    apply();
  });

  data.open.forEach(number => open.add(number));
  draw();
  fit();
})();
