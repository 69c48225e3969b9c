
// Shows at once what a chart's column says; without this the browser shows the same after a moment.
(() => {
  const told = document.createElement("div");
  told.id = "told";
  told.hidden = true;
  document.body.append(told);
  for (const columns of document.querySelectorAll("g.columns")) {
    for (const column of columns.children) {
      const title = column.querySelector("title");
      column.setAttribute("aria-label", title.textContent);
      title.remove();
    }
    columns.addEventListener("pointermove", (event) => {
      told.textContent = event.target.getAttribute("aria-label");
      told.hidden = false;
      const left = Math.min(event.clientX + 14, innerWidth - told.offsetWidth - 8);
      told.style.left = `${Math.max(8, left)}px`;
      told.style.top = `${event.clientY - 34}px`;
    });
    columns.addEventListener("pointerleave", () => { told.hidden = true; });
  }
})();
