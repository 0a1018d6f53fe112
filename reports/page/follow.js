"use strict";
// Asks the server of this page for a newer version, and replaces the content: open parts stay open, tables keep their order, and
// nothing moves under the reader.
const AGAIN = 1000; // milliseconds
let known = ""; // ETag of the page that is shown

function caption(table) {
  return table.caption ? table.caption.textContent : "";
}

// Returns a name of a details element that stays the same in the next version of the page.
function of(element) {
  const section = element.closest("section");
  const text = element.querySelector("summary").textContent.replace(/ \([0-9,]+ rows\)$/, "");
  return (section ? section.id : "") + " " + text;
}

function remember(main) {
  const active = document.activeElement;
  return {
    open: new Set(Array.from(main.querySelectorAll("details[open]")).map(of)),
    drawn: new Map(Array.from(main.querySelectorAll("div.chart")).filter((one) => drawn.has(one)).map((one) => [chartName(one), one])),
    sorted: new Map(Array.from(main.querySelectorAll("th[aria-sort]")).map((head) => [caption(head.closest("table")), [head.cellIndex, head.getAttribute("aria-sort")]])),
    scrolled: new Map(Array.from(main.querySelectorAll("div.scroll")).map((one) => [one.getAttribute("aria-label"), [one.scrollLeft, one.scrollTop]])),
    focus: main.contains(active) ? focusPlace(active) : null,
  };
}

// Returns a unique name of a chart: a finding shows a small copy of a chart, and two findings may show the same chart.
function chartName(element) {
  const finding = element.closest("article");
  return element.dataset.chart + (finding ? " " + finding.querySelector(".rule").textContent : "");
}

function focusable(part) {
  return Array.from(part.querySelectorAll("a, button, summary, [tabindex]"));
}

// Returns the position of the focus: the id of the chart or section around it, and its index among the focusable elements in there.
function focusPlace(element) {
  const part = element.closest("figure[id], section[id]");
  return part ? [part.id, focusable(part).indexOf(element)] : null;
}

// Returns the id and the position of the first visible section or chart, so that it can stay at this position.
function anchor() {
  const found = Array.from(document.querySelectorAll("main section, main figure")).filter((one) => one.id && one.getBoundingClientRect().bottom > 0);
  const first = found.find((one) => one.getBoundingClientRect().top >= 0) || found[found.length - 1];
  return first ? [first.id, first.getBoundingClientRect().top] : null;
}

function replace(text) {
  const next = new DOMParser().parseFromString(text, "text/html");
  const old = document.querySelector("main");
  const main = document.adoptNode(next.querySelector("main"));
  const before = facts;
  const kept = remember(old);
  const held = anchor();
  facts = read(next.getElementById("charts").textContent);
  // Move each drawn chart into the new page. Draw it again only if its numbers have changed.
  const changed = [];
  for (const place of main.querySelectorAll("div.chart")) {
    const earlier = kept.drawn.get(chartName(place));
    if (!earlier || facts[place.dataset.chart].kind !== before[place.dataset.chart].kind) continue;
    const button = place.parentElement.querySelector("button.draw");
    if (button) button.remove();
    earlier.setAttribute("aria-label", place.getAttribute("aria-label"));
    earlier.dataset.rows = place.dataset.rows;
    kept.drawn.delete(chartName(place));
    place.replaceWith(earlier);
    if (JSON.stringify(facts[earlier.dataset.chart]) !== JSON.stringify(before[earlier.dataset.chart])) changed.push(earlier);
  }
  for (const details of main.querySelectorAll("details")) details.open = kept.open.has(of(details));
  for (const part of ["h1", ".headline", ".made", "nav"]) {
    document.querySelector("header " + part).replaceWith(document.adoptNode(next.querySelector("header " + part)));
  }
  document.title = next.title;
  old.replaceWith(main);
  for (const gone of Array.from(drawn.keys()).filter((one) => !one.isConnected)) {
    drawn.get(gone).dispose();
    drawn.delete(gone);
  }
  begin();
  changed.forEach(draw);
  for (const table of main.querySelectorAll("table.sortable")) {
    const [place, direction] = kept.sorted.get(caption(table)) || [];
    for (let turn = 0; place !== undefined && turn < 2 && table.tHead.rows[0].cells[place].getAttribute("aria-sort") !== direction; turn++) sort(table, place);
  }
  for (const one of main.querySelectorAll("div.scroll")) {
    const [left, top] = kept.scrolled.get(one.getAttribute("aria-label")) || [0, 0];
    one.scrollTo(left, top);
  }
  const part = kept.focus && document.getElementById(kept.focus[0]);
  const reached = part && focusable(part)[kept.focus[1]];
  if (reached) reached.focus({ preventScroll: true });
  const place = held && document.getElementById(held[0]);
  if (place) scrollBy({ top: place.getBoundingClientRect().top - held[1], behavior: "instant" });
}

function say(text) {
  const line = document.getElementById("following");
  if (line.textContent !== text) line.textContent = text;
}

async function look() {
  try {
    const answer = await fetch("/", { cache: "no-store", headers: known ? { "If-None-Match": known } : {} });
    if (answer.status === 200) {
      known = answer.headers.get("ETag");
      replace(await answer.text());
    }
    say(decodeURIComponent(answer.headers.get("X-Byoc-State") || ""));
  } catch (error) {
    say("The program that served this page no longer answers: this is the last version of the page.");
  }
  setTimeout(look, AGAIN);
}

setTimeout(look, AGAIN);
