"use strict";
// Episodes are data here and nothing else: whatever was said is put on the page by textContent, never as markup.

const KEPT = 12; // unpacked chunks that are held
const LONG = 4000; // characters of a text that are shown at once
const ROW = 74; // pixels of a row in the list
const UNKNOWN = "–";
// Control characters, marks of direction and widths of nothing; joiners are left, which letters and pictures need.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

const page = {
  index: null, // runs, measures, rows
  rows: [], // rows that pass the filters, or pairs of them: [row, other or null]
  open: null, // the pair that is shown
  turn: null, // the turn that is marked
  matching: null, // places of the rows whose words match the search; null without a search
  searches: 0,
  tokens: false,
  hidden: new Set(), // rewards that are not shown
};

const $ = (id) => document.getElementById(id);

/** An element with a class, attributes and children: texts, elements, or nothing. */
function make(tag, kind, ...children) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

// --- data ---------------------------------------------------------------------------------------------------------

async function unpack(node) {
  const bytes = Uint8Array.from(atob(node.textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

const held = new Map();

/** The episodes of a chunk; those asked for last are kept. */
function chunk(number) {
  const found = held.get(number) || unpack(document.querySelectorAll("script.chunk")[number]);
  held.delete(number);
  held.set(number, found);
  if (held.size > KEPT) held.delete(held.keys().next().value);
  return found;
}

async function episodeOf(row) {
  return (await chunk(Math.floor(row.place / page.index.chunk)))[row.place % page.index.chunk];
}

/** All that was said and stands in an episode, in small letters. */
function wordsOf(episode) {
  const seats = episode.seats.flatMap((seat) => [seat.name, seat.policy, seat.goal, seat.secret, seat.background]);
  const turns = episode.turns.flatMap((turn) => [turn.text, turn.raw || "", turn.invalid || ""]);
  const found = episode.judgements.flatMap((one) => one.evidence.flatMap(([, seats]) => seats.flat()));
  return [episode.key, episode.situation, episode.ending, ...seats, ...turns, ...found].join("\n").toLowerCase();
}

const words = [];

async function wordsOfChunk(number) {
  const size = page.index.chunk;
  if (words[number * size] === undefined) {
    // Not kept in `held`: a search goes through all of them.
    const episodes = await unpack(document.querySelectorAll("script.chunk")[number]);
    episodes.forEach((episode, place) => (words[number * size + place] = wordsOf(episode)));
  }
}

// --- numbers and texts --------------------------------------------------------------------------------------------

function number(value, signed = false) {
  if (value === null || value === undefined) return UNKNOWN;
  const short = Math.abs(value) < 1000 ? Number(value.toPrecision(3)) : Math.round(value);
  const text = String(short).replaceAll("-", "−");
  return signed && value > 0 ? `+${text}` : text;
}

/** A text as it was written: isolated, in its own direction, what cannot be seen spelt out, the rest of a long one on
 * demand. */
function said(text, kind = "") {
  const box = make("bdi", `said ${kind}`.trim());
  box.dir = "auto";
  const fill = (shown) => {
    let start = 0;
    for (const found of shown.matchAll(UNSEEN)) {
      const code = found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      box.append(shown.slice(start, found.index), make("span", "unseen", `⟨${code}⟩`));
      start = found.index + found[0].length;
    }
    box.append(shown.slice(start));
  };
  fill(text.length > LONG ? text.slice(0, LONG / 2) : text);
  if (text.length > LONG) {
    const more = make("button", "more", `… all ${text.length.toLocaleString("en")} characters`);
    more.type = "button";
    more.addEventListener("click", () => (box.replaceChildren(), fill(text)));
    box.append(more);
  }
  return box;
}

/** A value of a row: of a seat, or the mean of all, which is unknown where one is. */
function valueOf(row, measure, seat) {
  const values = row.values[measure];
  if (!values) return null;
  if (seat !== "mean") return values[Number(seat)] ?? null;
  return values.includes(null) ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}

const chosen = (id) => $(id).value;

function shownValue(pair) {
  const measure = Number(chosen("measure"));
  const [own, other] = pair.map((row) => row && valueOf(row, measure, chosen("seat")));
  if (!besides()) return own;
  return own === null || other === null ? null : other - own;
}

// --- the list -----------------------------------------------------------------------------------------------------

const besides = () => chosen("beside") !== "";

/** The run whose episodes stand on the left where two are compared. */
function baseRun() {
  if (chosen("run") !== "") return Number(chosen("run"));
  return Number(chosen("beside")) === 0 ? 1 : 0;
}

function passes(row) {
  const wants = (id, value) => chosen(id) === "" || chosen(id) === String(value);
  if (page.matching && !page.matching.has(row.place)) return false;
  if (!wants("family", row.family) || !wants("ending", row.ending)) return false;
  if (chosen("policy") !== "" && !row.policies.includes(chosen("policy"))) return false;
  if (chosen("invalid") !== "" && row.invalid > 0 !== (chosen("invalid") === "yes")) return false;
  return besides() ? row.run === baseRun() : wants("run", row.run);
}

function valuePasses(value) {
  if (chosen("known") !== "" && (value === null) !== (chosen("known") === "unknown")) return false;
  if (chosen("from") !== "" && !(value !== null && value >= Number(chosen("from")))) return false;
  return chosen("to") === "" || (value !== null && value <= Number(chosen("to")));
}

/** Rows that pass the filters, each with the equal one of the run beside it. */
function select() {
  const other = new Map();
  if (besides()) {
    for (const row of page.index.rows) if (row.run === Number(chosen("beside"))) other.set(row.equal, row);
  }
  let pairs = page.index.rows.filter(passes).map((row) => [row, other.get(row.equal) || null]);
  if (besides()) pairs = pairs.filter(([, second]) => second !== null);
  const valued = pairs.map((pair) => ({ pair, value: shownValue(pair) })).filter(({ value }) => valuePasses(value));
  if (chosen("order") !== "file") {
    const up = chosen("order") === "up" ? 1 : -1;
    // What is unknown stands last either way.
    valued.sort((a, b) => (a.value === null) - (b.value === null) || up * (a.value - b.value));
  }
  page.rows = valued.map(({ pair }) => pair);
}

function drawList() {
  select();
  const total = page.index.rows.length;
  const kind = besides() ? "pairs of equal tasks" : "episodes";
  const of = page.rows.length === total || besides() ? "" : ` of ${total.toLocaleString("en")}`;
  $("told").textContent = `${page.rows.length.toLocaleString("en")}${of} ${kind}`;
  $("rows").style.height = `${page.rows.length * ROW}px`;
  drawRows();
}

/** The rows that are in sight, and some around them. */
function drawRows() {
  const box = $("list");
  const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 5);
  const last = Math.min(page.rows.length, first + Math.ceil(box.clientHeight / ROW) + 12);
  const drawn = [];
  for (let place = first; place < last; place += 1) drawn.push(drawRow(page.rows[place], place));
  $("rows").replaceChildren(...drawn);
}

function drawRow(pair, place) {
  const [row, other] = pair;
  const measure = Number(chosen("measure"));
  const values = besides()
    ? pair.map((one) => number(valueOf(one, measure, chosen("seat")))).join(" | ") + ` (${number(shownValue(pair), true)})`
    : chosen("seat") === "mean"
      ? (row.values[measure] || [null]).map((value) => number(value)).join(" · ")
      : number(valueOf(row, measure, chosen("seat")));
  const policies = (one) => [...new Set(one.policies)].join(", ");
  const run = page.index.runs.length > 1 && !besides() ? ` · ${page.index.runs[row.run]}` : "";
  const about = `${row.family} · ${row.ending.replace("_", " ")} · ${row.turns} turns${run}`;
  const link = make(
    "a",
    page.open && page.open[0] === row ? "current" : "",
    make("span", "line", said(row.key, "key"), make("span", "value", page.index.measures.length ? values : "")),
    make("span", "line", said(policies(row) + (other && policies(other) !== policies(row) ? ` | ${policies(other)}` : ""))),
    make("span", "line muted", said(about)),
  );
  link.href = address(row);
  const item = make("li", "", link);
  item.style.top = `${place * ROW}px`;
  return item;
}

// --- one episode --------------------------------------------------------------------------------------------------

/** Names and texts as a list of terms. */
function terms(pairs) {
  return make("dl", "terms", pairs.map(([name, text]) => [make("dt", "", said(name)), make("dd", "", said(String(text)))]));
}

function fold(heading, open, ...children) {
  const box = make("details", "fold", make("summary", "", heading), ...children);
  box.open = open;
  return box;
}

function drawSeat(seat, place) {
  const told = [["goal", seat.goal], ["secret", seat.secret], ["background", seat.background]].filter(([, text]) => text);
  return make(
    "div",
    `seat s${place % 5}`,
    make("p", "", make("b", "", said(seat.name)), " ", make("span", "muted", said(seat.policy || seat.agent))),
    fold("wants and hides", window.innerWidth > 640, terms(told)),
    seat.hidden.length ? fold("what its judge knows", false, terms(seat.hidden)) : null,
  );
}

/** What a turn is paid, by reward: a number with a bar, as long as the largest of the episode is 1. */
function drawPaid(turn, episode, largest) {
  const lines = Object.entries(turn.paid || {}).filter(([place]) => !page.hidden.has(episode.rewards[place]));
  return make("dl", "paid", lines.map(([place, value]) => {
    const bar = make("span", value < 0 ? "bar below" : "bar");
    bar.style.width = `${largest[place] ? (60 * Math.abs(value || 0)) / largest[place] : 0}%`;
    const shown = make("dd", value === null ? "unknown" : "", value === null ? "unknown" : number(value, true), bar);
    return make("div", "", make("dt", "", said(episode.rewards[place])), shown);
  }));
}

function largestPaid(episode) {
  return episode.rewards.map((_, place) => Math.max(...episode.turns.map((turn) => Math.abs((turn.paid || {})[place] || 0))));
}

function drawTokens(tokens) {
  return make("bdi", "said tokens", tokens.map(([text, logprob]) => {
    const token = make("span", "token", said(text));
    const chance = logprob === null ? null : Math.exp(logprob);
    token.tabIndex = 0;
    token.dataset.told = chance === null ? "unknown" : `${number(chance)} (log ${number(logprob)})`;
    token.title = token.dataset.told;
    if (chance !== null) token.style.setProperty("--unlikely", `${Math.round(70 * (1 - chance))}%`);
    return token;
  }));
}

function drawWords(turn, episode) {
  const tokens = page.tokens && (episode.tokens || {})[turn.index];
  return [
    turn.type === "speak" ? null : make("span", "tag", turn.type),
    turn.to ? make("span", "tag private", `private: ${turn.to.join(", ") || "to nobody"}`) : null,
    turn.invalid === undefined ? null : make("span", "tag invalid", "invalid: ", said(turn.invalid)),
    tokens ? drawTokens(tokens) : said(turn.text),
    turn.raw === undefined ? null : fold("what was written", turn.invalid !== undefined, said(turn.raw)),
  ];
}

function drawTurn(turn, episode, row, largest) {
  const number = make("a", "", `#${turn.index}`);
  number.href = address(row, turn.index);
  const standing = (turn.offers || []).map((offer, seat) => offer === null ? null : `${episode.seats[seat].name} ${offer}`);
  const told = standing.filter((text) => text !== null).join(" · ");
  const item = make(
    "li",
    `turn s${turn.seat % 5}` + (turn.seat === 1 && episode.seats.length === 2 ? " right" : "") +
      (turn.type === "action" ? " act" : "") + (turn.to ? " private" : ""),
    make(
      "div",
      "talked",
      make("div", "bubble", make("small", "", number, " ", said(episode.seats[turn.seat].name)), drawWords(turn, episode)),
      told ? make("p", "standing muted", "on the table: ", said(told)) : null,
    ),
    drawPaid(turn, episode, largest),
  );
  item.tabIndex = -1;
  item.dataset.turn = turn.index;
  return item;
}

/** Findings name turns, as "turn 6: ...": a link to it. */
function drawFinding(text, row) {
  const found = /^turn (\d+)(?=:)/.exec(text);
  if (!found) return said(text);
  const link = make("a", "", found[0]);
  link.href = address(row, Number(found[1]));
  return make("span", "", link, said(text.slice(found[0].length)));
}

function drawTable(headings, rows) {
  const head = make("tr", "", headings.map((text, place) => make("th", place ? "number" : "", said(text))));
  const body = rows.map((cells) => make("tr", "", cells.map((cell, place) => make("td", place ? "number" : "", cell))));
  return make("div", "wide", make("table", "", make("thead", "", head), make("tbody", "", body)));
}

function drawJudgement(judgement, episode, row) {
  const names = episode.seats.map((seat) => seat.name);
  const why = judgement.evidence.map(([dimension, seats]) =>
    seats.map((found, seat) => found.map((text) => make("li", "", make("b", "", `${dimension}, `, said(names[seat])), ": ", drawFinding(text, row)))));
  const latent = judgement.latent.map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]);
  const shown = (value) => value === null ? make("span", "unknown", "unknown") : number(value);
  return [
    make("h3", "", "Scores of the judge ", said(judgement.judge)),
    drawTable(["", ...names], judgement.scores.map(([dimension, values]) => [said(dimension), ...values.map(shown)])),
    why.length ? fold("why", true, make("ul", "why", why)) : null,
    latent.length ? fold("what the world knows", false, terms(latent)) : null,
  ];
}

