"use strict";
// Every text is inserted as text. Places of the service count code points; those here, UTF-16 units.
const $ = (id) => document.getElementById(id);
const settings = JSON.parse($("settings").textContent);
const number = (value) => value.toLocaleString("en");
const percent = (part, whole) => `${((100 * part) / whole).toFixed(1)}%`;
const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

const DRAG_MS = 150; // the slider rests before the service is asked
const WAIT_MS = 300; // before a card says that it waits
const BLOCK_CHARS = 8000; // of a long text, about that much is laid out together
const MAX_BLOCK_CHARS = 4 * BLOCK_CHARS;
const FIELD_CHARS = 200000; // of a longer text, the field shows the beginning
const SHOWN_CHARS = 2000;
const BINS = 160; // of the strip, as in the heat map

let asked = null; // the text, question, file name and cards of the latest form
let fileName = null;
let longText = null; // the whole text if the field shows its beginning

// ---- texts ----

const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const wellFormed = (text) => text.replace(LONE, "\ufffd");

// What HTML or a terminal cannot carry, as visible characters of the same length.
const visible = (text) =>
  text
    .replace(/[\u0000-\u0008\u000b-\u001f]/g, (one) => String.fromCharCode(0x2400 + one.charCodeAt(0)))
    .replace(/\u007f/g, "\u2421")
    .replace(/[\u0080-\u009f]/g, "\ufffd");

// A function from ascending places in code points to places in UTF-16 units.
const placesOf = (text) => {
  if (!/[\ud800-\udbff]/.test(text)) return (point) => point;
  let unit = 0;
  let points = 0;
  return (point) => {
    if (point < points) unit = points = 0;
    for (; points < point; points += 1) unit += text.codePointAt(unit) > 0xffff ? 2 : 1;
    return unit;
  };
};

const spansOf = (text, spans) => {
  const place = placesOf(text);
  return spans.map(([start, end, ...rest]) => [place(start), place(end), ...rest]);
};

// ---- shades: by the share of scores that are at least as high ----

const firstNotBelow = (ascending, score) => {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle] < score) low = middle + 1;
    else high = middle;
  }
  return low;
};

const scaleOf = (scores) => {
  const ascending = Float64Array.from(scores).sort();
  const count = ascending.length;
  return {
    count,
    atLeast: (score) => count - firstNotBelow(ascending, score),
    level(score) {
      const share = this.atLeast(score) / count;
      return settings.shares.filter((top) => share <= top).length;
    },
  };
};

// Units, and the text between them, without overlaps.
const cellsOf = (text, units) => {
  const scale = scaleOf(units.map((unit) => unit[2]));
  const cells = [];
  let last = 0;
  for (const [start, end, score] of units) {
    if (start > last) cells.push({ start: last, end: start, level: 0, title: "" });
    if (end > Math.max(start, last)) {
      const title = `score ${score.toPrecision(3)}, rank ${number(scale.atLeast(score))} of ${number(scale.count)}`;
      cells.push({ start: Math.max(start, last), end, level: scale.level(score), title });
    }
    last = Math.max(last, end);
  }
  if (last < text.length) cells.push({ start: last, end: text.length, level: 0, title: "" });
  return cells;
};

// Cells cut at the ends of kept spans, and where a long text has a line break to begin a block at.
const piecesOf = (text, cells, kept, edges) => {
  const cuts = [...kept.flat(), ...edges].sort((one, other) => one - other);
  const pieces = [];
  let cut = 0;
  let span = 0;
  for (const cell of cells) {
    let start = cell.start;
    while (start < cell.end) {
      while (cut < cuts.length && cuts[cut] <= start) cut += 1;
      const end = Math.min(cell.end, cut < cuts.length ? cuts[cut] : cell.end);
      while (span < kept.length && kept[span][1] <= start) span += 1;
      pieces.push({ ...cell, start, end, kept: span < kept.length && kept[span][0] <= start });
      start = end;
    }
  }
  return pieces;
};

// Where the blocks of a long text end: at line breaks, or at a space where there are none.
const edgeAfter = (text, start) => {
  const line = text.indexOf("\n", start + BLOCK_CHARS) + 1;
  const most = start + MAX_BLOCK_CHARS;
  if ((line > 0 && line <= most) || text.length <= most) return line || text.length;
  const space = text.lastIndexOf(" ", most - 1) + 1;
  const edge = space > start ? space : most;
  return /[\udc00-\udfff]/.test(text[edge]) ? edge + 1 : edge;
};

