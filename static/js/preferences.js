// Theme and blur, set before the first paint. The back office keeps its theme under the same key.
(() => {
  const defaults = { theme: "auto", blur: "nsfw" };
  const root = document.documentElement;
  for (const [name, fallback] of Object.entries(defaults)) {
    try {
      root.dataset[name] = localStorage.getItem(name) || fallback;
    } catch {
      root.dataset[name] = fallback; // storage may be forbidden
    }
  }
})();
