// The list of units: dense rows, sorted by clicks on headings, walked through by keys.
const MARK = { 1: ["●", "single unit"], 0: ["×", "fails the criteria of a single unit"] };

// Shares of the width; the longest heading decides.
const WIDTHS = { unit: "15%", shank: "12%", depth_um: "13%", rate_hz: "13%", amplitude_uv: "18%",
  isi_contamination: "15%", n_spikes: "14%" };
const WIDTHS_LABELLED = { unit: "12.5%", label: "14%", shank: "11%", depth_um: "10%", rate_hz: "11%",
  amplitude_uv: "16%", isi_contamination: "14.5%", n_spikes: "11%" };

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in node && name !== "role") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function set(model, values) {
  for (const [name, value] of Object.entries(values)) model.set(name, value);
  model.save_changes();
}

function tools(model) {
  const where = make("input", {
    type: "text", className: "ld-where", value: model.get("where"), spellcheck: false,
    placeholder: "Filter, e.g. depth > 500 & firing_rate > 1",
    title: "Units that fulfil this are listed (key: /)", "aria-label": "Filter units",
  });
  const box = make("input", { type: "checkbox", checked: model.get("sua_only") });
  const sua = make("label", { className: "ld-sua", title: "Only units that pass (key: s)" },
    box, "single units");
  const count = make("span", { className: "ld-count" });
  const problem = make("div", { className: "ld-problem", role: "alert" });
  where.addEventListener("change", () => set(model, { where: where.value }));
  where.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { where.value = ""; set(model, { where: "" }); where.blur(); }
    event.stopPropagation();
  });
  box.addEventListener("change", () => set(model, { sua_only: box.checked }));
  const draw = () => {
    const all = (model.get("data").unit || []).length, listed = model.get("order").length;
    count.textContent = listed === all ? `${all} units` : `${listed} of ${all} units`;
    problem.textContent = model.get("where_problem");
    where.toggleAttribute("aria-invalid", problem.textContent !== "");
    if (document.activeElement !== where) where.value = model.get("where");
    box.checked = model.get("sua_only");
    box.disabled = !model.get("has_verdicts");
    sua.title = box.disabled
      ? "These units were not judged: no unit criteria were applied to this sorting."
      : "Only units that pass the criteria (key: s)";
  };
  return [make("div", { className: "ld-tools" }, where, sua, count, problem), draw, where];
}

function head(model, columns) {
  const row = make("tr");
  const shares = columns.some((c) => c.name === "label") ? WIDTHS_LABELLED : WIDTHS;
  const widths = make("colgroup", {}, ...columns.map((c) => {
    const col = make("col");
    col.style.width = shares[c.name] || "auto";
    return col;
  }));
  const cells = columns.map((column) => {
    const button = make("button", { type: "button", title: column.explanation },
      make("span", {}, column.title), make("small", {}, column.unit));
    button.addEventListener("click", () => {
      const same = model.get("sort_by") === column.name;
      set(model, { sort_by: column.name, descending: same ? !model.get("descending") : false });
    });
    const cell = make("th", { scope: "col", className: `ld-col-${column.name}` }, button);
    row.append(cell);
    return [column.name, cell];
  });
  const draw = () => {
    for (const [name, cell] of cells) {
      const on = model.get("sort_by") === name;
      cell.setAttribute("aria-sort",
        on ? (model.get("descending") ? "descending" : "ascending") : "none");
    }
  };
  return [[widths, make("thead", {}, row)], draw];
}

