"use strict";
// Draws a chart when the reader scrolls to it, in the colours of the page, and sorts tables. It loads nothing and sends nothing.
// Trap: the library uses texts as keys of plain objects. So a text such as "constructor" gets an invisible character in front.
const read = (text) => JSON.parse(text, (_, value) => (typeof value === "string" && value in {} ? "\u200b" + value : value));
let facts = read(document.getElementById("charts").textContent);
const drawn = new Map(); // element -> chart
const dark = matchMedia("(prefers-color-scheme: dark)");
const TURNED = 60; // with at most so many labels on an axis, the labels are rotated to fit
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const palette = () => [1, 2, 3, 4, 5, 6, 7, 8].map((number) => colour("c" + number));
const base = () => ({ animation: false, color: palette(), backgroundColor: "transparent", textStyle: { color: colour("text"), fontFamily: "system-ui, sans-serif" } });
const announce = (text) => (document.getElementById("said").textContent = text);

// Returns a number as text, as short as in the table beside the chart.
function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "-";
  return Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

// Returns the function that formats values of a unit: bytes a second in decimal units, anything else as a number.
function amount(unit) {
  if (unit !== "bytes/s") return short;
  return (value) => {
    if (value === null || value === undefined) return "-";
    const place = value >= 1e9 ? 3 : value >= 1e6 ? 2 : value >= 1e3 ? 1 : 0;
    return short(value / 1000 ** place) + " " + ["B/s", "kB/s", "MB/s", "GB/s"][place];
  };
}

function cut(text, most) {
  const letters = Array.from(text);
  return letters.length > most ? letters.slice(0, most - 1).join("") + "…" : text;
}

function axis(values, name, more) {
  return Object.assign({
    type: "category", data: values, name: name, nameLocation: "middle", nameGap: 28, nameTextStyle: { color: colour("soft") },
    axisLabel: { color: colour("soft"), hideOverlap: true }, axisLine: { lineStyle: { color: colour("line") } }, axisTick: { show: false },
  }, more);
}

function measure(name, more) {
  return Object.assign({
    type: "value", scale: true, name: name, nameLocation: "end", nameTextStyle: { color: colour("soft"), align: "left" },
    axisLabel: { color: colour("soft"), formatter: amount(name) }, splitLine: { lineStyle: { color: colour("line") } },
  }, more);
}

// The tooltip is text, never markup, because a label may hold anything. Screen readers read it too.
function tooltip(trigger, tell) {
  const colours = { backgroundColor: colour("panel"), borderColor: colour("line"), textStyle: { color: colour("text") } };
  return Object.assign({ renderMode: "richText", confine: true, trigger: trigger, formatter: (point) => announce(tell(point)) }, colours);
}

// Lines and bars.
function lineOption(chart, width, height) {
  const [series, bars] = [[], chart.kind === "bar"];
  chart.lines.forEach((line, place) => {
    const shade = palette()[place % 8];
    if (line.low.length) {
      // A band is an invisible line with an area stacked on it.
      const gap = line.high.map((high, at) => (high === null || line.low[at] === null ? null : high - line.low[at]));
      const hidden = { type: "line", stack: "band" + place, symbol: "none", lineStyle: { opacity: 0 }, silent: true, tooltip: { show: false }, stackStrategy: "all" };
      series.push(Object.assign({}, hidden, { name: line.name, data: line.low, color: shade }));
      series.push(Object.assign({}, hidden, { name: line.name, data: gap, color: shade, areaStyle: { color: shade, opacity: 0.22 } }));
    }
    series.push({
      type: chart.kind, name: line.name, data: line.values, color: shade, symbol: ["circle", "rect", "triangle", "diamond"][place % 4],
      barCategoryGap: "10%", symbolSize: 6, showSymbol: chart.x.length <= 60, lineStyle: { width: 2, type: ["solid", "dashed", "dotted"][place % 3] },
    });
  });
  const tell = (points) => {
    const at = points[0].dataIndex;
    return [chart.x_name + " " + chart.x[at]].concat(chart.lines.map((line) => {
      const tell = amount(chart.y_name);
      const band = line.low.length ? " (" + tell(line.low[at]) + " to " + tell(line.high[at]) + ")" : "";
      return cut(line.name, 40) + ": " + tell(line.values[at]) + band;
    })).join("\n");
  };
  return Object.assign(base(), {
    grid: { left: 16, right: 24, top: bars ? 32 : 56, bottom: 40, containLabel: true },
    legend: { show: !bars, data: chart.lines.map((line) => line.name), top: 0, type: "plain", textStyle: { color: colour("text") }, formatter: (name) => cut(name, 40) },
    tooltip: tooltip("axis", tell),
    xAxis: axis(chart.x, chart.x_name, { boundaryGap: bars || chart.x.length < 2 }),
    yAxis: measure(chart.y_name, Object.assign({ scale: !bars, nameGap: 8, splitNumber: height < 220 ? 2 : 5 }, chart.y_name === "%" ? { min: 0, max: 100 } : {})),
    series: series,
  });
}

