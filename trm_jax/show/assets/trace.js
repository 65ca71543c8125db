"use strict";
// Draws traces and plays them, in the elements of player.html. `load` takes what
// show/trace_page.py:records makes, again and again where it has to.
const player = () => {
  let boards = [];
  let traces = [];
  let marks = null;
  let address = false;
  const $ = (id) => document.getElementById(id);
  const FRAME_MS = 900;
  const PLAY = "M3 1.5v13L14 8z";
  const PAUSE = "M3 2h4v12H3zM9 2h4v12H9z";

  let puzzle = 0;
  let step = 0; // 0 shows the question
  let timer = null;
  let board = null;
  let curve = null;
  let inspected = null;

  /* ---- what a trace says ---- */

  const trace = () => traces[puzzle];
  const last = () => trace().path.length;
  const look = (t) => boards[t.board];
  const token = (t, text, cell) => {
    const { width } = look(t);
    return parseInt(text.slice(width * cell, width * (cell + 1)), 36);
  };
  const tokensAt = (t, s) => (s === 0 ? t.question : t.path[s - 1]);
  const confidence = (t, s, cell) =>
    s === 0 ? 1 : parseInt(t.confidence[s - 1].slice(2 * cell, 2 * cell + 2), 10) / 99;
  const percent = (share, digits) => `${(100 * share).toFixed(digits)} %`;
  const size = (t, s) => (t.sizes ? t.sizes[s] : [t.rows, t.columns]);
  const inside = (t, s, cell) => {
    const [rows, columns] = size(t, s);
    return Math.floor(cell / t.columns) < rows && cell % t.columns < columns;
  };
  // the first answer is all new, and so marks nothing
  const changed = (t, s, cell) =>
    marks.has(t)
      ? marks.decided(t, s, cell)
      : s > 1 && token(t, t.path[s - 1], cell) !== token(t, t.path[s - 2], cell);
  // questions and answers of different sizes have no cells in common
  const given = (t, cell) => !t.sizes && !look(t).open.includes(token(t, t.question, cell));
  const many = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

  function meanConfidence(t, s) {
    if (marks.has(t)) return marks.solvedShare(t, s);
    let sum = 0;
    let count = 0;
    for (let cell = 0; cell < t.rows * t.columns; cell++) {
      if (!inside(t, s, cell)) continue;
      sum += confidence(t, s, cell);
      count++;
    }
    return count ? sum / count : 0;
  }

  const called = (t, value) => look(t).tokens[value].word;

  /* ---- drawing ---- */

  function element(name, attributes, parent) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (parent) parent.appendChild(made);
    return made;
  }

  const isDark = () => document.documentElement.dataset.theme === "dark";

  function makeBoard(t, rows, columns, label) {
    const edge = 0.006 * Math.max(rows, columns);
    const kind = look(t).filled ? "filled" : "paper";
    const view = [-edge, -edge, columns + 2 * edge, rows + 2 * edge].join(" ");
    const svg = element("svg", { viewBox: view, role: "img", "aria-label": label, class: kind });
    const under = { x: 0, y: 0, width: columns, height: rows, class: "under" };
    element("rect", under, svg);
    const cells = [];
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const cell = row * t.columns + column;
        const place = { x: column, y: row, width: 1, height: 1, "data-cell": cell };
        const rect = element("rect", place, svg);
        const middle = { x: column + 0.5, y: row + 0.72 };
        const text = look(t).longest ? element("text", middle, svg) : null;
        cells[cell] = { rect, text, row, column };
      }
    }
    drawLines(look(t), rows, columns, element("g", {}, svg));
    const frame = element("rect", { class: "frame" }, svg);
    const small = { class: Math.max(rows, columns) > 15 ? "fine" : "" };
    return { svg, cells, frame, marks: element("g", small, svg) };
  }

  function drawLines({ lines, box }, rows, columns, parent) {
    const thick = (place, every) => every > 0 && place % every === 0;
    for (const kind of ["thin", "thick"]) {
      if (kind === "thin" && !lines) continue;
      let d = "";
      for (let y = 1; y < rows; y++) {
        if (thick(y, box[0]) === (kind === "thick")) d += `M0 ${y}H${columns}`;
      }
      for (let x = 1; x < columns; x++) {
        if (thick(x, box[1]) === (kind === "thick")) d += `M${x} 0V${rows}`;
      }
      element("path", { class: kind, d }, parent);
    }
  }

  function paint(drawn, t, tokens, frame, share) {
    drawn.cells.forEach(({ rect, text }, cell) => {
      const value = token(t, tokens, cell);
      const { fill, dark } = look(t).tokens[value];
      const faded = share(cell);
      if (fill) {
        rect.style.fill = isDark() ? dark : fill;
        rect.style.fillOpacity = 1;
        rect.style.opacity = 0.1 + 0.9 * faded;
      } else {
        rect.style.fill = "var(--uncertain)"; // on paper: as opaque as it is uncertain
        rect.style.fillOpacity = Math.min(0.85, 1.3 * (1 - faded));
        rect.style.opacity = 1;
      }
      if (text) write(text, t, value, cell);
    });
    const [rows, columns] = frame;
    const attributes = { x: 0, y: 0, width: columns, height: rows };
    for (const key in attributes) drawn.frame.setAttribute(key, attributes[key]);
  }

  function write(text, t, value, cell) {
    const { letter, fill, dark, ink, darkInk } = look(t).tokens[value];
    text.textContent = letter;
    text.style.fontSize = look(t).longest > 1 ? `${0.9 / look(t).longest}px` : "";
    text.style.fill = fill ? (isDark() ? darkInk : ink) : "";
    text.style.stroke = isDark() ? dark : fill; // to be read on a faded cell, too
    const fixed = given(t, cell);
    const lost = fixed && value !== token(t, t.question, cell);
    const kind = fill ? "filled" : `written${fixed ? " given" : ""}${lost ? " lost" : ""}`;
    text.setAttribute("class", `letter ${kind}`);
  }

  function mark(drawn, t, s) {
    drawn.cells.forEach(({ row, column }, cell) => {
      if (!changed(t, s, cell)) return;
      const box = { x: column + 0.1, y: row + 0.1, width: 0.8, height: 0.8, rx: 0.08 };
      if (look(t).filled) element("rect", { ...box, class: "halo" }, drawn.marks);
      element("rect", { ...box, class: "change", "data-changed": cell }, drawn.marks);
    });
  }

  function outline(drawn, t, s) {
    drawn.marks.replaceChildren();
    if ($("changes").checked) mark(drawn, t, s);
    marks.outline(drawn, t, s);
  }

  /* ---- the curve ---- */

  const PLOT = { left: 44, right: 322, top: 12, bottom: 122, width: 334, height: 146 };
  const across = (s) => {
    const steps = Math.max(1, last() - 1);
    return PLOT.left + 8 + ((PLOT.right - PLOT.left - 16) * (s - 1)) / steps;
  };
  const up = (share) => PLOT.bottom - (PLOT.bottom - PLOT.top) * share;

  function makeCurve(t) {
    const box = `0 0 ${PLOT.width} ${PLOT.height}`;
    const label = marks.has(t)
      ? "Probability of no conflict after each round"
      : "Halting probability after each step";
    const svg = element("svg", { viewBox: box, role: "img", "aria-label": label });
    for (const share of [0, 0.5, 1]) {
      const line = { x1: PLOT.left, x2: PLOT.right, y1: up(share), y2: up(share) };
      element("line", { ...line, class: share === 0.5 ? "half" : "axis" }, svg);
      const words = { x: PLOT.left - 6, y: up(share) + 4, class: "words", "text-anchor": "end" };
      element("text", words, svg).textContent = `${100 * share} %`;
    }
    const every = Math.ceil(last() / 10);
    for (let s = 1; s <= last(); s++) {
      if (s !== last() && (s % every || last() - s < every)) continue;
      const words = { x: across(s), y: PLOT.bottom + 16, class: "words", "text-anchor": "middle" };
      element("text", words, svg).textContent = s;
    }
    const steps = t.path.map((_, i) => i + 1);
    const line = (share) => steps.map((s) => `${across(s)},${up(share(s))}`).join(" ");
    element("polyline", { points: line((s) => meanConfidence(t, s)), class: "cells-line" }, svg);
    element("polyline", { points: line((s) => t.halting[s - 1]), class: "halting-line" }, svg);
    for (const s of steps.filter((s) => marks.kind(t, s) === "restart")) {
      const at = { x1: across(s), x2: across(s), y1: PLOT.top, y2: PLOT.bottom };
      element("line", { ...at, class: "restart-line" }, svg);
    }
    const now = element("line", { y1: PLOT.top - 6, y2: PLOT.bottom, class: "now" }, svg);
    for (const s of steps) {
      if (marks.has(t) && !marks.dots(t, s)) continue;
      const right = marks.has(t) ? marks.right(t, s) : t.right[s - 1];
      const kind = { true: "right", false: "wrong", null: "" }[right];
      const place = { cx: across(s), cy: up(t.halting[s - 1]), r: last() > 24 ? 3 : 4.5 };
      element("circle", { ...place, class: `dot ${kind}` }, svg);
    }
    return { svg, now };
  }

  function stepAt(event) {
    const box = curve.svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) * PLOT.width) / box.width;
    const share = (x - across(1)) / Math.max(1, across(last()) - across(1));
    return Math.min(last(), Math.max(1, 1 + Math.round(share * (last() - 1))));
  }

  /* ---- showing a puzzle and a step ---- */

  function showPuzzle() {
    const t = trace();
    board = makeBoard(t, t.rows, t.columns, "");
    marks.prepare(board, t);
    $("board").replaceChildren(board.svg);
    curve = makeCurve(t);
    $("curve").replaceChildren(curve.svg);
    $("puzzle").selectedIndex = puzzle;
    $("puzzle-back").disabled = puzzle === 0;
    $("puzzle-on").disabled = puzzle === traces.length - 1;
    $("slider").max = last();
    const end = t.right[last() - 1];
    $("verdict").textContent = t.verdict;
    $("verdict").className = { true: "right", false: "wrong", null: "" }[end];
    const unknown = t.right.every((right) => right === null);
    for (const key of document.querySelectorAll(".judged")) key.hidden = unknown;
    const verb = look(t).filled ? "fade" : "shade";
    $("shade-words").textContent = `${verb} cells of low confidence`;
    inspected = null;
    showKnown(t);
    showRounds(t);
  }

  /** What the page calls things, and its ticks: steps of one kind of model, rounds of another. */
  function showRounds(t) {
    const rounds = marks.has(t);
    for (const word of document.querySelectorAll(".of-steps")) word.hidden = rounds;
    for (const word of document.querySelectorAll(".of-rounds")) word.hidden = !rounds;
    $("slider").setAttribute("aria-label", rounds ? "Round" : "Supervision step");
    if (rounds) $("shade-words").textContent = "fade unlikely candidates";
    const ticks = marks.ticks(t);
    $("ticks").hidden = $("event").hidden = ticks === null;
    $("ticks").replaceChildren(...(ticks ? [ticks] : []));
  }

  function showKnown(t) {
    const known = $("known");
    known.replaceChildren();
    const shown = [["question", t.question, 0], ["answer", t.answer, last() + 1]];
    if (!t.sizes) shown.shift(); // the question is filled in, and step 0 shows it
    for (const [name, tokens, s] of shown) {
      if (!tokens) continue;
      const holder = document.createElement("div");
      const words = document.createElement("p");
      words.className = "small";
      words.textContent = name;
      const drawn = makeBoard(t, ...size(t, s), name);
      paint(drawn, t, tokens, size(t, s), () => 1);
      holder.append(words, drawn.svg);
      known.append(holder);
    }
  }

  function show() {
    const t = trace();
    const shade = $("shade").checked;
    paint(board, t, tokensAt(t, step), size(t, step), (cell) =>
      shade && inside(t, step, cell) ? confidence(t, step, cell) : 1,
    );
    marks.fill(board, t, step, shade);
    outline(board, t, step);
    const words = describe(t);
    $("status").replaceChildren();
    words.forEach((phrase, i) => {
      // phrases are not broken, lines are between them
      const part = document.createElement(i ? "span" : "b");
      part.textContent = phrase;
      $("status").append(i ? " · " : "", part);
    });
    $("event").textContent = marks.happened(t, step);
    $("event").className = marks.kind(t, step);
    const ended = marks.happened(t, step) ? [marks.happened(t, step)] : [];
    board.svg.setAttribute("aria-label", [t.name, ...words, ...ended].join(", "));
    board.svg.dataset.tokens = tokensAt(t, step);
    $("slider").value = step;
    $("slider").setAttribute("aria-valuetext", words[0]);
    const x = across(Math.max(1, step));
    curve.now.setAttribute("x1", x);
    curve.now.setAttribute("x2", x);
    curve.now.style.visibility = step ? "visible" : "hidden";
    $("first").disabled = $("back").disabled = step === 0;
    $("last").disabled = $("on").disabled = step === last();
    inspect();
    if (timer === null) remember();
  }

  function describe(t) {
    if (step === 0) return ["question"];
    if (marks.has(t)) return marks.describe(t, step);
    let count = 0;
    board.cells.forEach((_, cell) => (count += changed(t, step, cell) ? 1 : 0));
    const words = [`step ${step} of ${last()}`];
    words.push(step === 1 ? "first answer" : `${many(count, "cell")} changed`);
    if (t.sizes) words.push(size(t, step)[0] ? size(t, step).join("×") : "no grid");
    words.push(`confidence ${percent(t.halting[step - 1], 1)}`);
    if (t.right[step - 1] !== null) words.push(t.right[step - 1] ? "right" : "wrong");
    return words;
  }

  function inspect() {
    const t = trace();
    if (inspected === null) {
      const facts = marks.has(t) ? "its candidates" : "its confidence and its history";
      $("cell").textContent = `Point at a cell to see ${facts}.`;
      return;
    }
    const cell = inspected;
    const place = `row ${Math.floor(cell / t.columns) + 1}, column ${(cell % t.columns) + 1}`;
    const words = [`${place}: ${called(t, token(t, tokensAt(t, step), cell))}`];
    if (marks.has(t)) {
      if (marks.undecided(t, step, cell)) words[0] = place;
      $("cell").textContent = [...words, ...marks.inspect(t, step, cell)].join(" · ");
      return;
    }
    if (step > 0 && inside(t, step, cell)) {
      words.push(`confidence ${percent(confidence(t, step, cell), 0)}`);
    }
    const runs = [];
    t.path.forEach((tokens, i) => {
      const name = called(t, token(t, tokens, cell));
      if (runs.length && runs[runs.length - 1].name === name) runs[runs.length - 1].to = i + 1;
      else runs.push({ name, from: i + 1, to: i + 1 });
    });
    if (runs.length > 1) {
      const span = (run) => (run.from === run.to ? run.from : `${run.from}–${run.to}`);
      words.push(`steps ${runs.map((run) => `${span(run)}: ${run.name}`).join(", ")}`);
    }
    $("cell").textContent = words.join(" · ");
  }

  /* ---- moving ---- */

  function go(where) {
    step = Math.min(last(), Math.max(0, where));
    show();
  }

  function choose(number, where) {
    const next = Math.min(traces.length - 1, Math.max(0, number));
    if (next === puzzle && board) return go(where);
    puzzle = next;
    showPuzzle();
    go(where);
  }

  function button(label, icon) {
    $("play").setAttribute("aria-label", label);
    $("play").querySelector("path").setAttribute("d", icon);
  }

  function play() {
    if (step === last()) step = 0;
    timer = window.setInterval(tick, FRAME_MS / Number($("speed").value));
    button("Pause (space)", PAUSE);
    show();
  }

  function pause() {
    if (timer === null) return;
    window.clearInterval(timer);
    timer = null;
    button("Play (space)", PLAY);
    remember();
  }

  function tick() {
    go(step + 1);
    if (step === last()) pause();
  }

  const toggle = () => (timer === null ? play() : pause());
  const jump = (where) => {
    pause();
    go(where);
  };
  const other = (by) => {
    pause();
    if (puzzle + by >= 0 && puzzle + by < traces.length) choose(puzzle + by, 0);
  };

  /* ---- the address: #puzzle=2&step=3 ---- */

  function remember() {
    if (!address) return;
    const place = `#puzzle=${puzzle + 1}&step=${step}`;
    if (window.location.hash === place) return;
    try {
      window.history.replaceState(null, "", place);
    } catch {
      // some browsers refuse for files, or when asked too often; the page works without
    }
  }

  function recall() {
    const asked = new URLSearchParams(window.location.hash.slice(1));
    const number = (name, otherwise) => {
      const value = Number.parseInt(asked.get(name), 10);
      return Number.isNaN(value) ? otherwise : value;
    };
    pause();
    choose(number("puzzle", 1) - 1, number("step", 0));
  }

  /* ---- mouse, fingers, keys ---- */

  const KEYS = {
    " ": toggle,
    ArrowRight: () => jump(step + 1),
    ArrowLeft: () => jump(step - 1),
    Home: () => jump(0),
    End: () => jump(last()),
    n: () => other(1),
    p: () => other(-1),
    ArrowDown: () => other(1),
    ArrowUp: () => other(-1),
  };
  const CHAPTERS = {
    PageDown: () => jump(marks.restart(trace(), step, 1)),
    PageUp: () => jump(marks.restart(trace(), step, -1)),
  };

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !traces.length) return;
    const name = event.target.tagName;
    if (event.target.closest && event.target.closest("[data-own-keys]")) return;
    // a chosen button, box or list keeps the keys that it answers to itself
    if (name === "SELECT") return;
    const own = name === "BUTTON" || event.target.type === "checkbox";
    if (own && event.key === " ") return;
    const keys = trace().kinds ? { ...KEYS, ...CHAPTERS } : KEYS;
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  function pointed(event) {
    const cell = event.target.dataset ? event.target.dataset.cell : undefined;
    if (cell === undefined) return;
    inspected = Number(cell);
    inspect();
  }

  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const theme = (name) => {
    document.documentElement.dataset.theme = name;
    if (!board || !traces.length) return;
    showKnown(trace()); // cells have colours of their own, in light and in dark
    show();
  };
  let chosen = false;
  const follow = () => chosen || theme(dark.matches ? "dark" : "light");

  function listen() {
    const on = (id, act) => $(id).addEventListener("click", act);
    on("play", toggle);
    on("back", KEYS.ArrowLeft);
    on("on", KEYS.ArrowRight);
    on("first", KEYS.Home);
    on("last", KEYS.End);
    on("puzzle-back", KEYS.p);
    on("puzzle-on", KEYS.n);
    on("theme", () => {
      chosen = true;
      theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    });
    $("slider").addEventListener("input", () => jump(Number($("slider").value)));
    $("puzzle").addEventListener("change", () => {
      pause();
      choose($("puzzle").selectedIndex, 0);
    });
    $("speed").addEventListener("change", () => {
      if (timer === null) return;
      window.clearInterval(timer);
      timer = window.setInterval(tick, FRAME_MS / Number($("speed").value));
    });
    for (const id of ["changes", "shade"]) $(id).addEventListener("change", show);
    for (const kind of ["pointermove", "pointerdown"]) {
      $("board").addEventListener(kind, pointed);
    }
    $("curve").addEventListener("pointerdown", (event) => {
      $("curve").setPointerCapture(event.pointerId);
      jump(stepAt(event));
    });
    $("curve").addEventListener("pointermove", (event) => {
      if (event.buttons) jump(stepAt(event));
    });
    document.addEventListener("keydown", pressed);
    window.addEventListener("hashchange", () => address && recall());
    dark.addEventListener("change", follow);
  }

  function fillChooser() {
    $("puzzle").replaceChildren();
    for (const t of traces) {
      const option = document.createElement("option");
      const end = { true: " ✓", false: " ✗", null: "" }[t.right[t.path.length - 1]];
      option.textContent = `${t.name}${end}`;
      $("puzzle").append(option);
    }
    for (const part of document.querySelectorAll(".several")) part.hidden = traces.length < 2 && !address;
  }

  /** Shows other traces from their question on; with none, only draws boards of these looks. */
  function load(data, options = {}) {
    pause();
    boards = data.boards;
    traces = data.traces;
    const { firstDigit } = data;
    marks = pencil({ element, firstDigit, token, tokensAt, look, given, percent, many });
    address = Boolean(options.address);
    puzzle = 0;
    board = null;
    fillChooser();
    document.querySelector("main").hidden = !traces.length;
    if (!traces.length) return;
    if (address) recall();
    else choose(0, 0);
  }

  follow();
  listen();
  return { load, play, pause, go, last, makeBoard, paint };
};
