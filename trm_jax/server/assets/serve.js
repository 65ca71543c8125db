"use strict";
// The page of `trm serve`: a board to write a puzzle on, and the player of trace.js for what the
// server answers.
(async () => {
  const $ = (id) => document.getElementById(id);
  const show = player();

  const info = await (await fetch("/api/info")).json();
  const { rows, columns, board, empty } = info;
  const count = rows * columns;
  const symbols = info.symbols.filter((symbol) => symbol.asked);
  const text = new Map(info.symbols.map((symbol) => [symbol.token, symbol.text]));
  const tokenOf = new Map(symbols.flatMap((s) => s.reads.map((c) => [c, s.token])));
  const OUTSIDE = 0; // token of the cells outside of a question, if grids differ in size

  let cells = [...empty];
  let typed = ""; // keys for the chosen cell, since a symbol may need several
  let chosen = 0;
  let drawn = null;

  /* ---- the board ---- */

  const spelt = () =>
    cells.map((token) => token.toString(36).padStart(board.width, "0")).join("");
  const picture = () => ({
    board: 0, rows, columns, question: spelt(), sizes: null, candidates: null,
  });

  const isOutside = (cell) => info.canvas && cells[cell] === OUTSIDE;

  /** Rows and columns of the puzzle, which on a canvas is in the upper left corner. */
  function size() {
    if (!info.canvas) return [rows, columns];
    const inside = [...cells.keys()].filter((cell) => !isOutside(cell));
    const most = (place) => 1 + Math.max(-1, ...inside.map(place));
    return [most((cell) => Math.floor(cell / columns)), most((cell) => cell % columns)];
  }

  /** Changes the size of the puzzle; cells that it gains are blank. */
  function resize(height, width) {
    cells = cells.map((token, cell) => {
      if (Math.floor(cell / columns) >= height || cell % columns >= width) return OUTSIDE;
      return isOutside(cell) ? empty[cell] : token;
    });
  }

  /** Cuts rows or columns so that the chosen cell is outside and most others remain. */
  function cut() {
    const [height, width] = size();
    const [row, column] = [Math.floor(chosen / columns), chosen % columns];
    if (chosen === 0 || isOutside(chosen)) return;
    if (row * width >= height * column) resize(row, width);
    else resize(height, column);
  }

  function extend() {
    const [height, width] = size();
    const [row, column] = [Math.floor(chosen / columns), chosen % columns];
    resize(Math.max(height, row + 1), Math.max(width, column + 1));
  }

  function draw() {
    if (!drawn) {
      drawn = show.makeBoard(picture(), rows, columns, "");
      drawn.svg.setAttribute("aria-hidden", "true");
      $("editor").replaceChildren(drawn.svg);
    }
    const puzzle = picture();
    show.paint(drawn, puzzle, puzzle.question, size(), () => 1);
    drawn.cells.forEach(({ rect }, cell) => rect.classList.toggle("outside", isOutside(cell)));
    const place = { x: (chosen % columns) + 0.04, y: Math.floor(chosen / columns) + 0.04 };
    const box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const shape = { ...place, width: 0.92, height: 0.92, rx: 0.06 };
    for (const key in shape) box.setAttribute(key, shape[key]);
    box.setAttribute("class", `chosen${board.filled ? " filled" : ""}`);
    drawn.marks.replaceChildren(box);
    const word = isOutside(chosen) ? "outside" : board.tokens[cells[chosen]].word;
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

  function write(token, keys = "") {
    typed = keys;
    if (info.canvas && token === OUTSIDE) cut();
    else {
      if (isOutside(chosen)) extend();
      cells[chosen] = token;
    }
    forget();
    draw();
  }

  function choose(cell) {
    chosen = cell;
    typed = "";
    draw();
  }

  /** Takes a key; returns whether it is, or begins, a symbol. */
  function type(key) {
    const begins = (start) => [...tokenOf.keys()].some((symbol) => symbol.startsWith(start));
    typed = begins(typed + key) ? typed + key : key;
    if (tokenOf.has(typed)) write(tokenOf.get(typed), typed);
    return begins(typed);
  }

  function move(by) {
    const to = chosen + by;
    const sideways = Math.abs(by) === 1;
    if (to < 0 || to >= count) return;
    if (sideways && Math.floor(to / columns) !== Math.floor(chosen / columns)) return;
    choose(to);
  }

  function fill(content) {
    if (!content) return;
    cells = content.tokens;
    typed = "";
    forget();
    draw();
  }

  async function read(source) {
    const options = { method: "POST", headers: { "Content-Type": "text/plain" }, body: source };
    fill(await asked("/api/read", options));
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
    const [height, width] = size();
    const row = (y) => cells.slice(y * columns, y * columns + width);
    const puzzle = Array.from({ length: height }, (_, y) => row(y).map((t) => text.get(t)));
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
    fill(content);
    hideAnswer();
  }

  function hideAnswer() {
    show.load({ boards: [board], traces: [], firstDigit: info.firstDigit });
  }

  function clear() {
    hideAnswer();
    fill({ tokens: [...empty] });
  }

  /* ---- keys, fingers, mouse ---- */

  const MOVES = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    if (key in MOVES) move(MOVES[key]);
    else if (key === "Backspace" || key === "Delete") write(empty[chosen]);
    else if (key === "Enter") solve();
    else if (!type(key)) return;
    event.preventDefault();
  }

  function tapped(event) {
    const { cell } = event.target.dataset || {};
    if (cell === undefined) return;
    const again = Number(cell) === chosen && document.activeElement === $("editor");
    $("editor").focus({ preventScroll: true });
    if (!again) return choose(Number(cell));
    const place = symbols.findIndex((symbol) => symbol.token === cells[chosen]);
    write(symbols[(place + 1) % symbols.length].token);
  }

  function makeSymbol(token, word, letter) {
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

  const title = `Solve ${info.title}`;
  $("title").textContent = document.title = title;
  $("about").textContent = `${info.model}, ${info.parameters.toLocaleString("en")} parameters`;
  $("random").hidden = !info.random;
  symbols.forEach((symbol) => makeSymbol(symbol.token, symbol.word, symbol.text));
  if (info.canvas) makeSymbol(OUTSIDE, "outside", "outside");
  $("size-help").hidden = !info.canvas;
  hideAnswer();
  draw();
  $("ask").hidden = false;
  $("editor").addEventListener("keydown", pressed);
  $("editor").addEventListener("click", tapped);
  $("editor").addEventListener("paste", (event) => read(event.clipboardData.getData("text")));
  $("solve").addEventListener("click", solve);
  $("random").addEventListener("click", random);
  $("clear").addEventListener("click", clear);
  $("use").addEventListener("click", () => read($("text").value));
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
})();
