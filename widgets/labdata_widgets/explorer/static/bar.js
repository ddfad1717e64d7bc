// Event, window, bin, clock badge, save and help; and the theme of the page.
const KEYS = [
  ["j  n  ↓", "next unit"], ["k  p  ↑", "previous unit"], ["Page Down / Up", "20 units on / back"],
  ["Home / End", "first / last unit"], ["s", "only single units, or all"],
  ["c", "units as curated, or as sorted", "ld-in-page"], ["/", "filter units"],
  ["Esc", "clear the filter, close this"], ["?", "this help"],
  ["click", "choose a unit in the list or on the probe"],
  ["drag", "zoom a plot"], ["double click", "show all of a plot"], ["hover", "read a number"],
];

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in node && name !== "role") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// JupyterLab says which theme it has; a dashboard follows the system unless its URL chose dark.
function isDark() {
  const body = document.body, said = body.dataset.jpThemeLight;
  if (said === "false" || body.classList.contains("vscode-dark")) return true;
  if (said === "true" && !body.dataset.voila) return false;
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function number(model, name, label, { scale = 1, step, width, unit }) {
  const input = make("input", { type: "number", step, "aria-label": label, title: label });
  input.style.width = width;
  const draw = () => { input.value = Number((model.get(name) * scale).toPrecision(9)); };
  input.addEventListener("change", () => {
    const value = Number(input.value) / scale;
    const start = name === "start_s" ? value : model.get("start_s");
    const stop = name === "stop_s" ? value : model.get("stop_s");
    const fault = input.value === "" || !Number.isFinite(value) ? "A number is needed."
      : name === "bin_s" && value <= 0 ? "A bin is longer than zero."
      : start >= stop ? "The window ends before it starts." : "";
    input.setCustomValidity(fault);
    if (fault) { input.reportValidity(); return; }
    model.set(name, value);
    model.save_changes();
  });
  input.addEventListener("keydown", (event) => event.stopPropagation());
  model.on(`change:${name}`, draw);
  draw();
  return [input, make("span", { className: "ld-unit" }, unit)];
}

function choice(model, name, label, options) {
  const select = make("select", { title: label, "aria-label": label });
  const draw = () => {
    select.replaceChildren(...options().map(([value, text]) => make("option", { value }, text)));
    select.value = model.get(name);
    select.disabled = !select.options.length;
    if (select.disabled) select.append(make("option", {}, "no events"));
  };
  select.addEventListener("change", () => { model.set(name, select.value); model.save_changes(); });
  model.on(`change:${name} change:events`, draw);
  draw();
  return select;
}

// Root views of Bokeh inside an explorer, top to bottom.
function figures(root) {
  const roots = Array.from(window.Bokeh?.index?.roots ?? Object.values(window.Bokeh?.index ?? {}));
  return roots.filter((view) => view?.el && root.contains(view.el) &&
    view.el.closest(".ld-plots") && view.model.type !== "Notifications");
}

function download(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function wrapped(text, length) {
  const lines = [""];
  for (const word of text.split(" ")) {
    if ((lines.at(-1) + " " + word).length > length) lines.push("");
    lines[lines.length - 1] += (lines.at(-1) ? " " : "") + word;
  }
  return lines;
}

async function save(model, root, kind) {
  const view = figures(root)[0];
  if (!view) return;
  const { width, height } = view.el.getBoundingClientRect();
  const style = getComputedStyle(root);
  const ink = style.getPropertyValue("--ld-ink"), paper = style.getPropertyValue("--ld-paper");
  const lines = wrapped(model.get("caption"), Math.floor(width / 6)), line = 15;
  const total = height + 10 + line * lines.length;
  const name = `${model.get("file_name")}.${kind}`;
  const layer = view.export(kind, true);
  if (kind === "svg") {
    const inner = layer.get_serialized_svg
      ? layer.get_serialized_svg()
      : await (await layer.to_blob()).text();
    const words = lines.map((text, i) => {
      const t = make("x", {}, text).innerHTML;
      return `<text x="8" y="${height + line * (i + 1)}" font-family="sans-serif" font-size="11" fill="${ink}">${t}</text>`;
    }).join("");
    const whole = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${total}">` +
      `<rect width="100%" height="100%" fill="${paper}"/>${inner.replace(/<\?xml.*?\?>/, "")}${words}</svg>`;
    download(new Blob([whole], { type: "image/svg+xml" }), name);
    return;
  }
  const picture = await createImageBitmap(await layer.to_blob());
  const ratio = picture.width / width;
  const canvas = make("canvas", { width: picture.width, height: total * ratio });
  const pen = canvas.getContext("2d");
  pen.fillStyle = paper;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, 0, 0);
  pen.scale(ratio, ratio);
  pen.fillStyle = ink;
  pen.font = "11px sans-serif";
  lines.forEach((text, i) => pen.fillText(text, 8, height + line * (i + 1)));
  canvas.toBlob((blob) => download(blob, name), "image/png");
}

function help() {
  const rows = KEYS.map(([key, what, className = ""]) =>
    make("tr", { className }, make("th", { scope: "row" }, make("kbd", {}, key)), make("td", {}, what)));
  const close = make("button", { type: "button" }, "Close");
  const dialog = make("dialog", { className: "ld-help", "aria-label": "Keys" },
    make("h2", {}, "Keys"), make("table", {}, make("tbody", {}, ...rows)),
    make("p", {}, "● passes the criteria of a single unit, × does not. PSTH: mean ± s.e.m. over " +
      "trials whose window lies wholly inside the recording."), close);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  return dialog;
}

function badge(model) {
  const node = make("button", { type: "button", className: "ld-badge" });
  const draw = () => {
    const { text = "", explanation = "", amber = false } = model.get("badge");
    node.hidden = !text;
    node.textContent = (amber ? "! " : "") + text;
    node.title = explanation;
    node.setAttribute("aria-label", `${text}. ${explanation}`);
    node.classList.toggle("ld-amber", amber);
    node.dataset.explanation = explanation;
  };
  node.addEventListener("click", () => node.classList.toggle("ld-open"));
  node.addEventListener("blur", () => node.classList.remove("ld-open"));
  model.on("change:badge", draw);
  draw();
  return node;
}

function dress(model, el) {
  const root = el.closest(".labdata-explorer");
  if (!root) { requestAnimationFrame(() => el.isConnected !== null && dress(model, el)); return; }
  root.tabIndex = -1;
  root.dataset.lmSuppressShortcuts = "true";
  root.addEventListener("labdata-help", () => el.querySelector("dialog").showModal());
  root.addEventListener("pointerdown", (event) => {
    const target = event.composedPath()[0];
    const control = target instanceof Element && target.closest("input, select, button, textarea");
    if (!control && !root.contains(document.activeElement)) root.focus({ preventScroll: true });
  });
  const theme = () => {
    const dark = isDark();
    root.dataset.theme = dark ? "dark" : "light";
    if (model.get("dark") !== dark) { model.set("dark", dark); model.save_changes(); }
    for (const view of figures(root)) view.request_paint?.();
  };
  theme();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme);
  new MutationObserver(theme).observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
}

