"use strict";
// Sends photos to byoc try, shows the model's answers, and keeps photos that are predicted wrongly. Names are set as text, never as markup.
const settings = JSON.parse(document.getElementById("settings").textContent);
const SIDE = 480; // pixels of the longer side of a shown photo
const DARKEST = 205; // of 255; opacity of the shade over parts without evidence of a class
const LISTED = 200; // number of classes that the dialog lists at most
const find = (id) => document.getElementById(id);
const [results, dialog, filter, choices] = ["results", "classes", "filter", "choices"].map(find);
const classes = new Set(); // classes in the answers so far
const waiting = []; // cards whose photo has not been sent yet
let running = 0;
let note = ""; // sentence on photos that were left out
let chosen = null; // the card for which the dialog is open

function make(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function press(text, action) {
  const button = make("button", "press", text);
  button.type = "button";
  button.addEventListener("click", action);
  return button;
}

const percent = (share) => (100 * share).toFixed(1) + " %";
const span = (seconds) => (seconds < 1 ? Math.round(1000 * seconds) + " ms" : seconds.toFixed(1) + " s");

// Returns the server's answer as an object. Throws an Error with one sentence.
async function send(route, query, file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Error("the browser cannot read it: it is a folder, or it was moved or changed");
  }
  let response, answer;
  try {
    response = await fetch("/" + route + "?" + new URLSearchParams(query), {
      method: "POST", body: file, redirect: "error",
      headers: { [settings.header]: settings.token, "Content-Type": "application/octet-stream" },
    });
    answer = await response.json();
  } catch {
    throw new Error("byoc try does not answer; if its terminal says that it has ended, start it again and open its new address");
  }
  if (!response.ok) throw new Error(answer.message);
  return answer;
}

function add(files) {
  const room = Math.max(0, settings.most - results.children.length);
  for (const file of files.slice(0, room)) {
    const article = find("card").content.cloneNode(true).firstElementChild;
    article.querySelector(".name").textContent = file.name;
    results.append(article);
    waiting.push({ file, article, part: (name) => article.querySelector(name), answer: null, base: null, kept: "" });
  }
  find("clear").hidden = results.children.length === 0;
  note = files.length > room ? ` The page holds ${settings.most} photos; ${files.length - room} were left out. Clear it for more.` : "";
  tell();
  pump();
}

function tell() {
  const all = results.children.length;
  const failed = results.querySelectorAll(".failed").length;
  const answered = results.querySelectorAll(".answered").length;
  find("status").textContent = all
    ? `${answered} of ${all} ${all === 1 ? "photo" : "photos"} answered${failed ? `, ${failed} refused` : ""}.` + note : "No photo yet.";
}

function pump() {
  while (running < settings.at_a_time && waiting.length) {
    running += 1;
    ask(waiting.shift()).finally(() => { running -= 1; tell(); pump(); });
  }
}

async function ask(card) {
  card.article.classList.remove("failed");
  card.part(".actions").replaceChildren();
  card.part(".sentence").textContent = "asking";
  if (card.file.size > settings.largest) {
    return fail(card, `${(card.file.size / 1e6).toFixed(1)} MB are over the limit of ${settings.largest / 1e6} MB; make the photo smaller`);
  }
  await preview(card); // before the clock starts, because the browser needs some time to show a large photo
  const start = performance.now();
  try {
    card.answer = await send("predict", { name: card.file.name }, card.file);
  } catch (error) {
    fail(card, error.message);
    card.part(".actions").append(press("Try again", () => { waiting.push(card); pump(); }));
    return;
  }
  for (const label of card.answer.labels) classes.add(label.name);
  card.article.classList.add("answered");
  card.part(".sentence").textContent = "";
  showLabels(card);
  showTime(card, (performance.now() - start) / 1000);
  showKept(card);
}

function fail(card, sentence) {
  card.article.classList.add("failed");
  card.part(".sentence").textContent = sentence;
}

// Shows the photo. Some browsers cannot show every photo that the model can read.
async function preview(card) {
  try {
    const whole = await createImageBitmap(card.file);
    const scale = Math.min(1, SIDE / Math.max(whole.width, whole.height));
    card.base = new OffscreenCanvas(Math.max(1, Math.round(whole.width * scale)), Math.max(1, Math.round(whole.height * scale)));
    card.base.getContext("2d").drawImage(whole, 0, 0, card.base.width, card.base.height);
    whole.close();
    draw(card);
  } catch {
    card.part(".caption").textContent = "This browser cannot show the photo.";
  }
}

// Draws the photo and, if given, where the model looked: parts with less evidence of the class are darker, and so is the part outside the crop.
function draw(card, look, label) {
  const canvas = card.part("canvas");
  const context = canvas.getContext("2d");
  [canvas.width, canvas.height, canvas.hidden] = [card.base.width, card.base.height, false];
  canvas.setAttribute("aria-label", card.file.name + (look ? ", where the model looked for " + label : ""));
  context.drawImage(card.base, 0, 0);
  if (!look) return;
  const shade = new OffscreenCanvas(look.rows[0].length, look.rows.length);
  const pixels = new ImageData(shade.width, shade.height);
  look.rows.flat().forEach((value, place) => { pixels.data[4 * place + 3] = Math.round(DARKEST * (1 - value)); });
  shade.getContext("2d").putImageData(pixels, 0, 0);
  const side = Math.min(canvas.width, canvas.height) * look.crop;
  const square = [(canvas.width - side) / 2, (canvas.height - side) / 2, side, side];
  context.imageSmoothingQuality = "high";
  context.drawImage(shade, ...square);
  const outside = new Path2D();
  outside.rect(0, 0, canvas.width, canvas.height);
  outside.rect(...square);
  context.fillStyle = `rgb(0 0 0 / ${DARKEST / 255})`;
  context.fill(outside, "evenodd");
  context.strokeStyle = "#fff";
  context.strokeRect(...square);
}

