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

function picker(model, { name, label, options, value }) {
  const select = make("select", { id: `ld-pick-${name}`, disabled: options.length === 0 },
    ...options.map(([v, text]) => make("option", { value: v }, text)));
  if (!options.some(([v]) => v === value)) {
    select.prepend(make("option", { value: "", disabled: true }, options.length ? "choose" : "–"));
  }
  select.value = value;
  select.addEventListener("change", () =>
    model.send({ what: "choose", level: name, value: select.value }));
  return make("div", { className: "ld-pick" },
    make("label", { htmlFor: select.id }, label), select);
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
  const details = make("div", { className: "ld-details" });
  el.append(make("h1", {}, "Spike sorting"), pickers, details);
  const drawPickers = () => {
    const focused = document.activeElement?.id;
    pickers.replaceChildren(...model.get("pickers").map((p) => picker(model, p)));
    if (focused?.startsWith("ld-pick-")) document.getElementById(focused)?.focus();
  };
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
  model.on("change:details", drawDetails);
  model.on("change:query", drawQuery);
  drawPickers();
  drawDetails();
  drawQuery();
  dress(el);
  model.send({ what: "ready", search: document.body.dataset.voila ? location.search : "" });
}
export default { render };