function drawSums(row, episode) {
  const paid = page.index.measures.map((name, place) => [name, row.values[place]]).filter(([name, values]) => name.startsWith("reward ") && values);
  if (!paid.length) return null;
  const rows = paid.map(([name, values]) => [said(name.slice(7)), ...values.map((value) => value === null ? make("span", "unknown", "unknown") : number(value))]);
  return [make("h3", "", "Rewards, added up"), drawTable(["", ...episode.seats.map((seat) => seat.name)], rows)];
}

/** Which rewards stand beside the turns. */
function drawLegend(episode) {
  const boxes = episode.rewards.map((name) => {
    const box = make("input");
    box.type = "checkbox";
    box.checked = !page.hidden.has(name);
    box.addEventListener("change", () => {
      page.hidden[box.checked ? "delete" : "add"](name);
      drawEpisodes();
    });
    return make("label", "", box, said(name));
  });
  if (episode.tokens) {
    const button = make("button", "", page.tokens ? "Words" : "Token probabilities (t)");
    button.type = "button";
    button.addEventListener("click", toggleTokens);
    boxes.push(button);
  }
  return boxes.length ? make("p", "legend", boxes.length > 1 || episode.tokens ? "beside the turns: " : "", boxes) : null;
}

function drawEpisode(row, episode) {
  const largest = largestPaid(episode);
  return make(
    "article",
    "",
    make("h2", "", said(row.key)),
    make("p", "muted", besides() ? [said(page.index.runs[row.run]), " · "] : null, said(episode.ending)),
    make("p", "", said(episode.situation)),
    make("div", "seats", episode.seats.map(drawSeat)),
    fold("about the task", false, terms(episode.facts)),
    drawLegend(episode),
    make("ol", episode.rewards.length ? "talk" : "talk unpaid", episode.turns.map((turn) => drawTurn(turn, episode, row, largest))),
    make("p", "", make("b", "", "Ending: "), said(episode.ending)),
    drawSums(row, episode),
    episode.judgements.map((judgement) => drawJudgement(judgement, episode, row)),
  );
}

