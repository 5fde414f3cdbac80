// Panes in step: zoom and pan together, a slider and a flicker for two pictures, videos by one control.
const MOST_ZOOM = 16;
const panes = document.getElementById("panes");
const view = { zoom: 1, x: 0, y: 0 }; // x and y are parts of a pane, from its left and top
const all = () => [...panes.children];
const shown = () => all().filter((pane) => !pane.hidden);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// --- Zoom and pan ---

function look() {
  const clamp = (value) => Math.min(0, Math.max(1 - view.zoom, value));
  [view.x, view.y] = [clamp(view.x), clamp(view.y)];
  panes.style.setProperty("--zoom", view.zoom);
  panes.style.setProperty("--x", `${view.x * 100}%`);
  panes.style.setProperty("--y", `${view.y * 100}%`);
  panes.classList.toggle("zoomed", view.zoom > 1);
  document.getElementById("zoom").value = `${Math.round(view.zoom * 100)} %`;
}

// What is at that part of a pane stays there.
function zoomTo(zoom, at = { x: 0.5, y: 0.5 }) {
  zoom = Math.min(MOST_ZOOM, Math.max(1, zoom));
  view.x = at.x - ((at.x - view.x) * zoom) / view.zoom;
  view.y = at.y - ((at.y - view.y) * zoom) / view.zoom;
  view.zoom = zoom;
  look();
}

function partOf(event) {
  const box = event.target.closest(".stage").getBoundingClientRect();
  return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
}

panes.addEventListener("wheel", (event) => {
  if (!event.target.closest(".stage") || (view.zoom === 1 && event.deltaY > 0)) return; // the page scrolls on
  event.preventDefault();
  zoomTo(view.zoom * Math.exp(-event.deltaY / 300), partOf(event));
}, { passive: false });

panes.addEventListener("dblclick", (event) => event.target.closest(".stage") && zoomTo(view.zoom > 1 ? 1 : 3, partOf(event)));

const pointers = new Map(); // those that are down, where they were

panes.addEventListener("pointerdown", (event) => {
  if (event.button || !event.target.closest(".stage")) return;
  pointers.set(event.pointerId, event);
  if (view.zoom > 1) event.target.setPointerCapture(event.pointerId);
});
panes.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const box = before.target.closest(".stage").getBoundingClientRect();
  const [first, second] = pointers.values();
  if (second) {
    const other = before === first ? second : first;
    const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
    zoomTo((view.zoom * apart(event)) / apart(before), partOf(before));
  } else {
    view.x += (event.clientX - before.clientX) / box.width;
    view.y += (event.clientY - before.clientY) / box.height;
    look();
  }
  pointers.set(event.pointerId, { target: before.target, clientX: event.clientX, clientY: event.clientY });
});
for (const type of ["pointerup", "pointercancel"]) panes.addEventListener(type, (event) => pointers.delete(event.pointerId));

// --- Which panes, and how ---

function layOut(mode) {
  if (!document.getElementById("modes")) return;
  only(null);
  panes.dataset.mode = mode;
  panes.dataset.shown = 0;
  for (const button of document.querySelectorAll("#modes button")) button.ariaPressed = String(button.value === mode);
  document.querySelector(".wipe-field").hidden = mode !== "wipe";
  document.getElementById("run").hidden = mode !== "flicker" || calm.matches;
  if (mode !== "flicker") run(false);
}

function only(pane) {
  for (const other of all()) other.hidden = pane !== null && other !== pane;
  panes.dataset.count = shown().length;
}

let running = null;

function run(on) {
  clearInterval(running);
  running = on ? setInterval(flicker, 600) : null;
  document.getElementById("run").ariaPressed = String(on);
}

function flicker() {
  if (panes.dataset.mode !== "flicker") return layOut("flicker");
  panes.dataset.shown = 1 - panes.dataset.shown;
}

// The pane that is focused, else hovered, changes places with its neighbour; so do the columns below.
function swap(step) {
  const pane = document.activeElement.closest(".pane") ?? panes.querySelector(".pane:hover");
  const neighbour = all()[all().indexOf(pane) + step];
  if (!pane || !neighbour) return false;
  if (step < 0) neighbour.before(pane);
  else neighbour.after(pane);
  pane.focus();
  const query = new URLSearchParams(all().map((one) => ["id", one.dataset.id]));
  if (new URLSearchParams(location.search).has("all")) query.append("all", "1");
  history.replaceState(null, "", `?${query}`);
  window.htmx.ajax("GET", `?${query}`, { target: "#differences", select: "#differences", swap: "outerHTML" });
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || event.target.closest("input, video, .compare-wrap")) return;
  const { key } = event;
  const pane = all()[key - 1];
  if (key === "+" || key === "=") zoomTo(view.zoom * 1.5);
  else if (key === "-") zoomTo(view.zoom / 1.5);
  else if (key === "0") zoomTo(1);
  else if (key === "f" && document.getElementById("modes")) flicker();
  else if (pane && panes.dataset.mode === "side") only(shown().length === 1 ? null : pane);
  else if (!(key === "ArrowLeft" && swap(-1)) && !(key === "ArrowRight" && swap(1))) return;
  event.preventDefault();
});

document.querySelector(".tools").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.zoom) zoomTo({ in: view.zoom * 1.5, out: view.zoom / 1.5, fit: 1 }[button.dataset.zoom]);
  if (button.closest("#modes")) (button.value === "flicker" ? flicker() : layOut(button.value));
  if (button.id === "run") run(!running);
  if (button.id === "play") play(button.ariaPressed !== "true");
});
document.getElementById("wipe")?.addEventListener("input", (event) => panes.style.setProperty("--wipe", `${event.target.value}%`));

// --- Videos ---

const videos = [...panes.querySelectorAll("video")];
const seek = document.getElementById("seek");
const longest = () => videos.reduce((one, other) => (other.duration > (one.duration || 0) ? other : one), videos[0]);

function play(on) {
  const button = document.getElementById("play");
  button.ariaPressed = String(on);
  button.textContent = on ? "Pause" : "Play";
  for (const video of videos) on ? video.play().catch(() => {}) : video.pause();
}

function seekTo(time) {
  for (const video of videos) video.currentTime = Math.min(time, video.duration || 0);
}

for (const video of videos) {
  Object.assign(video, { controls: false, loop: false });
  video.addEventListener("timeupdate", () => {
    if (video !== longest() || video.seeking) return;
    seek.value = (1000 * video.currentTime) / video.duration;
    for (const other of videos) if (Math.abs(other.currentTime - Math.min(video.currentTime, other.duration || 0)) > 0.2) other.currentTime = Math.min(video.currentTime, other.duration || 0);
  });
  video.addEventListener("ended", () => {
    if (video !== longest()) return;
    seekTo(0);
    play(true);
  });
}
seek?.addEventListener("input", () => seekTo((longest().duration * seek.value) / 1000));