function intervalOption(chart, width) {
  const line = chart.lines[0];
  const letters = width < 500 ? 18 : 44;
  const series = [{ type: "bar", name: line.name, data: line.values, barMaxWidth: 18, itemStyle: { opacity: line.low.length ? 0.55 : 0.85 } }];
  if (line.low.length) {
    const stroke = { stroke: colour("text"), lineWidth: 1.5, fill: "none" };
    series.push({
      type: "custom", name: "95 % interval", data: line.values.map((_, at) => [line.low[at], line.high[at], at]), encode: { x: [0, 1], y: 2 },
      renderItem: (_, api) => {
        const [from, y] = api.coord([api.value(0), api.value(2)]);
        const [to] = api.coord([api.value(1), api.value(2)]);
        const part = (x1, y1, x2, y2) => ({ type: "line", shape: { x1: x1, y1: y1, x2: x2, y2: y2 }, style: stroke });
        return { type: "group", children: [part(from, y, to, y), part(from, y - 5, from, y + 5), part(to, y - 5, to, y + 5)] };
      },
    });
  }
  const tell = (point) => {
    const at = point.dataIndex;
    return chart.x[at] + ": " + short(line.values[at]) + (line.low.length ? " (" + short(line.low[at]) + " to " + short(line.high[at]) + ")" : "");
  };
  return Object.assign(base(), {
    grid: { left: 16, right: 24, top: 8, bottom: 40, containLabel: true },
    tooltip: tooltip("item", tell),
    xAxis: measure(chart.x_name, { scale: false, nameLocation: "middle", nameGap: 28, nameTextStyle: { color: colour("soft"), align: "center" } }),
    yAxis: axis(chart.x, "", { inverse: true, axisLabel: { color: colour("text"), interval: 0, formatter: (name) => cut(name, letters) } }),
    series: series,
  });
}

function heatOption(chart, width) {
  const largest = chart.cells.reduce((most, cell) => Math.max(most, cell[2]), 1);
  const letters = width < 500 ? 9 : 20;
  const labels = (values) => ({ color: colour("soft"), hideOverlap: true, formatter: (name) => cut(name, letters), interval: values.length <= 20 ? 0 : "auto" });
  const numbers = chart.x.length <= 20 && width >= 500;
  return Object.assign(base(), {
    grid: { left: 8, right: 16, top: 12, bottom: 84, containLabel: true },
    tooltip: tooltip("item", ({ value }) => [chart.y_name + " " + chart.y[value[1]], chart.x_name + " " + chart.x[value[0]], short(value[2])]
      .concat(group(chart, value) ? ["Enter or a click leads to its photos"] : []).join("\n")),
    // The list fixes the order of the labels. Without it, the axis uses the order of first appearance.
    xAxis: axis(chart.x, chart.x_name, { nameGap: 8, nameLocation: "end", name: "", axisLabel: Object.assign(labels(chart.x), { rotate: chart.x.length > 6 && chart.x.length <= TURNED ? 55 : 0 }) }),
    yAxis: axis(chart.y, "", { inverse: true, axisLabel: labels(chart.y) }),
    visualMap: { min: 0, max: largest, calculable: false, orient: "horizontal", left: "center", bottom: 0, itemHeight: 120, itemWidth: 12, formatter: short,
      text: [short(largest), "0"], textStyle: { color: colour("soft") }, inRange: { color: [colour("heat0"), colour("heat1"), colour("heat2")] } },
    series: [{ type: "heatmap", data: chart.cells, label: { show: numbers, formatter: (point) => short(point.value[2]) }, itemStyle: { borderWidth: chart.x.length <= 30 ? 1 : 0, borderColor: colour("page") } }],
  });
}

