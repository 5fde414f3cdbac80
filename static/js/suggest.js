// Suggestions under a text field, by the combobox pattern of the ARIA Authoring Practices.
// Without this the field takes the same values typed in full.
const DELAY = 120; // milliseconds after the last key
let number = 0;

export function attachSuggestions() {
  for (const input of document.querySelectorAll("input[data-suggest]:not([role])")) new Suggestions(input);
}

class Suggestions {
  constructor(input) {
    this.input = input;
    this.list = Object.assign(document.createElement("ul"), { id: `suggestions-${++number}`, className: "suggestions", role: "listbox", hidden: true });
    this.list.setAttribute("aria-label", "Suggestions");
    input.parentElement.classList.add("suggest");
    input.after(this.list);
    input.role = "combobox";
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-controls", this.list.id);
    input.ariaExpanded = "false";
    input.addEventListener("input", () => this.later());
    input.addEventListener("focus", () => this.later());
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("mousedown", (event) => {
      event.preventDefault(); // keeps the focus in the field
      const option = event.target.closest("li");
      if (option) this.choose(option);
    });
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), DELAY);
  }

  async load() {
    this.request?.abort();
    this.request = new AbortController();
    const url = new URL(this.input.dataset.suggest, location.href);
    url.searchParams.set("q", this.input.value);
    const other = this.input.form?.elements[this.input.dataset.suggestWith];
    if (other) url.searchParams.set(other.name, other.value);
    if ("suggestWithin" in this.input.dataset) url.searchParams.set("filter", this.restOfForm());
    try {
      const response = await fetch(url, { signal: this.request.signal, headers: { Accept: "application/json" } });
      this.show((await response.json()).suggestions);
    } catch {
      this.close(); // aborted by the next key, or not answered: the field still works
    }
  }

  restOfForm() {
    const others = [...this.input.form.elements].filter((field) => field !== this.input && field.name && field.value);
    return new URLSearchParams(others.map((field) => [field.name, field.value])).toString();
  }

  show(suggestions) {
    this.list.replaceChildren(...suggestions.map((suggestion, index) => this.option(suggestion, index)));
    this.list.hidden = suggestions.length === 0 || document.activeElement !== this.input;
    this.input.ariaExpanded = String(!this.list.hidden);
    this.input.removeAttribute("aria-activedescendant");
    if (!this.list.hidden) this.list.scrollIntoView({ block: "nearest" });
  }

  option({ value, label, note, more = "" }, index) {
    const item = Object.assign(document.createElement("li"), { id: `${this.list.id}-${index}`, role: "option" });
    Object.assign(item.dataset, { value, more });
    item.append(label);
    if (note) item.append(Object.assign(document.createElement("small"), { textContent: note }));
    return item;
  }

  key(event) {
    const options = [...this.list.children];
    const current = options.findIndex((option) => option.ariaSelected === "true");
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (this.list.hidden) return this.later();
      this.mark(options, (current + (event.key === "ArrowDown" ? 1 : -1) + options.length) % options.length);
    } else if (event.key === "Enter" && !this.list.hidden && current >= 0) {
      event.preventDefault();
      this.choose(options[current]);
    } else if (event.key === "Escape" && !this.list.hidden) {
      event.stopPropagation();
      this.close();
    }
    return undefined;
  }

  mark(options, index) {
    for (const option of options) option.ariaSelected = "false";
    options[index].ariaSelected = "true";
    options[index].scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", options[index].id);
  }

  choose(option) {
    this.input.value = option.dataset.value;
    this.close();
    if (option.dataset.more) this.load(); // a key, whose values come next
    else this.input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  close() {
    clearTimeout(this.timer);
    this.request?.abort();
    this.list.hidden = true;
    this.input.ariaExpanded = "false";
  }
}
