// What every page has: menus, preferences, copying, live times, the help dialog, htmx's edge cases.
import { attachSuggestions } from "./suggest.js";
import { handleKey } from "./keyboard.js";
import { attachSelection } from "./selection.js";
import { attachHoverVideo } from "./hover-video.js";
import "./verbs.js";

// --- Preferences ---

function showPreferences() {
  for (const group of document.querySelectorAll("[data-preference]")) {
    const value = document.documentElement.dataset[group.dataset.preference];
    for (const button of group.querySelectorAll("button")) button.ariaPressed = String(button.value === value);
  }
}

function prefer(name, value) {
  document.documentElement.dataset[name] = value;
  try {
    localStorage.setItem(name, value);
  } catch {
    // kept for this page only
  }
  showPreferences();
}

// --- Copying ---

async function copy(button) {
  const from = button.dataset.copyFrom;
  const text = from ? document.getElementById(from).textContent : button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyBySelecting(text); // the clipboard API wants https or localhost
  }
  button.dataset.copied = "";
  announce("Copied");
  setTimeout(() => delete button.dataset.copied, 1500);
}

function copyBySelecting(text) {
  const area = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

function announce(text) {
  let live = document.getElementById("announcer");
  if (!live) {
    live = Object.assign(document.createElement("p"), { id: "announcer", className: "sr-only", role: "status" });
    document.body.append(live);
  }
  live.textContent = text;
}

// --- Times that count down ---

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"]];

function span(seconds) {
  for (const [size, name] of UNITS) if (seconds >= size) return `${Math.floor(seconds / size)} ${name}`;
  return "under 1 min";
}

function countDown() {
  for (const time of document.querySelectorAll("time[data-expiry][datetime]:not([datetime=''])")) {
    const left = (Date.parse(time.dateTime) - Date.now()) / 1000;
    time.textContent = left > 0 ? `in ${span(left)}` : `expired ${span(-left)} ago`;
    time.className = `expiry ${left <= 0 ? "expired" : left < 86400 ? "urgent" : left < 259200 ? "soon" : "calm"}`;
  }
}

// --- Events, delegated so that they survive swaps ---

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.closest("[data-preference]")) prefer(button.closest("[data-preference]").dataset.preference, button.value);
  if (button?.matches("[data-copy], [data-copy-from]")) copy(button);
  if (button?.dataset.opens) document.getElementById(button.dataset.opens).showModal();
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target) || button?.dataset.opens) menu.open = false;
  }
});

document.addEventListener("keydown", handleKey);

// Empty fields stay out of the URL.
document.addEventListener("htmx:configRequest", (event) => {
  const { formData } = event.detail;
  if (!event.detail.elt.matches("form#filters")) return;
  for (const name of new Set(formData.keys())) {
    const values = formData.getAll(name).filter((value) => String(value).trim());
    formData.delete(name);
    for (const value of values) formData.append(name, value);
  }
});

// A page without the part that was asked for (the log-in, an error) is shown as a page.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, target, pathInfo } = event.detail;
  const moved = new URL(xhr.responseURL).pathname !== new URL(pathInfo.requestPath, location.href).pathname;
  const isPart = [200, 503].includes(xhr.status) && xhr.responseText.includes('id="gallery"');
  if (target.id === "gallery" && isPart) event.detail.shouldSwap = true; // that it took too long, as well
  if (!moved && (target.id !== "gallery" || isPart)) return;
  event.preventDefault();
  window.location.assign(xhr.responseURL);
});
// A button that is pressed would be another when it is released; what moved meanwhile shows a second later.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.matches("#operation:has(button:active)")) event.detail.shouldSwap = false;
});
document.addEventListener("htmx:historyCacheMissLoad", (event) => {
  if (!event.detail.xhr.responseText.includes('id="gallery"')) window.location.reload();
});

function attach() {
  // On wide screens the rail is always shown: styles do that, but only its state tells everybody.
  if (matchMedia("(min-width: 761px)").matches) document.getElementById("rail")?.setAttribute("open", "");
  attachSuggestions();
  attachSelection();
  countDown();
}

document.addEventListener("htmx:afterSettle", attach);
attach();
attachHoverVideo();
showPreferences();
document.addEventListener("expiries-changed", countDown);
setInterval(countDown, 30_000);
