// Draws the table in each `<figure data-chart>`; the table stays, folded away. Which columns are drawn, and how, stands in their heads:
// `data-as` (bars stand on each other; line; dashed) and `data-colour`, a variable of the stylesheet. Values are `data-v`, words the cells' own.
"use strict";
(() => {
  const HEIGHT = 208;
  const drawn = new Map(); // figure -> chart
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

  const sizes = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      const chart = drawn.get(target.closest("figure"));
      if (chart && contentRect.width) chart.setSize({ width: contentRect.width, height: HEIGHT });
    }
  });

  // A colour as a canvas takes it; `light-dark()` is not told apart before something has it.
  function colour(within, name) {
    const probe = document.createElement("i");
    probe.style.cssText = `color: var(--${name}); forced-color-adjust: none`;
    within.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  function read(figure) {
    const table = figure.querySelector("details table");
    const rows = [...table.tBodies[0].rows];
    const columns = [...table.tHead.rows[0].cells].slice(1).map((head, place) => ({
      label: head.textContent,
      as: head.dataset.as,
      colour: colour(figure, head.dataset.colour),
      cells: rows.map((row) => row.cells[place + 1]),
    }));
    let under = rows.map(() => 0); // what bars stand on
    for (const column of columns) {
      column.values = column.cells.map((cell) => (cell.dataset.v ? Number(cell.dataset.v) : null));
      if (column.as === "bars") under = column.values = column.values.map((value, row) => (value ?? 0) + under[row]);
    }
    return { labels: rows.map((row) => row.cells[0].textContent), columns };
  }

  function series({ label, as, colour: stroke, cells }) {
    const value = (_, __, ___, row) => (row == null ? "" : cells[row].textContent.trim() || "none");
    if (as === "bars") return { label, value, stroke, fill: stroke, width: 0, paths: uPlot.paths.bars({ size: [0.7, 28] }), points: { show: false } };
    return { label, value, stroke, width: 2, dash: as === "dashed" ? [5, 5] : undefined, points: as === "dashed" ? { show: false } : { show: true, size: 5, fill: stroke } };
  }

  function draw(figure) {
    const { labels, columns } = read(figure);
    const bars = columns.filter((column) => column.as === "bars").reverse(); // the highest first, so that the lower ones cover it
    const order = [...bars, ...columns.filter((column) => column.as !== "bars")];
    const place = figure.querySelector(".plot");
    const quiet = { stroke: colour(figure, "ink-3"), font: "12px Inter, system-ui, sans-serif", ticks: { show: false } };
    drawn.get(figure)?.destroy();
    const options = {
      width: place.clientWidth,
      height: HEIGHT,
      scales: { x: { time: false, range: (_, first, last) => [first - 0.6, last + 0.6] }, y: { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] } },
      axes: [
        { ...quiet, size: 30, grid: { show: false }, incrs: [1, 2, 3, 5, 7, 10, 15, 20], space: 88, values: (_, at) => at.map((row) => labels[row] ?? "") },
        { ...quiet, grid: { stroke: colour(figure, "line"), width: 1 }, size: 52, space: 40, values: (_, at) => at.map((value) => compact.format(value)) },
      ],
      series: [{ label: "", value: (_, __, ___, row) => (row == null ? "" : labels[row]) }, ...order.map(series)],
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      legend: { markers: { width: 0, fill: (_, number) => order[number - 1]?.colour } },
    };
    drawn.set(figure, new uPlot(options, [labels.map((_, row) => row), ...order.map((column) => column.values)], place));
    if (!figure.classList.contains("drawn")) {
      figure.classList.add("drawn");
      figure.querySelector("details").open = false;
      sizes.observe(place);
    }
  }

  function drawAll() {
    for (const [figure, chart] of drawn) {
      if (figure.isConnected) continue;
      chart.destroy();
      drawn.delete(figure);
    }
    document.querySelectorAll("figure[data-chart]:not(.drawn)").forEach(draw);
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => [...drawn.keys()].forEach(draw));
  document.addEventListener("htmx:load", drawAll);
  document.fonts.ready.then(drawAll); // a canvas takes a font that is not there yet for none
})();
