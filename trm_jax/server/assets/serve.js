"use strict";
// The page of `trm serve`: a board to write a puzzle on, and the player of trace.js for what the
// server answers.
(async () => {
  const $ = (id) => document.getElementById(id);
  const show = player();
  const FORGIVEN = "|+-*="; // frames around pasted boards, where they are no symbols

  const info = await (await fetch("/api/info")).json();
  const { rows, columns, board } = info;
  const count = rows * columns;
  const symbols = info.symbols.filter((symbol) => symbol.asked);
  const blank = (symbols.find((s) => board.open.includes(s.token)) || symbols[0]).token;
  const text = new Map(info.symbols.map((symbol) => [symbol.token, symbol.text]));
  const tokenOf = new Map(info.symbols.flatMap((s) => [...s.reads].map((c) => [c, s.token])));

  let cells = Array(count).fill(blank);
  let chosen = 0;
  let drawn = null;

  /* ---- the board ---- */

  const spelt = () =>
    cells.map((token) => token.toString(36).padStart(board.width, "0")).join("");
  const picture = () => ({
    board: 0, rows, columns, question: spelt(), sizes: null, candidates: null,
  });

  function draw() {
    if (!drawn) {
      drawn = show.makeBoard(picture(), rows, columns, "");
      drawn.svg.setAttribute("aria-hidden", "true");
      $("editor").replaceChildren(drawn.svg);
    }
    const puzzle = picture();
    show.paint(drawn, puzzle, puzzle.question, [rows, columns], () => 1);
    const place = { x: (chosen % columns) + 0.04, y: Math.floor(chosen / columns) + 0.04 };
    const box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const shape = { ...place, width: 0.92, height: 0.92, rx: 0.06 };
    for (const key in shape) box.setAttribute(key, shape[key]);
    box.setAttribute("class", `chosen${board.filled ? " filled" : ""}`);
    drawn.marks.replaceChildren(box);
    const word = board.tokens[cells[chosen]].word;
    const where = `row ${Math.floor(chosen / columns) + 1}, column ${(chosen % columns) + 1}: ${word}`;
    $("where").textContent = where;
    $("editor").setAttribute("aria-label", `Puzzle, ${where}`);
    for (const button of $("symbols").children) {
      const now = Number(button.dataset.token) === cells[chosen];
      button.classList.toggle("now", now);
      button.setAttribute("aria-pressed", String(now));
    }
  }

  function forget() {
    $("answer").textContent = $("error").textContent = "";
  }

  function write(token) {
    cells[chosen] = token;
    forget();
    draw();
  }

  function move(by) {
    const to = chosen + by;
    const sideways = Math.abs(by) === 1;
    if (to < 0 || to >= count) return;
    if (sideways && Math.floor(to / columns) !== Math.floor(chosen / columns)) return;
    chosen = to;
    draw();
  }

  function fill(source) {
    const clean = [...source].filter((c) => c !== "\n" && c !== "\r" && c !== "\t");
    const known = clean.filter(
      (c) => tokenOf.has(c) || !(c.trim() === "" || FORGIVEN.includes(c)),
    );
    const wrong = known.find((c) => !tokenOf.has(c));
    if (wrong !== undefined) return complain(`“${wrong}” is no symbol of this puzzle.`);
    if (known.length !== count) {
      return complain(`The text has ${known.length} cells instead of ${count}.`);
    }
    cells = known.map((c) => tokenOf.get(c));
    forget();
    draw();
  }

  function complain(words) {
    forget();
    $("error").textContent = words;
  }

  /* ---- the server ---- */

  async function asked(url, options) {
    try {
      const reply = await fetch(url, options);
      const content = await reply.json();
      if (reply.ok) return content;
      complain(content.error);
    } catch {
      complain("The server does not answer.");
    }
    return null;
  }

  async function solve() {
    if ($("solve").disabled) return;
    forget();
    $("solve").disabled = true;
    $("answer").className = "";
    $("answer").textContent = "solving …";
    const puzzle = cells.map((token) => text.get(token)).join("");
    const content = await asked("/api/solve", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ puzzles: [puzzle], trace: true }),
    });
    $("solve").disabled = false;
    if (!content) return hideAnswer();
    verdict(content.answers[0]);
    if (!content.traces.traces.length) return;
    show.load(content.traces);
    if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) show.go(show.last());
    else show.play();
    document.querySelector("main").scrollIntoView({ block: "nearest" });
  }

  function verdict(answer) {
    const words = { true: "Solved, by the rules", false: "Not solved", null: "Answered" };
    const broken = answer.broken.slice(0, 2).join("; ");
    const cost = `${answer.steps} ${info.search ? "round" : "step"}${answer.steps === 1 ? "" : "s"}`;
    const time = `${Math.max(1, Math.round(answer.queue_ms + answer.compute_ms))} ms`;
    const said = `${words[answer.solved]}${broken ? ` (${broken})` : ""} · ${cost} · ${time}`;
    $("answer").textContent = said;
    $("answer").className = { true: "right", false: "wrong", null: "" }[answer.solved];
  }

  async function random() {
    const content = await asked("/api/random");
    if (!content) return;
    fill(content.text);
    hideAnswer();
  }

  function hideAnswer() {
    show.load({ boards: [board], traces: [], firstDigit: info.firstDigit });
  }

  function clear() {
    cells = Array(count).fill(blank);
    forget();
    hideAnswer();
    draw();
  }

  /* ---- keys, fingers, mouse ---- */

  const MOVES = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    if (key in MOVES) move(MOVES[key]);
    else if (key === "Backspace" || key === "Delete") write(blank);
    else if (key === "Enter") solve();
    else if (tokenOf.has(key)) write(tokenOf.get(key));
    else return;
    event.preventDefault();
  }

  function tapped(event) {
    const { cell } = event.target.dataset || {};
    if (cell === undefined) return;
    const again = Number(cell) === chosen && document.activeElement === $("editor");
    chosen = Number(cell);
    $("editor").focus({ preventScroll: true });
    if (!again) return draw();
    const place = symbols.findIndex((symbol) => symbol.token === cells[chosen]);
    write(symbols[(place + 1) % symbols.length].token);
  }

  function makeSymbols() {
    for (const { token, text: letter, word } of symbols) {
      const button = document.createElement("button");
      const look = board.tokens[token];
      button.type = "button";
      button.dataset.token = token;
      button.setAttribute("aria-label", word);
      if (look.fill) {
        const swatch = document.createElement("span");
        swatch.className = "swatch";
        swatch.style.setProperty("--light", look.fill);
        swatch.style.setProperty("--dark", look.dark);
        button.append(swatch, word);
      } else {
        button.textContent = look.letter || letter;
      }
      button.addEventListener("click", () => write(token));
      $("symbols").append(button);
    }
  }

  const title = `Solve ${info.title}`;
  $("title").textContent = document.title = title;
  $("about").textContent = `${info.model}, ${info.parameters.toLocaleString("en")} parameters`;
  $("random").hidden = !info.random;
  makeSymbols();
  hideAnswer();
  draw();
  $("ask").hidden = false;
  $("editor").addEventListener("keydown", pressed);
  $("editor").addEventListener("click", tapped);
  $("editor").addEventListener("paste", (event) => fill(event.clipboardData.getData("text")));
  $("solve").addEventListener("click", solve);
  $("random").addEventListener("click", random);
  $("clear").addEventListener("click", clear);
  $("use").addEventListener("click", () => fill($("text").value));
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
})();