/** Where two are compared: the values of both that differ, or of which one is unknown. */
function drawDifferences(first, second) {
  const values = page.index.measures.flatMap((name, place) =>
    first.names.map((seat, at) => [`${name}, ${seat}`, first.values[place]?.[at] ?? null, second.values[place]?.[at] ?? null]));
  const different = values.filter(([, one, other]) => one !== other);
  const rows = different.map(([name, one, other]) => {
    const difference = one === null || other === null ? null : other - one;
    return [said(name), number(one), number(other), make("b", "", number(difference, true))];
  });
  const runs = [first, second].map((row) => page.index.runs[row.run]);
  const equal = values.length - different.length;
  const heading = `${different.length} values differ` + (equal ? `, ${equal} are equal` : "");
  return fold(heading, true, rows.length ? drawTable(["", ...runs, "difference"], rows) : null);
}

/** Where the talk of two parts. */
function markParting(articles, episodes) {
  const [one, other] = episodes.map((episode) => episode.turns.map((turn) => JSON.stringify([turn.seat, turn.type, turn.text])));
  const place = one.findIndex((text, at) => text !== other[at]);
  if (place < 0 && one.length === other.length) return;
  const from = place < 0 ? one.length : place;
  for (const article of articles) article.querySelectorAll(".turn")[from]?.classList.add("parting");
}

