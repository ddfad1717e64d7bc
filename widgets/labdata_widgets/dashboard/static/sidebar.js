// Pickers and details beside the explorer; the choice is kept in the page's URL.
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in node && name !== "role") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// What is shown is not what was just chosen: dimmed at once, until the kernel has answered.
function ask(model, node, content) {
  node.closest(".labdata-page")?.querySelector(".labdata-explorer")?.classList.add("ld-busy");
  model.send(content);
}

function picker(model, { name, label, options, value }) {
  const select = make("select", { id: `ld-pick-${name}`, disabled: options.length === 0 },
    ...options.map(([v, text]) => make("option", { value: v }, text)));
  if (!options.some(([v]) => v === value)) {
    select.prepend(make("option", { value: "", disabled: true }, options.length ? "choose" : "–"));
  }
  select.value = value;
  select.addEventListener("change", () =>
    ask(model, select, { what: "choose", level: name, value: select.value }));
  return make("div", { className: "ld-pick" },
    make("label", { htmlFor: select.id }, label), select);
}

// As curated or as sorted; there always, so that nothing moves when a log is found.
function unitsChoice(model) {
  const { curated = false, has_log = false } = model.get("units");
  const one = (value, text) => {
    const input = make("input", { type: "radio", name: "ld-units", id: `ld-units-${value}`,
      checked: curated === (value === "curated"), disabled: !has_log });
    input.addEventListener("change", () =>
      ask(model, input, { what: "units", curated: value === "curated" }));
    return make("label", {}, input, make("span", {}, text));
  };
  const title = has_log ? "Whose units are shown (key: c)"
    : "Nobody has curated these units yet: labdata curate --help tells how.";
  return make("fieldset", { className: "ld-units", title }, make("legend", {}, "Units"),
    one("curated", "as curated"), one("sorted", "as sorted"));
}

// True where a key is meant for the page, and not for a field of it.
function isFree(event, page) {
  if (!page || event.ctrlKey || event.metaKey || event.altKey) return false;
  const target = event.composedPath()[0];
  if (target instanceof Element && target.matches("input:not([type=radio]), select, textarea")) {
    return false;
  }
  return page.contains(event.target) || Boolean(document.body.dataset.voila);
}

function block({ title, facts, note, folded }) {
  const list = make("dl");
  for (const [name, value] of facts) {
    list.append(make("dt", { title: name }, name), make("dd", { title: value }, value));
  }
  if (folded) return make("details", {}, make("summary", {}, title), list);
  const parts = [make("h2", {}, title), list];
  if (note) parts.splice(1, 0, make("p", { className: "ld-amber-note", role: "note" }, note));
  return make("section", {}, ...parts);
}

// The page around the explorer takes its theme, and in Voilà the whole window.
function dress(el) {
  const page = el.closest(".labdata-page");
  const explorer = page?.querySelector(".labdata-explorer");
  if (!explorer) { requestAnimationFrame(() => dress(el)); return; }
  const voila = Boolean(document.body.dataset.voila);
  document.documentElement.classList.toggle("labdata-full", voila);
  const theme = () => {
    page.dataset.theme = explorer.dataset.theme || "light";
    if (voila) {
      const paper = getComputedStyle(page).getPropertyValue("--ld-paper");
      document.body.style.background = paper;
    }
  };
  new MutationObserver(theme).observe(explorer, { attributeFilter: ["data-theme"] });
  theme();
}

function render({ model, el }) {
  const pickers = make("div", { className: "ld-picks" });
  const units = make("div");
  const details = make("div", { className: "ld-details" });
  el.append(make("h1", {}, "Spike sorting"), pickers, units, details);
  const drawPickers = () => {
    const focused = document.activeElement?.id;
    pickers.replaceChildren(...model.get("pickers").map((p) => picker(model, p)));
    if (focused?.startsWith("ld-pick-")) document.getElementById(focused)?.focus();
  };
  const drawUnits = () => {
    const focused = document.activeElement?.name === "ld-units";
    units.replaceChildren(unitsChoice(model));
    if (focused) units.querySelector("input:checked")?.focus();
  };
  const onKey = (event) => {
    if (event.key !== "c" || !isFree(event, el.closest(".labdata-page"))) return;
    units.querySelector("input:not(:checked):not(:disabled)")?.click();
  };
  document.addEventListener("keydown", onKey, true);
  const drawDetails = () => details.replaceChildren(...model.get("details").map(block));
  const drawQuery = () => {
    const query = model.get("query");
    if (!query || !document.body.dataset.voila) return;
    const kept = new URLSearchParams(location.search);
    const now = new URLSearchParams(query);
    for (const name of ["theme", "template"]) if (kept.has(name)) now.set(name, kept.get(name));
    history.replaceState(null, "", `?${now}`);
    document.title = `${now.get("subject")} ${now.get("session")} · Spike sorting`;
  };
  model.on("change:pickers", drawPickers);
  model.on("change:units", drawUnits);
  model.on("change:details", drawDetails);
  model.on("change:query", drawQuery);
  drawPickers();
  drawUnits();
  drawDetails();
  drawQuery();
  dress(el);
  model.send({ what: "ready", search: document.body.dataset.voila ? location.search : "" });
  return () => document.removeEventListener("keydown", onKey, true);
}
export default { render };