function aboutTrial(chart, at) {
  return [chart.lines[at].name].concat(chart.x.map((name, place) => name + ": " + short(chart.lines[at].values[place]))).join("\n");
}

function parallelOption(chart, width) {
  const last = chart.x.length - 1;
  const values = chart.lines.map((line) => line.values[last]).filter((value) => value !== null);
  const letters = Math.max(6, Math.floor(width / (chart.x.length * 11)));
  const logarithmic = (place) => {
    const held = chart.lines.map((line) => line.values[place]).filter((value) => value !== null);
    return place !== last && Math.min(...held) > 0 && Math.max(...held) / Math.min(...held) > 50;
  };
  return Object.assign(base(), {
    tooltip: tooltip("item", (point) => aboutTrial(chart, point.dataIndex)),
    parallel: { left: 56, right: 72, top: 40, bottom: 64 },
    parallelAxis: chart.x.map((name, place) => ({
      dim: place, name: cut(name, letters), type: logarithmic(place) ? "log" : "value", scale: true,
      nameTextStyle: { color: colour("text"), align: place === last && last > 0 ? "right" : place === 0 ? "left" : "center" },
      axisLabel: { color: colour("soft"), formatter: short }, axisLine: { lineStyle: { color: colour("soft") } },
    })),
    visualMap: { min: Math.min(...values), max: Math.max(...values) || 1, dimension: last, orient: "horizontal", left: "center", bottom: 0, itemHeight: 120, itemWidth: 12,
      formatter: short, text: ["best", "worst"], textStyle: { color: colour("soft") }, inRange: { color: [colour("c8"), colour("c1"), colour("c2")] } },
    series: [{ type: "parallel", lineStyle: { width: 2, opacity: 0.7 }, emphasis: { lineStyle: { width: 5, opacity: 1 } }, data: chart.lines.map((line) => ({ name: line.name, value: line.values.map((value) => (value === null ? "-" : value)) })) }],
  });
}

const OPTIONS = { line: lineOption, bar: lineOption, interval: intervalOption, heat: heatOption, parallel: parallelOption };

// Sets the height of a chart before it is drawn, so that nothing moves under the reader's pointer.
function fit(element) {
  const [rows, { kind }] = [Number(element.dataset.rows), facts[element.dataset.chart]];
  if (kind === "interval") element.style.height = 70 + 30 * rows + "px";
  if (kind === "heat") element.style.height = Math.min(140 + Math.max(14, Math.min(26, 1600 / rows)) * rows, 1400) + "px";
}

// Compiles the library at the first chart. Compiling it when the page loads would delay the first screen.
function library() {
  const text = document.getElementById("library").textContent;
  if (!window.echarts) document.body.append(Object.assign(document.createElement("script"), { text }));
  return window.echarts;
}

function draw(element) {
  const chart = facts[element.dataset.chart];
  if (element.hidden) return;
  seen.unobserve(element);
  if (drawn.has(element)) drawn.get(element).dispose();
  // A heat map has too many cells for one SVG element each.
  const plot = library().init(element, null, { renderer: chart.kind === "heat" ? "canvas" : "svg" });
  plot.setOption(OPTIONS[chart.kind](chart, element.clientWidth, element.clientHeight));
  plot.on("click", (point) => lead(chart, point.value));
  drawn.set(element, plot);
  element.dataset.drawn = "yes";
}

const group = (chart, cell) => (Array.isArray(cell) ? chart.links[cell[0] + "," + cell[1]] : undefined); // the id of the cell's group of photos
const points = (chart) => ({ heat: chart.cells, parallel: chart.lines })[chart.kind] || chart.x;

function lead(chart, cell) {
  if (!group(chart, cell)) return;
  location.hash = group(chart, cell);
  document.getElementById(group(chart, cell)).scrollIntoView(); // the browser itself scrolls only if the hash changes
}

// Returns the index of the next point in this direction; in a heat map, of the next cell that is not empty.
function next(chart, at, [x, y]) {
  if (chart.kind !== "heat") return Math.max(0, Math.min(at + x + y, points(chart).length - 1));
  const far = (cell) => (cell[0] - chart.cells[at][0]) * x + (cell[1] - chart.cells[at][1]) * y;
  const inLine = chart.cells.filter((cell) => far(cell) > 0 && (x ? cell[1] === chart.cells[at][1] : cell[0] === chart.cells[at][0]));
  return inLine.length ? chart.cells.indexOf(inLine.reduce((a, b) => (far(b) < far(a) ? b : a))) : at;
}