let drawing = 0;

async function drawEpisodes() {
  const mine = (drawing += 1);
  const rows = page.open.filter((row) => row !== null);
  const episodes = await Promise.all(rows.map(episodeOf));
  if (mine !== drawing) return;
  const articles = rows.map((row, place) => drawEpisode(row, episodes[place]));
  const back = make("a", "back", "‹ all episodes");
  back.href = "#";
  const box = $("episode");
  if (articles.length > 1) {
    markParting(articles, episodes);
    box.replaceChildren(back, drawDifferences(...rows), make("div", "pair", articles));
  } else {
    box.replaceChildren(back, ...articles);
  }
  markTurn();
}

/** Mark the turn of the address, in both episodes where two are compared. */
function markTurn() {
  document.querySelectorAll(".turn.current").forEach((turn) => turn.classList.remove("current"));
  if (page.turn === null) return void ($("episode").scrollTop = 0);
  const turns = document.querySelectorAll(`.turn[data-turn="${page.turn}"]`);
  turns.forEach((turn) => turn.classList.add("current"));
  turns[0]?.scrollIntoView({ block: "nearest" });
}

function toggleTokens() {
  page.tokens = !page.tokens;
  if (page.open) drawEpisodes();
}

// --- addresses and keys -------------------------------------------------------------------------------------------

