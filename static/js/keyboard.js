// One key for each thing that is done all day.
import { clearSelection, toggleFocused } from "./selection.js";
import { act, approve, undoLast } from "./verbs.js";

const VERBS = { s: "promote", e: "extend", Delete: "delete" };
const LINKS = { n: 'a[rel="next"]', p: 'a[rel="prev"]', g: 'a[rel="up"]', c: "#selection.open [data-compare]:enabled" };

export function handleKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") return escape(event);
  if (document.querySelector("dialog[open]") || event.target.closest?.("input:not([type=checkbox]), textarea, select, video")) return;
  if (handle(event)) event.preventDefault();
}

function handle(event) {
  const { key, repeat } = event;
  // A key that is held would act on asset after asset, as each opens the page of the next.
  if (VERBS[key]) return !repeat && act(VERBS[key]);
  if (key === "a") return !repeat && approve();
  if (key === "!") return focus(document.getElementById("review-note"));
  if (key === "u") return !repeat && undoLast();
  if (key === "/") return focus(document.getElementById("search"), true);
  if (key === "?") return showHelp();
  if (key === "f") return openFilters();
  if (key === "x" || key === "X") return toggleFocused(key === "X");
  if (LINKS[key]) return follow(LINKS[key]) || (key === "g" && follow(".brand"));
  if (key === "ArrowLeft" || key === "ArrowRight") {
    if (!document.querySelector("[data-asset-id] .card-link:not(.strip *)")) return follow(LINKS[key === "ArrowLeft" ? "p" : "n"]);
  }
  return key.startsWith("Arrow") && move(key);
}

function escape(event) {
  const menu = document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  } else if (event.target.matches?.("input:not([type=checkbox]), textarea")) {
    event.target.blur();
  } else if (!document.querySelector("dialog[open]")) {
    clearSelection();
  }
}

function follow(selector) {
  const link = document.querySelector(selector);
  link?.click();
  return Boolean(link);
}

function focus(element, select = false) {
  element?.focus();
  if (select) element?.select();
  return Boolean(element);
}

function showHelp() {
  document.getElementById("help").showModal();
  return true;
}

function openFilters() {
  const rail = document.getElementById("rail");
  if (!rail) return false;
  rail.open = true;
  return focus(rail.querySelector("a, input:not([type=hidden])"));
}

// Arrows go to the nearest card in their direction, by where cards are on the screen.
function move(key) {
  const links = [...document.querySelectorAll("[data-asset-id] .card-link")];
  if (!links.length) return false;
  const current = links.indexOf(document.activeElement.closest?.("[data-asset-id]")?.querySelector(".card-link"));
  if (current < 0) return focus(links[0]);
  if (key === "ArrowLeft" || key === "ArrowRight") return focus(links[current + (key === "ArrowLeft" ? -1 : 1)]);
  const from = links[current].getBoundingClientRect();
  const down = key === "ArrowDown";
  const beyond = links.map((link) => [link, link.getBoundingClientRect()]).filter(([, to]) => (down ? to.top > from.top + 4 : to.top < from.top - 4));
  const distance = ([, to]) => Math.abs(to.top - from.top) * 10 + Math.abs(to.left - from.left);
  beyond.sort((a, b) => distance(a) - distance(b));
  return focus(beyond[0]?.[0]);
}
