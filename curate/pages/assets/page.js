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