function body(model, columns, at) {
  const data = model.get("data"), units = data.unit || [];
  const index = new Map(units.map((u, i) => [u, i]));
  const formats = columns.map((c) => new Intl.NumberFormat("en", {
    minimumFractionDigits: c.digits, maximumFractionDigits: c.digits,
    useGrouping: c.name === "n_spikes",
  }));
  const rows = new Map();
  const tbody = make("tbody");
  for (const unit of model.get("order")) {
    const i = index.get(unit);
    if (i === undefined) continue;
    const row = make("tr", { tabIndex: -1, "data-unit": unit });
    const verdict = MARK[(data.passes || [])[i]];
    columns.forEach((column, c) => {
      const value = (data[column.name] || [])[i];
      if (column.name === "label") {
        const said = (data.curation || [])[i] || "";
        row.append(make("td", { className: "ld-col-label", title: said }, value || ""));
        return;
      }
      const cell = make("td", {}, value === null || value === undefined ? "–" : formats[c].format(value));
      if (c === 0 && verdict) {
        cell.prepend(make("span", { className: "ld-mark", title: verdict[1], role: "img",
          "aria-label": verdict[1] }, verdict[0]));
      }
      row.append(cell);
    });
    if (verdict === MARK[0]) row.classList.add("ld-failing");
    row.addEventListener("click", () => set(model, { unit }));
    rows.set(unit, row);
    tbody.append(row);
  }
  return [tbody, rows];
}

function step(model, by) {
  const order = model.get("order");
  if (!order.length) return;
  const at = order.indexOf(model.get("unit"));
  const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), order.length - 1);
  if (order[next] !== model.get("unit")) set(model, { unit: order[next] });
}

// True where a key is meant for this explorer: the focus is in it, or it is alone on a dashboard.
function mine(el, event) {
  const root = el.closest(".labdata-explorer");
  if (!root || event.ctrlKey || event.metaKey || event.altKey) return null;
  const target = event.composedPath()[0];
  if (target instanceof Element && target.matches("input, select, textarea")) return null;
  if (root.contains(event.target)) return root;
  const alone = document.querySelectorAll(".labdata-explorer").length === 1;
  return document.body.dataset.voila && alone ? root : null;
}

function render({ model, el }) {
  const [bar, drawTools, where] = tools(model);
  const empty = make("div", { className: "ld-empty" });
  const table = make("table", { "aria-label": "Units" });
  let columns = [], drawHead = () => {};
  const scroll = make("div", { className: "ld-scroll", tabIndex: 0 }, table, empty);
  el.append(bar, scroll);
  let rows = new Map();
  const choose = () => {
    for (const row of table.querySelectorAll("tr[aria-selected]")) row.removeAttribute("aria-selected");
    const row = rows.get(model.get("unit"));
    if (!row) return;
    row.setAttribute("aria-selected", "true");
    const top = row.offsetTop - table.tHead.offsetHeight, height = scroll.clientHeight;
    if (top < scroll.scrollTop) scroll.scrollTop = top;
    else if (row.offsetTop + row.offsetHeight > scroll.scrollTop + height) {
      scroll.scrollTop = row.offsetTop + row.offsetHeight - height;
    }
  };
  const list = () => {
    if (columns !== model.get("columns")) {
      columns = model.get("columns");
      const [heading, draw] = head(model, columns);
      drawHead = draw;
      table.replaceChildren(...heading);
    }
    table.querySelector("tbody")?.remove();
    const [tbody, made] = body(model, columns);
    rows = made;
    table.append(tbody);
    empty.textContent = model.get("empty");
    drawTools();
    drawHead();
    choose();
  };
  const keys = {
    j: () => step(model, 1), n: () => step(model, 1), ArrowDown: () => step(model, 1),
    k: () => step(model, -1), p: () => step(model, -1), ArrowUp: () => step(model, -1),
    PageDown: () => step(model, 20), PageUp: () => step(model, -20),
    Home: () => step(model, -1e9), End: () => step(model, 1e9),
    s: () => model.get("has_verdicts") && set(model, { sua_only: !model.get("sua_only") }),
    "/": () => where.focus(),
    "?": (root) => root.dispatchEvent(new CustomEvent("labdata-help")),
  };
  const onKey = (event) => {
    const root = mine(el, event);
    if (!root || !(event.key in keys)) return;
    event.preventDefault();
    event.stopPropagation();
    keys[event.key](root);
  };
  document.addEventListener("keydown", onKey, true);
  model.on("change:columns change:data change:order change:empty", list);
  model.on("change:unit", choose);
  model.on("change:where_problem change:sua_only change:has_verdicts", drawTools);
  model.on("change:sort_by change:descending", () => drawHead());
  list();
  requestAnimationFrame(choose);
  return () => document.removeEventListener("keydown", onKey, true);
}
export default { render };