// Handles the keys of a chart, which do what the pointer does. The page shows their meaning while a chart has the focus.
function walk(event) {
  const { currentTarget: element, key } = event;
  if (!drawn.has(element)) draw(element);
  const [chart, plot] = [facts[element.dataset.chart], drawn.get(element)];
  const at = element.dataset.at < points(chart).length ? Number(element.dataset.at) : -1; // a chart of a followed page may have lost points
  const [trials, last] = [chart.kind === "parallel", chart.x.length - 1];
  const act = (type, more) => plot.dispatchAction(Object.assign({ type: type, seriesIndex: plot.getOption().series.length - 1 }, more));
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (WAYS[key]) {
    const to = at < 0 ? 0 : next(chart, at, WAYS[key]);
    element.dataset.at = to;
    act("downplay");
    act("highlight", { dataIndex: to });
    // The library has no position for the tooltip of a trial's line.
    const place = { x: element.clientWidth / 3, y: 50, tooltip: { formatter: () => announce(aboutTrial(chart, to)) } };
    act("showTip", trials ? place : { dataIndex: to });
  } else if (key === "Escape") {
    delete element.dataset.at;
    ["downplay", "hideTip"].forEach((type) => act(type));
    if (trials) act("axisAreaSelect", { parallelAxisIndex: last, intervals: [] });
  } else if (key === "Enter" && at >= 0) {
    if (trials) act("axisAreaSelect", { parallelAxisIndex: last, intervals: [[chart.lines[at].values[last], Infinity]] });
    else lead(chart, chart.cells[at]);
  } else if (chart.lines.length > 1 && chart.lines[key - 1]) act("legendToggleSelect", { name: chart.lines[key - 1].name });
  else return;
  event.preventDefault();
}

let places = [];
const seen = new IntersectionObserver((entries) => entries.forEach((entry) => {
  if (entry.isIntersecting && !drawn.has(entry.target)) draw(entry.target); // drawing a chart again would undo what a key has chosen
}), { rootMargin: "200px" });

// Connects the charts, buttons and tables that the document holds now with their functions.
function begin() {
  places = Array.from(document.querySelectorAll("div.chart"));
  places.forEach(fit);
  places.forEach((element) => element.addEventListener("keydown", walk));
  places.filter((element) => !element.hidden && !drawn.has(element)).forEach((element) => seen.observe(element));
  for (const button of document.querySelectorAll("button.draw")) {
    button.addEventListener("click", () => {
      const element = button.parentElement.querySelector("div.chart");
      element.hidden = false;
      draw(element);
      element.focus();
      button.remove();
    });
  }
  for (const button of document.querySelectorAll("table.sortable th button")) {
    button.addEventListener("click", () => sort(button.closest("table"), button.parentElement.cellIndex));
  }
}

const redraw = () => Array.from(drawn.keys()).forEach(draw);
dark.addEventListener("change", redraw);
let [width, waiting] = [innerWidth, 0];
addEventListener("resize", () => {
  if (innerWidth === width) return; // on a phone, the address bar changes only the height
  width = innerWidth;
  clearTimeout(waiting);
  waiting = setTimeout(redraw, 150);
});
// Before printing, draws the charts that the reader has not scrolled to, and all charts in the colours of print.
matchMedia("print").addEventListener("change", () => places.forEach(draw));
addEventListener("beforeprint", () => places.forEach(draw));

function key(row, place, number) {
  const { textContent, dataset } = row.cells[place];
  return number ? (dataset.value ? Number(dataset.value) : null) : textContent.trim();
}

function sort(table, place) {
  const header = table.tHead.rows[0].cells[place];
  const number = header.classList.contains("number");
  const [first, other] = number ? ["descending", "ascending"] : ["ascending", "descending"];
  const direction = header.getAttribute("aria-sort") === first ? other : first;
  const sign = direction === "ascending" ? 1 : -1;
  const rows = Array.from(table.tBodies[0].rows).map((row) => [key(row, place, number), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null); // unknown values come last
    return sign * (number ? a - b : a.localeCompare(b, "en", { numeric: true }));
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
}

begin();