const edgesOf = (text) => {
  const edges = [];
  for (let edge = edgeAfter(text, 0); edge < text.length; edge = edgeAfter(text, edge)) edges.push(edge);
  return edges;
};

// Columns and code are shown in a font of equal widths, as in the heat map.
const isAligned = (text) => {
  const lines = text.split("\n").filter((line) => line.trim());
  const aligned = lines.filter((line) => /   |\t/.test(line.trimEnd()));
  return aligned.length > 0.2 * lines.length;
};

const overlapOf = (one, other) => {
  let shared = 0;
  let place = 0;
  for (const [start, end] of one) {
    while (place < other.length && other[place][1] <= start) place += 1;
    for (let next = place; next < other.length && other[next][0] < end; next += 1) {
      shared += Math.min(end, other[next][1]) - Math.max(start, other[next][0]);
    }
  }
  return shared;
};

const lengthOf = (spans) => spans.reduce((sum, [start, end]) => sum + end - start, 0);

// ---- drawing ----

const element = (name, classes, text) => {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  if (text !== undefined) made.textContent = text;
  return made;
};

const drawBlock = (block, text, pieces) => {
  const parent = document.createDocumentFragment();
  let part = null;
  for (const piece of pieces) {
    if (!part || part.kept !== piece.kept) {
      part = { kept: piece.kept, node: element(piece.kept ? "mark" : "span") };
      parent.append(part.node);
    }
    const shown = text.slice(piece.start, piece.end);
    const classes = [piece.level ? `h${piece.level}` : "", shown.trim() ? "" : "blank"];
    const node = element("i", classes.join(" ").trim(), visible(shown));
    if (piece.title) node.title = piece.title;
    part.node.append(node);
  }
  block.replaceChildren(parent);
};

// The blocks of a text, made once, so that the browser remembers their heights.
const blocksOf = (box, edges) => {
  const count = edges.length + 1;
  while (box.childElementCount > count) box.lastElementChild.remove();
  while (box.childElementCount < count) box.append(element("div"));
  for (const block of box.children) block.className = count > 1 ? "block" : "";
  return [...box.children];
};

const drawText = (card, pieces) => {
  const { text, edges } = asked;
  let from = 0;
  blocksOf(card.find(".text.heat"), edges).forEach((block, index) => {
    const end = index < edges.length ? edges[index] : text.length;
    let to = from;
    while (to < pieces.length && pieces[to].start < end) to += 1;
    drawBlock(block, text, pieces.slice(from, to));
    from = to;
  });
};

const drawPlain = (card, text) => {
  const edges = edgesOf(text);
  blocksOf(card.find(".text.plain"), edges).forEach((block, index) => {
    block.textContent = visible(text.slice(index ? edges[index - 1] : 0, edges[index]));
  });
};

const svg = (name, values) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
  return made;
};

const drawStrip = (card, cells, kept) => {
  const { length } = asked.text;
  const sums = new Float64Array(BINS);
  const counts = new Float64Array(BINS);
  for (const cell of cells) {
    const first = Math.floor((cell.start * BINS) / length);
    const last = Math.min(BINS - 1, Math.floor(((cell.end - 1) * BINS) / length));
    for (let bin = first; bin <= last; bin += 1) {
      sums[bin] += cell.level;
      counts[bin] += 1;
    }
  }
  const marks = [];
  for (let bin = 0; bin < BINS; bin += 1) {
    const level = Math.round(sums[bin] / Math.max(1, counts[bin]));
    if (level) marks.push(svg("rect", { class: `h${level}`, x: bin, y: 0, width: 1.05, height: 16 }));
  }
  for (const [start, end] of kept) {
    const width = ((end - start) * BINS) / length;
    marks.push(svg("rect", { class: "keep", x: (start * BINS) / length, y: 17, width, height: 5 }));
  }
  card.find(".strip").replaceChildren(...marks);
};

const noteOf = (found, kept) => {
  if (found.skipped_because) {
    const reason = settings.reasons[found.skipped_because];
    return reason || `Nothing was cut: ${found.skipped_because.replaceAll("_", " ")}.`;
  }
  if (found.is_left_out || !kept.length) return "Nothing was kept: no part of the text fits the budget. Choose a larger one.";
  const warnings = {
    text_unknown_to_draft: "The draft hardly knows the language of this text, and may choose less well.",
    question_in_another_language: "The question is in another language than the text. Ask in the language of the text if you can.",
  };
  const widened = "More than the budget is kept, so that the best part of the text is there.";
  return [...(found.is_widened ? [widened] : []), ...found.language_warnings.map((one) => warnings[one] || one)].join(" ");
};

