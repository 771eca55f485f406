"use strict";
(() => {
  const table = document.getElementById("alert-table");
  if (!table) return;
  const rows = [...table.tBodies].map((body) => {
    const find = (key) => body.querySelector(`[data-k="${key}"]`).textContent;
    const number = (key) => Number(body.dataset[key]);
    return {
      body,
      detail: body.querySelector(".detail"),
      text: body.textContent.toLowerCase(),
      shown: true,
      v: number("v"),
      s: number("s"),
      at: number("at"),
      hits: number("hits"),
      t: find("t"),
      title: find("title"),
      cluster: body.dataset.cluster,
      ns: find("ns"),
      user: find("user"),
    };
  });

  // One alert opens below its row.
  const open = (row, yes) => {
    row.detail.hidden = !yes;
    row.button.setAttribute("aria-expanded", String(yes));
  };
  const button = (from) => {
    const made = document.createElement("button");
    made.type = "button";
    made.append(...from.childNodes);
    return made;
  };
  for (const row of rows) {
    const opener = row.body.querySelector(".opener");
    row.button = button(opener);
    row.button.className = "opener";
    row.button.setAttribute("aria-controls", opener.dataset.controls);
    opener.replaceWith(row.button);
    row.button.addEventListener("click", () => open(row, row.detail.hidden));
    open(row, false);
  }

  // Filters.
  const text = document.getElementById("f-text");
  const cluster = document.getElementById("f-cluster");
  const boxes = [...document.querySelectorAll("[data-filter]")];
  const status = document.getElementById("f-status");
  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const off = boxes.filter((box) => !box.checked);
    let shown = 0;
    for (const row of rows) {
      row.shown =
        words.every((word) => row.text.includes(word)) &&
        (cluster.value === "*" || cluster.value === "=" + row.cluster) &&
        !off.some((box) => row[box.dataset.filter] === Number(box.value));
      row.body.hidden = !row.shown;
      shown += row.shown ? 1 : 0;
    }
    status.textContent = `${shown} of ${rows.length} alerts shown`;
  };
  document.getElementById("f-reset").addEventListener("click", () => {
    text.value = "";
    cluster.value = "*";
    for (const box of boxes) box.checked = true;
    filter();
  });
  document.getElementById("f-open").addEventListener("click", () => {
    for (const row of rows) if (row.shown) open(row, true);
  });
  document.getElementById("f-close").addEventListener("click", () => {
    for (const row of rows) open(row, false);
  });
  text.addEventListener("input", filter);
  for (const control of [cluster, ...boxes]) control.addEventListener("change", filter);

  // Sorting: a column's button sorts up, then down.
  const order = (left, right) => (left < right ? -1 : left > right ? 1 : 0);
  const heads = [...table.tHead.querySelectorAll("[data-sort]")];
  for (const head of heads) {
    const made = button(head);
    head.append(made);
    made.addEventListener("click", () => {
      const key = head.dataset.sort;
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort((left, right) => (down ? -1 : 1) * order(left[key], right[key]) || left.at - right.at);
      table.append(...rows.map((row) => row.body));
    });
  }

  document.querySelector(".filters").hidden = false;
  filter();
})();
