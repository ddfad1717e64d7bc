// One line on what is shown, one on what to know about it.
function render({ model, el }) {
  const text = document.createElement("div");
  text.className = "ld-text";
  text.setAttribute("role", "status");
  text.setAttribute("aria-live", "polite");
  const note = document.createElement("div");
  note.className = "ld-note";
  el.append(text, note);
  const draw = () => {
    text.textContent = model.get("text");
    note.textContent = model.get("note");
    note.title = model.get("note");
    note.setAttribute("role", model.get("amber") ? "alert" : "note");
    note.classList.toggle("ld-amber", model.get("amber"));
    el.classList.toggle("ld-loading", model.get("loading"));
    const root = el.closest(".labdata-explorer");
    if (root) root.classList.toggle("ld-busy", model.get("loading"));
  };
  model.on("change", draw);
  draw();
  return () => model.off("change", draw);
}
export default { render };