const show = (card, answer, budget) => {
  const [found] = answer.documents;
  const { text } = asked;
  asked.shown = budget;
  card.budget = budget;
  const kept = spansOf(text, found.kept);
  const units = spansOf(text, found.units || []);
  const cells = cellsOf(text, units);
  if (card.firstSeconds === null && units.length) card.firstSeconds = answer.elapsed_seconds;
  const now = `${answer.elapsed_seconds.toFixed(2)} s`;
  const isFirst = card.firstSeconds === null || card.firstSeconds === answer.elapsed_seconds;
  Object.assign(card, { kept, counts: [found.kept_tokens, found.original_tokens], compressed: found.text });
  const share = found.original_tokens ? ` (${percent(found.kept_tokens, found.original_tokens)})` : "";
  card.find(".tokens").textContent = `${number(found.original_tokens)} → ${number(found.kept_tokens)}${share}`;
  card.find(".time").textContent = isFirst ? now : `${card.firstSeconds.toFixed(2)} s, then ${now}`;
  card.find("dl").hidden = false;
  card.say(noteOf(found, kept), false);
  drawText(card, piecesOf(text, cells, kept, asked.edges));
  drawStrip(card, cells, kept);
  drawPlain(card, found.text);
  for (const shown of card.node.querySelectorAll(".strip, .text, .copy")) shown.removeAttribute("hidden");
};

const showOverlaps = () => {
  const [first, ...others] = asked.cards;
  first.find(".shared").hidden = true;
  for (const card of others) {
    const isKnown = first.kept && card.kept && card.budget === first.budget && lengthOf(card.kept) > 0;
    card.find(".shared").hidden = !isKnown;
    card.find(".first").textContent = first.name;
    if (isKnown) card.find(".overlap").textContent = percent(overlapOf(card.kept, first.kept), lengthOf(card.kept));
  }
};

// ---- asking ----

const say = (text) => {
  $("status").textContent = text;
};

const errorOf = async (reply) => {
  const fallback = `The playground answered with status ${reply.status}.`;
  try {
    const { error } = await reply.json();
    const details = (error.details || []).map((one) => `${one.field}: ${one.message}`);
    return [error.message, ...details].join(" ") || fallback;
  } catch {
    return fallback;
  }
};

const send = async (card, budget) => {
  const { text, query, name } = asked;
  const reply = await fetch(`${encodeURIComponent(card.name)}/v1/compress`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      documents: [{ text, name }],
      query,
      budget: { keep_fraction: budget / 100 },
      with_units: true,
    }),
    signal: card.stop.signal,
  });
  if (!reply.ok) throw new Error(await errorOf(reply));
  return reply.json();
};

const clock = (card) => {
  const seconds = (performance.now() - card.since) / 1000;
  card.find(".wait").hidden = seconds * 1000 < WAIT_MS;
  const doing = card.kept ? "Choosing" : "Reading";
  card.find(".clock").textContent = `${doing} ${plural(asked.text.length, "character")}: ${seconds.toFixed(0)} s`;
};

// A reading is not ended by a drag: what was read is remembered, and the next budget is quick.
const work = async (card) => {
  if (card.isBusy) return;
  const mine = asked;
  card.isBusy = true;
  card.since = performance.now();
  card.node.setAttribute("aria-busy", "true");
  const ticking = setInterval(() => clock(card), 250);
  try {
    while (card.wanted !== null) {
      const budget = card.wanted;
      card.wanted = null;
      card.stop = new AbortController();
      const answer = await send(card, budget);
      if (asked !== mine) return;
      show(card, answer, budget);
    }
  } catch (error) {
    if (asked === mine) fail(card, error);
  } finally {
    clearInterval(ticking);
    card.isBusy = false;
    card.node.removeAttribute("aria-busy");
    card.find(".wait").hidden = true;
    if (asked === mine) settle();
  }
};

const fail = (card, error) => {
  card.wanted = null;
  card.failed = error.name === "AbortError" ? "cancelled" : "failed";
  if (error.name === "AbortError") card.say("Cancelled. Press Compress to read the text again.", false);
  else if (error instanceof TypeError) card.say("The playground does not answer. Does `specprefill playground` still run?", true);
  else card.say(error.message, true);
};

