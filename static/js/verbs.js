// Save, extend and delete: one asset at once, with an undo; a selection through its confirmation.
import { deselect, selectionSize } from "./selection.js";

const post = (url, values) => window.htmx.ajax("POST", url, { target: "#toasts", swap: "beforeend", values });
const actions = () => document.getElementById("card-actions");
const may = (verb) => Boolean(actions()?.querySelector(`[data-verb="${verb}"]`));

export function act(verb) {
  if (selectionSize() > 0 && document.querySelector("form#selection")) return submitSelection(verb);
  const form = document.querySelector(`[data-verbs] form[data-verb="${verb}"]`);
  if (form) {
    form.requestSubmit();
    return true;
  }
  const asset = document.activeElement.closest?.("[data-asset-id]:has(.tick)");
  if (!asset || !may(verb) || asset.dataset.left) return false;
  post(`/assets/${asset.dataset.assetId}/${verb}`);
  return true;
}

// The asset that has the focus, the selection, or the asset that the page is about.
export function approve() {
  const button = document.querySelector('#selection [name="verdict"][value="approved"]');
  const asset = document.activeElement.closest?.("[data-asset-id]:has(.tick)");
  if (button && asset && !selectionSize()) {
    if (!asset.dataset.left) post(`/assets/${asset.dataset.assetId}/review`, { verdict: "approved" });
    return true;
  }
  const chosen = selectionSize() && button ? button : document.querySelector('.review [value="approved"]');
  chosen?.click();
  return Boolean(chosen);
}

function submitSelection(verb) {
  const button = document.querySelector(`#selection button[name="action"][value="${verb}"]`);
  button?.click();
  return Boolean(button);
}

export function undoLast() {
  const buttons = document.querySelectorAll("#toasts [data-undo]");
  buttons[buttons.length - 1]?.click();
  return buttons.length > 0;
}

// --- The buttons over the card that the pointer or the keyboard is at ---

function showActions(event) {
  const card = event.target.closest?.(".card:has(.tick)");
  const bar = actions();
  if (!bar || !card || bar.contains(event.target)) return;
  bar.hidden = Boolean(card.dataset.left);
  if (bar.parentElement !== card.querySelector(".card-picture")) card.querySelector(".card-picture").append(bar);
}

document.addEventListener("pointerover", (event) => event.pointerType === "mouse" && showActions(event));
document.addEventListener("focusin", showActions);

// A swap of the gallery would take the buttons away with the card that they are over.
document.addEventListener("htmx:beforeSwap", (event) => {
  const bar = actions();
  if (!bar || !event.detail.target.contains(bar)) return;
  bar.hidden = true;
  document.body.append(bar);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("#card-actions [data-verb]");
  if (button) post(`/assets/${button.closest("[data-asset-id]").dataset.assetId}/${button.dataset.verb}`);
  const undo = event.target.closest("[data-undo]");
  // Elsewhere the button sends its form, and the answer is a page.
  if (undo && document.querySelector("[data-asset-id] .tick")) {
    event.preventDefault();
    post(undo.dataset.undo);
    undo.closest(".toast").remove();
  }
  if (event.target.closest("[data-dismiss]")) event.target.closest(".toast").remove();
});

// --- What the server says has happened ---

const shown = (id) => document.querySelectorAll(`[data-asset-id="${CSS.escape(id)}"]:has(.tick)`);

document.addEventListener("left", ({ detail }) => {
  for (const asset of shown(detail.id)) {
    asset.dataset.left = detail.how;
    asset.querySelector(".card-link").dataset.how = detail.how;
    asset.querySelector(".tick input").disabled = true;
    deselect(asset);
    if (asset.contains(actions())) actions().hidden = true;
  }
});

document.addEventListener("returned", ({ detail }) => {
  for (const asset of shown(detail.id)) {
    delete asset.dataset.left;
    asset.querySelector(".tick input").disabled = false;
  }
});

document.addEventListener("extended", ({ detail }) => {
  for (const asset of shown(detail.id)) {
    const time = asset.querySelector("time[data-expiry]");
    time.dateTime = detail.expires_at;
    time.title = detail.title;
  }
  document.dispatchEvent(new Event("expiries-changed"));
});

document.addEventListener("reviewed", ({ detail }) => {
  for (const asset of shown(detail.id)) {
    const badge = asset.querySelector(".verdict");
    Object.assign(badge, { hidden: !detail.verdict, title: detail.text, ariaLabel: detail.text });
    badge.dataset.verdict = detail.verdict;
  }
});

// --- Toasts go by themselves, but errors stay ---

function attachToasts() {
  for (const toast of document.querySelectorAll(".toast:not(.error, [data-timed])")) {
    toast.dataset.timed = "";
    const wait = () => setTimeout(() => (toast.matches(":hover, :focus-within") ? wait() : toast.remove()), 12_000);
    wait();
  }
}

document.addEventListener("htmx:afterSettle", attachToasts);

// --- What the server could not say ---

function complain(text) {
  const toasts = document.getElementById("toasts");
  if (toasts.textContent.includes(text)) return;
  const toast = Object.assign(document.createElement("div"), { className: "toast error", role: "alert", textContent: text });
  const button = Object.assign(document.createElement("button"), { type: "button", className: "icon", ariaLabel: "Dismiss", textContent: "×" });
  button.dataset.dismiss = "";
  toast.append(button);
  toasts.append(toast);
}

document.addEventListener("htmx:sendError", () => complain("The dashboard does not answer."));
document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.target?.closest("#toasts")) complain("That did not work: reload the page.");
});
attachToasts();
