// A video plays in its card when the pointer rests on it for a moment, or the keyboard does.
const REST = 350; // milliseconds
let timer = null;

function play(card) {
  const link = card.querySelector(".card-link");
  if (link.querySelector("video")) return;
  const video = document.createElement("video");
  Object.assign(video, { src: card.dataset.video, muted: true, loop: true, playsInline: true, disablePictureInPicture: true });
  video.setAttribute("aria-hidden", "true");
  video.addEventListener("playing", () => link.append(video), { once: true }); // until then the preview stays
  video.play().catch(() => {}); // a file that does not play keeps its preview
}

function stop(card) {
  clearTimeout(timer);
  const video = card.querySelector("video");
  video?.pause();
  video?.removeAttribute("src");
  video?.load();
  video?.remove();
}

function rest(event) {
  const card = event.target.closest?.("[data-video]");
  if (!card || card.contains(event.relatedTarget)) return;
  clearTimeout(timer);
  timer = setTimeout(() => card.isConnected && play(card), REST);
}

function leave(event) {
  const card = event.target.closest?.("[data-video]");
  if (card && !card.contains(event.relatedTarget)) stop(card);
}

export function attachHoverVideo() {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const type of ["pointerover", "focusin"]) document.addEventListener(type, rest);
  for (const type of ["pointerout", "focusout"]) document.addEventListener(type, leave);
}