const settle = () => {
  const busy = asked.cards.filter((card) => card.isBusy);
  $("cancel").disabled = !busy.length;
  if (busy.length) return;
  showOverlaps();
  showBudget();
  $("sharing").hidden = !asked.cards.some((card) => card.kept);
  const lines = asked.cards.map((card) => {
    if (card.failed) return `${card.name} ${card.failed}`;
    const [kept, all] = card.counts;
    return `${card.name} kept ${number(kept)} of ${plural(all, "token")}`;
  });
  say(`Done: ${lines.join("; ")}.`);
};

const askAll = () => {
  const budget = Number($("budget").value);
  for (const card of asked.cards) {
    card.wanted = budget;
    card.failed = null;
    work(card);
  }
  $("cancel").disabled = false;
};

const cardOf = (name) => {
  const node = $("card").content.firstElementChild.cloneNode(true);
  const card = { name, node, wanted: null, kept: null, failed: null, firstSeconds: null, isBusy: false };
  card.find = (selector) => node.querySelector(selector);
  card.say = (text, isBad) => {
    const note = card.find(".note");
    note.textContent = text;
    note.hidden = !text;
    note.classList.toggle("bad", isBad);
  };
  const heading = card.find("h2");
  heading.textContent = name;
  heading.id = `scorer-${name}`;
  node.setAttribute("aria-labelledby", heading.id);
  card.find(".copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(card.compressed);
      say(`Copied what ${name} kept.`);
    } catch {
      say("The browser did not allow to copy. Select the text instead.");
    }
  });
  return card;
};

const stopAll = () => {
  for (const card of asked ? asked.cards : []) {
    card.wanted = null;
    if (card.isBusy) card.stop.abort();
  }
};

// ---- the form ----

const complain = (id, text) => {
  const field = $(id);
  $(`${id}-error`).textContent = text;
  $(`${id}-error`).hidden = !text;
  if (text) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
};

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = longText ?? $("text").value;
  const text = wellFormed(given);
  const query = wellFormed($("query").value);
  const names = [...document.querySelectorAll("#scorers :checked")].map((box) => box.value);
  const isLong = text.length > settings.maxChars;
  const long = `The text has ${number(text.length)} characters; at most ${number(settings.maxChars)} are read.`;
  complain("text", isLong ? long : text.trim() ? "" : "There is no text. Paste one, open a file, or fill in the example.");
  complain("scorers", names.length ? "" : "Choose at least one scorer.");
  if (isLong || !text.trim()) $("text").focus();
  else if (!names.length) document.querySelector("#scorers input").focus();
  else {
    stopAll();
    asked = { text, query, name: fileName, edges: edgesOf(text), cards: names.map(cardOf) };
    for (const card of asked.cards) {
      for (const box of card.node.querySelectorAll(".text")) box.classList.toggle("aligned", isAligned(text));
    }
    $("cards").replaceChildren(...asked.cards.map((card) => card.node));
    $("sharing").hidden = true;
    const repaired = text === given ? "" : " Characters that are not valid Unicode are shown as \ufffd.";
    say(`Reading ${plural(text.length, "character")} with ${names.join(", ")}.${repaired}`);
    askAll();
  }
});

const noteSize = () => {
  const { length } = longText ?? $("text").value;
  const from = fileName ? ` from ${visible(fileName)}` : "";
  const part = longText === null ? "" : `; the first ${number(SHOWN_CHARS)} are shown`;
  $("size").textContent = length ? `${plural(length, "character")}${from}${part}.` : "No text yet.";
  $("clear").hidden = !length;
};

const setText = (given, name) => {
  const text = given.replace(/\r\n?/g, "\n");
  const isLong = text.length > FIELD_CHARS;
  longText = isLong ? text : null;
  fileName = name;
  $("text").value = isLong ? `${text.slice(0, SHOWN_CHARS)}…` : text;
  $("text").readOnly = isLong;
  noteSize();
  complain("text", "");
};

$("text").addEventListener("input", () => {
  fileName = null;
  noteSize();
  complain("text", "");
});

// The field itself would take seconds to lay out a long line.
$("text").addEventListener("paste", (event) => {
  const text = event.clipboardData.getData("text/plain");
  if (text.length <= FIELD_CHARS) return;
  event.preventDefault();
  setText(text, null);
  say(`Pasted ${plural(text.length, "character")} in place of what was there.`);
});

$("clear").addEventListener("click", () => {
  setText("", null);
  $("file").value = "";
  $("text").focus();
});

$("scorers").addEventListener("change", () => complain("scorers", ""));

