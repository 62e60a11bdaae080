"use strict";
// The page of a search: plotly's figures in the colours of the page, and the table of all trials.
varscore.start(({data}) => {
  const shade = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  function draw() {
    const font = {color: shade("ink"), size: 12}, axis = {gridcolor: shade("line"), zerolinecolor: shade("line")};
    for (const [id, figure] of Object.entries(data.charts)) {
      const layout = {...figure.layout, font, xaxis: {...figure.layout.xaxis, ...axis}, yaxis: {...figure.layout.yaxis, ...axis}};
      Plotly.react(id, figure.data, layout, {responsive: true, displaylogo: false, displayModeBar: false});
    }
  }
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  const {columns, values, higher} = data.trials, count = values[0].length;
  let by = columns.indexOf(data.trials.sort), down = higher, shown = 100;
  const text = values.map(column => column.map(value => String(value ?? "")));
  const table = document.getElementById("trial-table"), filter = document.getElementById("trial-filter");

  const TESTS = {"=": (a, b) => a === b, "<": (a, b) => Number(a) < Number(b), ">": (a, b) => Number(a) > Number(b)};
  function test(term) {
    const [, name, sign, wanted] = /^(\w+)([=<>])(.+)$/.exec(term) ?? [];
    const at = columns.indexOf(name);
    if (at >= 0) return row => values[at][row] !== null && TESTS[sign](text[at][row], wanted);
    return row => text.some(column => column[row].toLowerCase().includes(term.toLowerCase()));
  }

  function order(a, b) {
    const [x, y] = [values[by][a], values[by][b]];
    if (x === null || y === null) return (x === null) - (y === null);
    const side = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
    return (down ? -side : side) || a - b;
  }

  function fill() {
    const tests = filter.value.split(/\s+/).filter(Boolean).map(test);
    const rows = [...Array(count).keys()].filter(row => tests.every(passes => passes(row))).sort(order);
    const body = table.tBodies[0];
    body.replaceChildren(...rows.slice(0, shown).map(row => {
      const line = document.createElement("tr");
      columns.forEach((name, column) => {
        const cell = line.insertCell();
        cell.textContent = text[column][row];
        if (typeof values[column][row] === "number") cell.className = "number";
      });
      return line;
    }));
    document.getElementById("trial-count").textContent = `${rows.length} of ${count} trials`;
    document.getElementById("trial-more").hidden = rows.length <= shown;
    table.tHead.querySelectorAll("th").forEach((head, column) => {
      if (column === by) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  }

  const head = table.tHead.insertRow();
  columns.forEach((name, column) => {
    const cell = document.createElement("th"), button = document.createElement("button");
    cell.scope = "col";
    button.textContent = name;
    button.addEventListener("click", () => { down = column === by ? !down : false; by = column; fill(); });
    cell.append(button);
    head.append(cell);
  });
  filter.addEventListener("input", fill);
  document.getElementById("trial-more").addEventListener("click", () => { shown += 500; fill(); });
  fill();
});
