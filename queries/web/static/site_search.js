// Search in a saved site: the index lies in the page, and nothing is fetched.
"use strict";
const index = JSON.parse(document.getElementById("index").textContent);
const [box, found, said, all] = ["q", "found", "said", "all"].map((id) => document.getElementById(id));
const fold = (text) => text.trim().toLowerCase();
const MOST = 60;

function link(to, text, remark) {
  const item = document.createElement("li");
  const anchor = document.createElement("a");
  anchor.href = to;
  anchor.textContent = text;
  item.append(anchor);
  if (remark) item.append(" ", Object.assign(document.createElement("small"), { textContent: remark }));
  return item;
}

function part(title, items) {
  if (!items.length) return;
  const section = document.createElement("section");
  const list = document.createElement("ul");
  list.append(...items.slice(0, MOST));
  section.append(Object.assign(document.createElement("h2"), { textContent: title }), list);
  found.append(section);
}

function search() {
  const words = fold(box.value);
  found.replaceChildren();
  all.hidden = words !== "";
  said.textContent = "";
  if (!words) return;
  const concepts = index.concepts.filter((each) => fold(each.name).includes(words));
  const addresses = index.neurons.filter((each) => fold(each.name).startsWith(words));
  const exact = [], near = [];
  for (const [token, places] of index.tokens) {
    const folded = fold(token);
    if (folded === words) exact.push([token, places]);
    else if (words.length > 1 && folded.startsWith(words)) near.push([token, places]);
  }
  const said_of = new Map();  // each neuron once, with all that it does
  for (const [token, places] of [...exact, ...near]) {
    for (const [neuron, does, sign] of places) {
      if (!said_of.has(neuron)) said_of.set(neuron, []);
      said_of.get(neuron).push(`${does} "${token}"${sign < 0 ? " lowered" : ""}`);
    }
  }
  const rows = [...said_of].map(([neuron, does]) => {
    const each = index.neurons[neuron];
    return link(each.to, each.name, does.slice(0, 6).join(", ") + (does.length > 6 ? ` and ${does.length - 6} more` : ""));
  });
  part("Concepts", concepts.map((each) => link(each.to, each.name, each.of)));
  part("Neurons", addresses.map((each) => link(each.to, each.name)));
  part("Neurons that read or write it", rows);
  const n = concepts.length + addresses.length + rows.length;
  said.textContent = n ? `${n} found` : "Nothing here has that. The whole atlas is searched by a server: neuron-atlas serve.";
}

box.value = new URLSearchParams(location.search).get("q") || "";
box.addEventListener("input", search);
search();