const decoded = (bytes) => {
  const [one, other] = bytes;
  const wide = one === 0xff && other === 0xfe ? "utf-16le" : one === 0xfe && other === 0xff ? "utf-16be" : "utf-8";
  return new TextDecoder(wide, { fatal: true }).decode(bytes);
};

const openFile = async (file) => {
  try {
    if (file.size > 4 * settings.maxChars) throw new RangeError();
    const text = decoded(new Uint8Array(await file.arrayBuffer()));
    if (text.includes("\0")) throw new TypeError();
    setText(text, file.name);
    say(`Opened ${visible(file.name)}: ${plural(text.length, "character")}.`);
  } catch (error) {
    const why = error instanceof RangeError ? "is too large" : "is no text in UTF-8 or UTF-16";
    complain("text", `${visible(file.name)} ${why}.`);
  }
};

$("file").addEventListener("change", () => {
  if ($("file").files.length) openFile($("file").files[0]);
});

const hasFiles = (event) => [...(event.dataTransfer ? event.dataTransfer.types : [])].includes("Files");

addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  $("text").classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("text").classList.remove("over");
});
addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  $("text").classList.remove("over");
  if (event.dataTransfer.files.length) openFile(event.dataTransfer.files[0]);
});

$("example").addEventListener("click", () => {
  setText(settings.example.text, null);
  $("query").value = settings.example.query;
  $("text").scrollTop = 0;
  say("The example is filled in. Press Compress.");
});

$("cancel").addEventListener("click", () => {
  stopAll();
  $("run").focus();
});

// ---- the budget ----

let resting = 0;

const showBudget = () => {
  const { value } = $("budget");
  const counts = asked && asked.cards[0].counts;
  const limit = counts ? `, about ${number(Math.max(1, Math.floor((value * counts[1]) / 100)))}` : "";
  $("budget-shown").textContent = `${value}% of the tokens${limit}`;
  $("budget").setAttribute("aria-valuetext", `${value} percent of the tokens${limit}`);
};

$("budget").addEventListener("input", () => {
  showBudget();
  clearTimeout(resting);
  if (asked) resting = setTimeout(askAll, DRAG_MS);
});

showBudget();
noteSize();

// ---- saving ----

const fact = (name, value) => {
  const row = element("div");
  row.append(element("dt", "", name), element("dd", "", value));
  return row;
};

const savedPage = () => {
  const page = document.implementation.createHTMLDocument("");
  const meta = (values) => {
    const made = page.createElement("meta");
    for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
    return made;
  };
  const title = asked.query.trim() ? visible(asked.query) : "No question: main points of the text";
  const style = page.createElement("style");
  style.textContent = document.querySelector("style").textContent;
  const policy = `default-src 'none'; style-src '${settings.styleHash}'; img-src data:`;
  page.documentElement.lang = "en";
  page.head.replaceChildren(
    meta({ charset: "utf-8" }),
    meta({ "http-equiv": "Content-Security-Policy", content: policy }),
    meta({ name: "viewport", content: "width=device-width, initial-scale=1" }),
    meta({ name: "color-scheme", content: "light dark" }),
    page.createElement("title"),
    style,
  );
  page.title = `${title} · specprefill`;
  const header = element("header", "page");
  const heading = element("h1", "", title);
  heading.dir = "auto";
  const facts = element("dl");
  facts.append(fact("Budget", `${asked.shown}% of the tokens`), fact("Draft", settings.draft), fact("Text", asked.name ? visible(asked.name) : plural(asked.text.length, "character")));
  header.append(element("p", "eyebrow", "specprefill playground: what a question needs of a text"), heading, facts);
  const bar = document.querySelector(".bar").cloneNode(true);
  bar.querySelector(".budget").remove();
  bar.setAttribute("aria-label", "View");
  const main = element("main");
  const cards = element("div", "cards");
  cards.append(...asked.cards.filter((card) => card.kept && card.budget === asked.shown).map((card) => card.node.cloneNode(true)));
  const results = element("section", "page");
  results.append(cards);
  main.append(bar, results);
  for (const gone of main.querySelectorAll("button, .wait")) gone.remove();
  const footer = element("footer", "page", "This file contains the whole text and the question, because they were saved on purpose. It needs no network and runs no script.");
  page.body.append(header, main, footer);
  return `<!doctype html>\n${page.documentElement.outerHTML}\n`;
};

$("save").addEventListener("click", () => {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([savedPage()], { type: "text/html;charset=utf-8" }));
  link.download = "specprefill.html";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say("Saved as specprefill.html. The file contains the whole text and the question.");
});