function showLabels(card) {
  const items = card.answer.labels.slice(0, settings.shown).map((label) => {
    const line = make(settings.look ? "button" : "div", "label");
    const bar = make("span", "bar");
    bar.append(make("span", ""));
    bar.firstChild.style.width = percent(label.probability).replace(" ", "");
    line.append(make("span", "text", label.name), make("span", "percent", percent(label.probability)), bar);
    if (settings.look) {
      line.type = "button";
      line.setAttribute("aria-pressed", "false");
      line.addEventListener("click", () => look(card, label.name, line));
    }
    const item = make("li", "");
    item.append(line);
    return item;
  });
  card.part(".labels").replaceChildren(...items);
}

async function look(card, label, line) {
  const again = line.getAttribute("aria-pressed") === "true";
  for (const other of card.article.querySelectorAll(".label")) other.setAttribute("aria-pressed", "false");
  const caption = card.part(".caption");
  caption.textContent = "";
  if (card.base) draw(card);
  if (again) return;
  line.setAttribute("aria-pressed", "true");
  caption.textContent = "computing where the model looked";
  let sentence;
  try {
    const found = await send("look", { label }, card.file);
    if (line.getAttribute("aria-pressed") !== "true") return; // another label was pressed meanwhile
    const nothing = !found.rows.flat().some((value) => value > 0);
    sentence = nothing ? `Nothing in the square is evidence of ${label}.` : `The brighter a part, the more evidence of ${label} it holds. The model sees only the square.`;
    if (card.base) draw(card, found, label);
    else sentence = "This browser cannot show the photo.";
  } catch (error) {
    sentence = error.message;
    line.setAttribute("aria-pressed", "false");
  }
  caption.textContent = sentence;
}

function showTime(card, total) {
  const { seconds, parts } = card.answer;
  const known = parts ? parts.model + parts.decode + parts.queue : seconds;
  const named = parts ? [["model", parts.model], ["reading the photo", parts.decode], ["waiting", parts.queue]] : [["model and the way to it", seconds]];
  named.push([parts ? "network" : "way from this page", Math.max(0, total - known)]);
  const bar = make("span", "bar");
  bar.setAttribute("aria-hidden", "true");
  for (const [, share] of named) {
    const piece = make("span", "");
    piece.style.width = (100 * share) / total + "%";
    bar.append(piece);
  }
  card.part(".time").replaceChildren(`${span(total)}: ${named.map(([name, value]) => `${name} ${span(value)}`).join(", ")}`, bar);
}

function showKept(card, said) {
  const actions = [said ?? (card.kept && `Kept as ${card.kept}`)];
  if (settings.keep) {
    const open = press(card.kept ? "Another class" : "Wrong: keep it", () => openClasses(card));
    open.setAttribute("aria-haspopup", "dialog");
    actions.push(open);
  }
  if (card.kept) actions.push(press("Undo", () => keep(card, "forget", {})));
  card.part(".actions").replaceChildren(...actions.filter(Boolean));
}

function openClasses(card) {
  chosen = card;
  filter.value = "";
  find("classes-photo").textContent = card.file.name;
  fillClasses();
  dialog.showModal();
}

// Lists the classes in the model's order for this photo, then the classes of other answers.
function fillClasses() {
  const ranked = chosen.answer.labels.map((label) => label.name);
  const names = [...new Set([...ranked, ...Array.from(classes).sort((a, b) => a.localeCompare(b, "en", { numeric: true }))])];
  const wanted = filter.value.trim().toLowerCase();
  const matching = names.filter((name) => name.toLowerCase().includes(wanted));
  choices.replaceChildren(...matching.slice(0, LISTED).map((name) => {
    const item = make("li", "");
    item.append(press(name, () => { dialog.close(); keep(chosen, "keep", { name: chosen.file.name, label: name }); }));
    return item;
  }));
  find("more").hidden = matching.length > 0 && matching.length <= LISTED;
  find("more").textContent = matching.length ? `${LISTED} of ${matching.length} classes are listed; write a part of the name.` : "The model has no such class.";
}

async function keep(card, route, query) {
  let said;
  try {
    card.kept = (await send(route, query, card.file)).kept ?? "";
  } catch (error) {
    said = "Not done: " + error.message;
  }
  showKept(card, said);
  card.part(".actions button")?.focus();
}

for (const input of [find("choose"), find("camera")]) {
  input.addEventListener("change", () => { add(Array.from(input.files)); input.value = ""; });
}
filter.addEventListener("input", fillClasses);
find("cancel").addEventListener("click", () => dialog.close());
find("clear").addEventListener("click", () => {
  waiting.length = 0;
  results.replaceChildren();
  find("clear").hidden = true;
  tell();
  find("choose").focus();
});
// Without this, the browser opens a photo that is dropped outside the drop area, and the page is lost.
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    find("drop").classList.toggle("over", name === "dragenter" || name === "dragover");
    if (name === "drop" && event.dataTransfer) add(Array.from(event.dataTransfer.files));
  });
}
