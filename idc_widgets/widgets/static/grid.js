// The line above a grid: what it shows, how many, how many are picked; or why it is empty.

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "idc-root idc-grid-title";
  const name = document.createElement("strong");
  const count = document.createElement("span");
  count.className = "idc-grid-count";
  const picked = document.createElement("button");
  picked.type = "button";
  picked.className = "idc-grid-picked";
  const empty = document.createElement("p");
  empty.className = "idc-grid-empty";
  root.append(name, count, picked, empty);
  el.append(root);

  const show = () => {
    const rows = model.get("_count");
    const picks = model.get("_picked");
    name.textContent = model.get("_title");
    count.textContent = rows.toLocaleString("en-US");
    picked.hidden = picks === 0;
    picked.textContent = `${picks.toLocaleString("en-US")} picked ×`;
    picked.setAttribute("aria-label", `Unpick all ${name.textContent.toLowerCase()}`);
    picked.title = picked.getAttribute("aria-label");
    empty.hidden = rows > 0;
    empty.textContent = model.get("_empty");
    empty.style.height = model.get("_height");
  };
  const clear = () => model.send({ type: "clear" });

  picked.addEventListener("click", clear);
  const traits = ["_title", "_count", "_picked", "_empty", "_height"];
  for (const trait of traits) model.on(`change:${trait}`, show);
  show();
  const painting = paintQuickly(model.widget_manager, model.get("_grid"));
  // A host may build its widgets in another way: then the grid is slow, and works.
  painting.catch((error) => console.warn("idc_widgets: grids paint slowly here:", error));
  return () => {
    for (const trait of traits) model.off(`change:${trait}`, show);
    painting.then(
      (stop) => stop(),
      () => {},
    );
  };
}

export default { render };
