// Runs the page's script in node on a document that is as small as can be, and prints where it put the boxes.
"use strict";
const {readFileSync} = require("node:fs");
const vm = require("node:vm");

class Element {
  constructor(name) { Object.assign(this, {name, attributes: {}, children: [], dataset: {}, classList: {add() {}, remove() {}}, listeners: {}}); }
  setAttribute(key, value) {
    this.attributes[key] = String(value);
    if (key.startsWith("data-")) this.dataset[key.slice(5)] = String(value);
  }
  removeAttribute(key) { delete this.attributes[key]; }
  append(...parts) { this.children.push(...parts); }
  replaceChildren(...parts) { this.children = parts; }
  get firstChild() { return this.children[0]; }
  addEventListener(name, hand) { this.listeners[name] = hand; }
  getBoundingClientRect() { return {width: 800, height: 600, left: 0, top: 0}; }
  querySelector() { return null; }
  querySelectorAll() { return []; }
  prepend(...parts) { this.children.unshift(...parts); }
  focus() {}
}

const page = readFileSync(0, "utf8");
const elements = {};
const get = id => (elements[id] ??= new Element(id));
get("graph").textContent = /<script type="application\/json" id="graph">(.*?)<\/script>/s.exec(page)[1];
const document = {getElementById: get, createElementNS: (_, name) => new Element(name), createElement: name => new Element(name), addEventListener() {}};
vm.runInNewContext(/<script>(.*?)<\/script>/s.exec(page)[1], {document, window: {addEventListener() {}}, JSON, Math, Map, Set, Object, Infinity});
elements.open.listeners.click();

const found = {};
const walk = element => {
  const box = element.attributes["data-box"];
  const rectangle = element.children.find(part => part.name === "rect" && /^(box|pill|group)$/.test(part.attributes.class));
  if (box !== undefined) found[box] = ["x", "y", "width", "height"].map(key => +rectangle.attributes[key]);
  element.children.forEach(walk);
};
walk(elements.canvas);
const gather = (element, wires = []) => {
  if (/wire/.test(element.attributes.class || "")) wires.push(+element.attributes["data-from"]);
  element.children.forEach(part => gather(part, wires));
  return wires;
};
const wires = gather(elements.canvas);
elements.close.listeners.click();
elements.search.value = process.argv[2] || "";
elements.search.listeners.input();
const status = elements.status.textContent;
elements.search.listeners.keydown({key: "Enter"});
const panel = (elements.panel.children || []).map(part => [part.name, part.textContent]);
process.stdout.write(JSON.stringify({boxes: found, wires, closed: gather(elements.canvas), status, at: elements.status.textContent, panel}));
