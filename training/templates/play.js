"use strict";
// What is played comes from the server as data and is shown as text: nothing of it is ever read as HTML.
const byId = (id) => document.getElementById(id);
const KINDS = {
  speak: ["Say", "What do you say?"],
  offer: ["Offer", ""],
  gesture: ["Gesture", "Shown without words, such as: nods"],
  do: ["Act", "What do you do? Such as: shows the item"],
};
const ACTS = { accept: "Accept", reject: "Reject", none: "Do nothing", leave: "Leave" };
let state = { version: "", turns: [] };
let kind = "speak";
let key = null;
let drawn = [];
let sending = false;

function made(tag, text = "", cls = "") {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  if (cls) element.className = cls;
  return element;
}

function narrow() {
  return matchMedia("(max-width: 56rem)").matches;
}

function say(text) {
  byId("problem").textContent = text;
}

// Following the game

async function follow() {
  for (;;) {
    let response = null;
    try {
      response = await fetch(`state?since=${state.version}`);
    } catch {
      gone("The command has ended, or cannot be reached. Games that were over are saved where that was asked for.");
    }
    if (response?.ok) {
      const news = await response.json();
      if (news.version !== state.version) {
        state = news;
        draw();
      }
      document.documentElement.dataset.ready = "";
    } else {
      if (response) gone(await response.text());
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

function gone(why) {
  state.version = "";
  state.yours = false;
  buttons();
  // What is written anew is read out anew.
  if (byId("problem").textContent !== why) say(why);
}

async function send(what, body) {
  const response = await fetch(what, { method: "POST", body: JSON.stringify(body) });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

// Drawing

function draw() {
  const scroll = byId("scroll");
  const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 150;
  const ended = !byId("end").hidden;
  if (state.key !== key) begin();
  const names = state.names ?? {};
  state.turns.forEach((turn, place) => {
    const told = JSON.stringify(turn);
    if (drawn[place] === told) return;
    const line = entry(turn, names);
    const old = byId("talk").children[place];
    if (old) old.replaceWith(line);
    else byId("talk").append(line);
    drawn[place] = told;
  });
  document.body.classList.toggle("fresh", state.turns.length === 0);
  const own = state.turns.filter((turn) => turn.agent === state.you);
  const last = own.at(-1);
  const playing = state.phase === "playing";
  byId("progress").textContent = playing && state.limit ? `turn ${state.cycle + 1} of ${state.limit}` : "";
  byId("offers").textContent = playing && state.offers?.length
    ? `On the table: ${state.offers.map((offer) => offer.join(" ")).join("; ")}` : "";
  say(state.failed ? `This game cannot go on: ${state.failed}`
    : playing && last?.invalid ? `Your last turn did nothing: ${last.invalid}` : "");
  byId("thinking").textContent = {
    playing: state.thinking?.length && !state.stepping ? `${state.thinking.join(", ")} ${state.thinking.length > 1 ? "are" : "is"} thinking …` : "",
    judging: "The judge is reading …",
    starting: "The next game begins …",
  }[state.phase] ?? "";
  document.title = `${state.yours ? "● " : ""}${byId("title").textContent}`;
  ending();
  controls();
  buttons();
  // Who reads further up is left there.
  if (state.phase === "over") {
    if (!ended) scroll.scrollTop = byId("end").offsetTop - 40;
  } else if (atEnd || ended) scroll.scrollTop = scroll.scrollHeight;
}

function begin() {
  key = state.key;
  drawn = [];
  byId("talk").replaceChildren();
  byId("text").value = byId("words").value = "";
  const cards = state.cards ?? [];
  byId("title").textContent = state.you
    ? `You are ${cards[0]?.name} (${state.you})` : cards.map((card) => card.name).join(" and ");
  byId("brief").open = true;
  byId("brief").firstElementChild.textContent = state.you ? "Who you are, and what you want" : "Who they are, and what they want";
  byId("cards").replaceChildren(...cards.map((card) => {
    const one = made("section");
    if (!state.you) one.append(made("h2", `${card.name} (${card.agent}: ${card.policy})`));
    const list = made("dl");
    for (const [label, text] of card.parts) list.append(made("dt", label[0].toUpperCase() + label.slice(1)), made("dd", text, label.split(" ").at(-1)));
    one.append(list);
    return one;
  }));
  choose("speak");
}

function entry(turn, names) {
  const own = turn.agent === (state.you ?? Object.keys(names).at(-1));
  const line = made("li", "", [own ? "own" : "", turn.type === "speak" ? "" : "act"].join(" ").trim());
  line.dataset.index = turn.index;
  const to = turn.to ? ` (only to ${turn.to.join(", ") || "nobody"})` : "";
  line.append(made("small", `${turn.agent === state.you ? "You" : names[turn.agent]}${to}`));
  if (turn.type !== "speak") line.append(made("span", turn.type, "tag"), " ");
  if (turn.invalid !== null) line.append(made("span", `did nothing: ${turn.invalid}`, "tag invalid"), " ");
  line.append(made("span", turn.text, "said"));
  if (turn.paid !== null) line.append(made("div", `${state.reward}: ${turn.paid.toFixed(2)}`, "paid"));
  return line;
}

function ending() {
  const end = byId("end");
  end.hidden = state.phase !== "over" || !state.end;
  if (end.hidden) return;
  if (narrow()) byId("brief").open = false;
  const parts = [made("h2", `The end: ${state.end.how}`)];
  const scores = state.end.scores;
  if (scores) {
    const wide = made("div", "", "wide");
    const table = made("table");
    const head = made("tr");
    scores.columns.forEach((heading, place) => head.append(made("th", heading, place ? "number" : "")));
    table.append(made("thead"), made("tbody"));
    table.tHead.append(head);
    for (const row of scores.rows) {
      const line = made("tr");
      row.forEach((cell, place) => line.append(made("td", cell, place ? "number" : "")));
      table.tBodies[0].append(line);
    }
    wide.append(table);
    parts.push(made("p", scores.title, "muted"), wide);
  }
  const reasons = made("ul");
  for (const [dimension, name, finding] of state.end.findings) {
    const item = made("li");
    item.append(made("b", `${dimension}, ${name}: `), finding);
    reasons.append(item);
  }
  end.replaceChildren(...parts, reasons);
}

function controls() {
  const playing = state.phase === "playing" && state.you !== null;
  byId("turn").hidden = !playing;
  byId("steps").hidden = !state.stepping;
  byId("over").hidden = !["over", "failed"].includes(state.phase);
  byId("again").textContent = state.phase === "failed" ? "Try again" : state.you ? "Play again" : "Another one";
  byId("again").disabled = state.ready;
  byId("kept").textContent = state.ready ? "waiting for the other side"
    : state.phase === "over" && state.kept ? `Episode ${state.key} is in ${state.kept}` : "";
  if (!state.acts) return;
  const kinds = Object.keys(KINDS).filter((name) => state.acts.includes(name));
  if (byId("kinds").dataset.drawn !== kinds.join()) {
    byId("kinds").dataset.drawn = kinds.join();
    byId("kinds").replaceChildren(...kinds.map((name) => {
      const label = made("label", KINDS[name][0], "kind");
      const radio = made("input");
      Object.assign(radio, { type: "radio", name: "kind", value: name, checked: name === kind });
      radio.addEventListener("change", () => choose(name, true));
      label.prepend(radio);
      return label;
    }));
    if (!kinds.includes(kind) && kinds.length) choose(kinds[0]);
  }
  const acts = Object.keys(ACTS).filter((name) => state.acts.includes(name));
  if (byId("acts").dataset.drawn !== acts.join()) {
    byId("acts").dataset.drawn = acts.join();
    byId("acts").replaceChildren(...acts.map((name) => {
      const button = made("button", ACTS[name]);
      Object.assign(button, { type: "button", value: name });
      button.addEventListener("click", () => press(button));
      button.addEventListener("blur", () => calm(button));
      return button;
    }));
  }
}

function buttons() {
  const able = Boolean(state.yours) && !sending;
  for (const button of byId("turn").querySelectorAll("button")) button.disabled = !able;
  const focused = document.activeElement;
  if (able && (focused === document.body || byId("turn").contains(focused))) byId("text").focus({ preventScroll: true });
}

function choose(name, focus = false) {
  kind = name;
  const offer = name === "offer";
  const radio = byId("kinds").querySelector(`[value="${name}"]`);
  if (radio) radio.checked = true;
  byId("text").placeholder = offer ? state.form ?? "" : KINDS[name][1];
  byId("words").hidden = !offer;
  byId("send").textContent = offer ? "Offer" : "Send";
  if (focus) byId("text").focus();
}

// Acting

function calm(button) {
  button.classList.remove("sure");
  button.textContent = ACTS[button.value];
}

function press(button) {
  // It ends the talk for two: once more, to be sure.
  if (button.value === "leave" && !button.classList.contains("sure")) {
    button.classList.add("sure");
    button.textContent = "Leave for good?";
    return;
  }
  calm(button);
  take(button.value, "");
}

async function take(what, text) {
  if (!state.yours || sending) return;
  sending = true;
  buttons();
  try {
    const { problem } = await send("act", { move: state.move, kind: what, text });
    say(problem ?? "");
    if (problem === null) {
      state.yours = false;
      if (text) byId("text").value = byId("words").value = "";
      if (narrow()) byId("brief").open = false;
      choose("speak");
    }
  } catch (error) {
    say(error.message);
  }
  sending = false;
  buttons();
  byId("text").focus({ preventScroll: true });
}

byId("turn").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("text").value.trim();
  if (!state.yours) return;
  if (!text) {
    say("Nothing is written yet.");
    byId("text").focus();
    return;
  }
  const words = byId("words").value.trim();
  take(kind, kind === "offer" && words ? `${text.replace(/[.\s]+$/, "")}. ${words}` : text);
});
for (const id of ["text", "words"]) {
  byId(id).addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    byId("turn").requestSubmit();
  });
}
for (const [id, all] of [["next", false], ["rest", true]]) {
  byId(id).addEventListener("click", () => send("step", { to_the_end: all }).catch((error) => say(error.message)));
}
byId("again").addEventListener("click", () => send("again", {}).catch((error) => say(error.message)));
follow();
