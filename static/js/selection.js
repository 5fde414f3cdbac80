// Ticked assets. They stay ticked from page to page of one tab, until they are cleared.
const KEY = "selection";
const selected = new Set(load());
let last = null; // where a range begins

function load() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? [];
  } catch {
    return [];
  }
}

const assets = () => [...document.querySelectorAll("[data-asset-id]:has(.tick)")];

function select(asset, on) {
  if (on) selected.add(asset.dataset.assetId);
  else selected.delete(asset.dataset.assetId);
}

function toggle(asset, on, toRange) {
  const all = assets();
  const from = toRange && last ? all.findIndex((other) => other.dataset.assetId === last) : -1;
  const to = all.indexOf(asset);
  const range = from < 0 ? [asset] : all.slice(Math.min(from, to), Math.max(from, to) + 1);
  for (const one of range) select(one, on);
  last = asset.dataset.assetId;
  show();
}

function show() {
  for (const asset of assets()) {
    const on = selected.has(asset.dataset.assetId);
    asset.classList.toggle("selected", on);
    asset.querySelector(".tick input").checked = on;
  }
  document.body.classList.toggle("selecting", selected.size > 0);
  const bar = document.getElementById("selection");
  if (bar) {
    bar.classList.toggle("open", selected.size > 0);
    bar.querySelector("[data-selected]").textContent = selected.size.toLocaleString("en");
    bar.querySelector("[data-copy-selected]").dataset.copy = [...selected].join("\n");
  }
  try {
    sessionStorage.setItem(KEY, JSON.stringify([...selected]));
  } catch {
    // kept for this page only
  }
}

export const selectionSize = () => selected.size;

export function clearSelection() {
  selected.clear();
  last = null;
  show();
}

export function toggleFocused(toRange) {
  const asset = document.activeElement.closest?.("[data-asset-id]:has(.tick)");
  if (asset) toggle(asset, !selected.has(asset.dataset.assetId) || toRange, toRange);
  return Boolean(asset);
}

export function attachSelection() {
  show();
}

// The click tells whether Shift was held; the checkbox has changed by then.
document.addEventListener("click", (event) => {
  const tick = event.target.closest(".tick input");
  if (tick) toggle(tick.closest("[data-asset-id]"), tick.checked, event.shiftKey);
  if (event.target.closest("[data-clear-selection]")) clearSelection();
  if (event.target.closest("[data-select-page]")) {
    for (const asset of assets()) select(asset, true);
    show();
  }
});

// A shift-click would otherwise select text from tick to tick.
document.addEventListener("mousedown", (event) => {
  if (event.shiftKey && event.target.closest(".tick")) event.preventDefault();
});

// What is ticked on other pages goes along.
document.addEventListener("submit", (event) => {
  if (event.target.id !== "selection") return;
  const here = new Set(assets().map((asset) => asset.dataset.assetId));
  for (const id of selected) {
    if (!here.has(id)) event.target.append(Object.assign(document.createElement("input"), { type: "hidden", name: "ids", value: id }));
  }
});