// BokehJS is in the output of the first explorer of a kernel; a page reloaded without it is empty.
function missBokeh(el) {
  setTimeout(() => {
    if (window.Bokeh || !el.isConnected) return;
    el.append(make("div", { className: "ld-lost", role: "alert" },
      "The plots need BokehJS, which this page does not have any more. " +
      "Restart the kernel and run the notebook again."));
  }, 4000);
}

function render({ model, el }) {
  const button = (text, title, act) => {
    const node = make("button", { type: "button", title }, text);
    node.addEventListener("click", act);
    return node;
  };
  const root = () => el.closest(".labdata-explorer");
  const dialog = help();
  const field = (text, ...parts) => make("div", { className: "ld-field" },
    make("span", { className: "ld-label" }, text), ...parts);
  el.append(
    field("Event", choice(model, "event", "Event at time zero",
      () => model.get("events").map((e) => [e.name, e.label]))),
    field("Window",
      ...number(model, "start_s", "Start of the window, seconds from the event",
        { step: 0.1, width: "4.2em", unit: "to" }),
      ...number(model, "stop_s", "End of the window, seconds from the event",
        { step: 0.1, width: "4.2em", unit: "s" })),
    field("Bin", ...number(model, "bin_s", "Width of a bin, milliseconds",
      { scale: 1000, step: 1, width: "3.8em", unit: "ms" })),
    field("Over time", choice(model, "course", "What to show over time",
      () => [["amplitude", "amplitude"], ["depth", "depth"]])),
    make("div", { className: "ld-gap" }),
    badge(model),
    make("div", { className: "ld-field" },
      button("PNG", "Save the plots as PNG, with a caption", () => save(model, root(), "png")),
      button("SVG", "Save the plots as SVG, with a caption", () => save(model, root(), "svg")),
      button("?", "Keys and help (key: ?)", () => dialog.showModal())),
    dialog,
  );
  dress(model, el);
  missBokeh(el);
}
export default { render };
