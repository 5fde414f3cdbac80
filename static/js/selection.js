// Ticked assets. They stay ticked from page to page of one tab, until they are cleared.
const KEY = "selection";
const SENT = "selection-sent";
const selected = new Set(read(KEY));
let last = null; // where a range begins

function read(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

function keep(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // kept for this page only
  }
}

const assets = () => [...document.querySelectorAll("[data-asset-id]:not([data-left]):has(.tick)")];

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
    const all = bar.querySelector('[name="select"]');
    if (all && !selected.size) all.checked = false; // or the next tick would stand for all
    bar.querySelector("[data-selected]").textContent = all?.checked ? all.dataset.number : selected.size.toLocaleString("en");
    bar.querySelector("[data-compare]").disabled = selected.size < 2 || selected.size > 6;
    bar.querySelector("[data-copy-selected]").dataset.copy = [...selected].join("\n");
  }
  keep(KEY, [...selected]);
}

export const selectionSize = () => selected.size;

export function clearSelection() {
  selected.clear();
  last = null;
  show();
}

// What has left is not of the selection any more.
export function deselect(asset) {
  select(asset, false);
  asset.classList.remove("selected");
  asset.querySelector(".tick input").checked = false;
  show();
}

export function toggleFocused(toRange) {
  const asset = document.activeElement.closest?.("[data-asset-id]:not([data-left]):has(.tick)");
  if (asset) toggle(asset, !selected.has(asset.dataset.assetId) || toRange, toRange);
  return Boolean(asset);
}

// The first page after a selection was sent is its operation, or says why there is none.
export function attachSelection() {
  if (read(SENT) && document.getElementById("operation")) selected.clear();
  keep(SENT, null);
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

document.addEventListener("change", (event) => {
  if (event.target.closest("#selection-scope")) show();
});

// A shift-click would otherwise select text from tick to tick.
document.addEventListener("mousedown", (event) => {
  if (event.shiftKey && event.target.closest(".tick")) event.preventDefault();
});

// What is ticked on other pages goes along.
document.addEventListener("submit", (event) => {
  if (event.target.id !== "selection") return;
  for (const field of event.target.querySelectorAll('input[type="hidden"][name="ids"]')) field.remove(); // of an earlier try
  const here = new Set(assets().map((asset) => asset.dataset.assetId));
  for (const id of selected) {
    if (!here.has(id)) event.target.append(Object.assign(document.createElement("input"), { type: "hidden", name: "ids", value: id }));
  }
  keep(SENT, !event.submitter?.hasAttribute("formaction")); // only an operation takes the selection with it
});