/** #key/turn; the number of the run follows where it is not the first. */
function address(row, turn = null) {
  const parts = [encodeURIComponent(row.key)];
  if (turn !== null || row.run > 0) parts.push(turn === null ? "" : String(turn));
  if (row.run > 0) parts.push(String(row.run));
  return `#${parts.join("/")}`;
}

function go(row, turn = null) {
  // No entry in the history for each turn that is passed.
  location.replace(address(row, turn));
  // At once, since the next key may be pressed before the page is told of its new address.
  openEpisode(row, turn);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function follow() {
  const [key, turn, run] = location.hash.slice(1).split("/").map(decoded);
  document.body.classList.toggle("reading", key !== "");
  if (key === "") {
    page.open = null;
    drawRows();
    return;
  }
  const row = page.index.rows.find((one) => one.key === key && one.run === Number(run || 0));
  if (!row) {
    page.open = null;
    $("episode").replaceChildren(make("p", "", "There is no episode ", said(key), " here."));
    return;
  }
  openEpisode(row, turn ? Number(turn) : null);
}

/** Show an episode, or another turn of the one that is shown. */
function openEpisode(row, turn) {
  const same = page.open && page.open.includes(row);
  if (same && page.turn === turn) return;
  page.turn = turn;
  if (same) return markTurn();
  page.open = page.rows.find((pair) => pair.includes(row)) || [row, null];
  reveal();
  drawEpisodes();
}

/** Scroll the list so that the open episode stands in it. */
function reveal() {
  const place = page.rows.indexOf(page.open);
  const box = $("list");
  if (place >= 0 && (place * ROW < box.scrollTop || (place + 1) * ROW > box.scrollTop + box.clientHeight)) {
    box.scrollTop = Math.max(0, place * ROW - box.clientHeight / 2);
  }
  drawRows();
}

function moveEpisode(step) {
  const place = page.rows.indexOf(page.open);
  const next = page.rows[place < 0 ? 0 : place + step];
  if (next) go(next[0]);
}

function moveTurn(step) {
  if (!page.open) return moveEpisode(1);
  const turns = [...new Set([...document.querySelectorAll(".turn")].map((turn) => Number(turn.dataset.turn)))];
  const place = turns.indexOf(page.turn);
  const next = turns[place < 0 ? 0 : place + step];
  if (next !== undefined) go(page.open[0], next);
}

const KEYS = {
  j: () => moveTurn(1),
  k: () => moveTurn(-1),
  n: () => moveEpisode(1),
  p: () => moveEpisode(-1),
  t: toggleTokens,
  "/": () => $("search").focus(),
  "?": () => $("help").showModal(),
  Escape: () => (location.hash = ""),
};

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (typing && event.key === "Escape") return event.target.blur();
  if (typing || !(event.key in KEYS)) return;
  event.preventDefault();
  KEYS[event.key]();
}

