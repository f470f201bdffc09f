"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // One page at a time, by the address's fragment; without scripts, and in print, all pages follow one another.
  const pages = all("section.page");
  const show = (move) => {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = document.getElementById(id);
    const page = (target && target.closest("section.page")) || pages[0];
    for (const other of pages) other.hidden = other !== page;
    for (const link of all("nav.pages a")) {
      if (link.hash === "#" + page.id) {
        link.setAttribute("aria-current", "page");
        link.scrollIntoView({ block: "nearest", inline: "nearest" });
      } else link.removeAttribute("aria-current");
    }
    if (move) {
      if (target && target !== page) target.scrollIntoView();
      else window.scrollTo(0, 0);
      page.querySelector("h2").focus({ preventScroll: true });
    }
  };
  history.scrollRestoration = "manual";
  addEventListener("hashchange", () => show(true));
  addEventListener("load", () => show(location.hash.length > 1));
  show(false);

  // Columns sort by the button in their header; rows of a separate body (chance, published values) stay apart.
  const status = document.getElementById("status");
  const value = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.v ?? cell.textContent.trim();
    const number = Number(text);
    return text === "" ? null : Number.isNaN(number) ? text.toLowerCase() : number;
  };
  for (const button of all("th button")) {
    button.addEventListener("click", () => {
      const header = button.closest("th");
      const column = header.cellIndex;
      const table = header.closest("table");
      const numeric = header.dataset.text === undefined;
      const now = header.getAttribute("aria-sort");
      const descending = now === "none" ? numeric : now === "ascending";
      for (const other of all("th[aria-sort]", table)) other.setAttribute("aria-sort", "none");
      header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      for (const body of table.tBodies) {
        const rows = [...body.rows].filter((row) => !row.classList.contains("note"));
        const keyed = rows.map((row) => [value(row, column), row]);
        keyed.sort(([a], [b]) => {
          if (a === null || b === null) return (a === null) - (b === null);
          const order = a < b ? -1 : a > b ? 1 : 0;
          return descending ? -order : order;
        });
        for (const [, row] of keyed) body.append(row);
      }
      status.textContent = `Sorted by ${button.textContent.trim()}, ${descending ? "descending" : "ascending"}`;
    });
  }

  // The filter hides models everywhere: rows of tables, lines of charts, entries of legends.
  const form = document.querySelector("form.filter");
  const filter = () => {
    const words = form.elements.model.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kinds = new Set(all("input[name=kind]:not(:checked)", form).map((box) => box.value));
    const group = form.elements.group ? form.elements.group.value : "";
    let shown = 0;
    for (const item of all("[data-model]")) {
      const name = item.dataset.model.toLowerCase();
      item.toggleAttribute("hidden", kinds.has(item.dataset.kind) || !words.every((word) => name.includes(word)));
      if (item.tagName === "TR" && !item.hasAttribute("hidden")) shown += 1;
    }
    for (const item of all("[data-group]")) item.hidden = group !== "" && item.dataset.group !== group;
    status.textContent = shown ? "" : "No model has this in its name";
  };
  form.addEventListener("input", filter);
  form.addEventListener("change", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;

  // On paper nothing is folded away that a letter or number on it points to.
  addEventListener("beforeprint", () => all("details.notes").forEach((notes) => { notes.open = true; }));

  const theme = document.querySelector("button.theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
})();
