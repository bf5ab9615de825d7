// Sorting and filtering of tables marked data-sort and data-filter; a page is whole without it.
"use strict";
for (const table of document.querySelectorAll("table[data-sort]")) {
  const body = table.tBodies[0];
  const key = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    const value = Number(text);
    return text !== "" && !Number.isNaN(value) ? value : text;
  };
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if (head.dataset.plain !== undefined) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.textContent = "";
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [key(row, column), row]);
      rows.sort(([a], [b]) => {
        const order = typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
        return down ? -order : order;
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}
for (const table of document.querySelectorAll("table[data-filter]")) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  const told = document.createElement("output");
  input.type = "search";
  label.append(table.dataset.filter + " ", input);
  const line = document.createElement("div");
  line.className = "filter";
  line.append(label, told);
  (table.closest(".wide") ?? table).before(line);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    told.textContent = `${shown} / ${table.tBodies[0].rows.length}`;
  });
}
// A series' frames one at a time: a slider, brightness and contrast over the window that is chosen.
for (const looker of document.querySelectorAll(".looker")) {
  const windows = [...looker.querySelectorAll(".strips")].map((box) =>
    [...box.querySelectorAll("img")].flatMap((image) =>
      Array.from({ length: Number(image.dataset.frames) }, (_, number) => ({ image, number }))));
  const canvas = document.createElement("canvas");
  const stage = document.createElement("div");
  const box = document.createElement("div");
  box.className = "slide";
  stage.className = "stage";
  stage.tabIndex = 0;
  stage.append(canvas);
  const sliders = {};
  const slider = (name, low, high, value) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    const told = document.createElement("output");
    Object.assign(input, { type: "range", min: low, max: high, value });
    input.addEventListener("input", () => show());
    label.append(name, input, told);
    box.append(label);
    sliders[name] = { input, told };
  };
  const count = Math.max(...windows.map((frames) => frames.length));
  slider("Frame", 1, count, Math.ceil(count / 2));
  sliders.Frame.input.parentElement.hidden = count === 1;
  slider("Brightness", 10, 400, 100);
  slider("Contrast", 10, 800, 100);
  canvas.setAttribute("role", "img");
  const show = () => {
    const chosen = [...looker.querySelectorAll("input[type=radio]")].findIndex((radio) => radio.checked);
    const frames = windows[Math.max(chosen, 0)];
    const at = Math.min(Number(sliders.Frame.input.value), frames.length);
    const { image, number } = frames[at - 1];
    sliders.Frame.told.textContent = `${at} / ${frames.length}`;
    for (const name of ["Brightness", "Contrast"]) sliders[name].told.textContent = `${sliders[name].input.value} %`;
    canvas.setAttribute("aria-label", `Frame ${at} of ${frames.length}`);
    const draw = () => {
      const height = image.naturalHeight / Number(image.dataset.frames);
      canvas.width = image.naturalWidth;
      canvas.height = height;
      canvas.getContext("2d").drawImage(image, 0, number * height, image.naturalWidth, height, 0, 0, image.naturalWidth, height);
      canvas.style.setProperty("filter", `brightness(${sliders.Brightness.input.value}%) contrast(${sliders.Contrast.input.value}%)`);
      canvas.dataset.shown = `${at}`;
    };
    image.loading = "eager";
    image.complete && image.naturalWidth ? draw() : image.addEventListener("load", show, { once: true });
  };
  looker.querySelectorAll("input[type=radio]").forEach((radio) => radio.addEventListener("change", show));
  looker.classList.add("scripted");
  looker.append(box, stage);
  show();
}