// --- search and start ---------------------------------------------------------------------------------------------

async function search() {
  const mine = (page.searches += 1);
  const wanted = chosen("search").trim().toLowerCase();
  const chunks = Math.ceil(page.index.rows.length / page.index.chunk);
  if (wanted) {
    for (let place = 0; place < chunks; place += 1) {
      if (words[place * page.index.chunk] === undefined) $("told").textContent = `searching ${Math.round((100 * place) / chunks)} %`;
      await wordsOfChunk(place);
      if (mine !== page.searches) return;
    }
  }
  const matching = words.flatMap((text, place) => (text.includes(wanted) ? [place] : []));
  page.matching = wanted ? new Set(matching) : null;
  changed();
}

function changed() {
  $("list").scrollTop = 0;
  drawList();
  if (!page.open) return;
  const again = page.rows.find((pair) => pair[0] === page.open[0]);
  if (again) page.open = again;
  drawEpisodes();
}

function fill(id, options, any = "any") {
  $(id).replaceChildren(...(any === null ? [] : [new Option(any, "")]), ...options.map(([text, value]) => new Option(text, value)));
}

function fillFilters() {
  const { runs, measures, rows } = page.index;
  const different = (read) => [...new Set(rows.flatMap(read))].sort().map((text) => [text, text]);
  const numbered = (names) => names.map((name, place) => [name, String(place)]);
  const seats = rows.reduce((most, row) => Math.max(most, row.policies.length), 0);
  fill("run", numbered(runs));
  fill("beside", runs.length > 1 ? numbered(runs) : [], "none");
  fill("family", different((row) => row.family));
  fill("ending", different((row) => row.ending));
  fill("policy", different((row) => row.policies));
  fill("measure", numbered(measures), null);
  fill("seat", [["all, their mean", "mean"], ...Array.from({ length: seats }, (_, seat) => [`seat ${seat}`, String(seat)])], null);
  // Sotopia's benchmark looks at the goal first.
  $("measure").value = String(Math.max(0, measures.findIndex((name) => name.startsWith("goal"))));
  $("runs").hidden = runs.length < 2;
}

function listen() {
  let waiting = null;
  $("search").addEventListener("input", () => (clearTimeout(waiting), (waiting = setTimeout(search, 150))));
  $("filters").addEventListener("change", (event) => event.target.id === "search" || changed());
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("reset", () => setTimeout(search));
  $("list").addEventListener("scroll", () => requestAnimationFrame(drawRows));
  $("help-button").addEventListener("click", () => $("help").showModal());
  window.addEventListener("resize", drawRows);
  window.addEventListener("hashchange", follow);
  document.addEventListener("keydown", pressed);
}

async function start() {
  if (!("DecompressionStream" in window)) {
    $("told").textContent = "This browser is too old: take Chromium 111, Firefox 113 or Safari 16.4, or a later one.";
    return;
  }
  page.index = await unpack($("index"));
  page.index.rows.forEach((row, place) => (row.place = place));
  fillFilters();
  drawList();
  listen();
  follow();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

document.addEventListener("DOMContentLoaded", start);
