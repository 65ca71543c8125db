"use strict";
// What a trace with candidates adds: marks in undecided cells, guesses, restarts. The helpers are
// those of trace.js.
const pencil = ({ element, firstDigit, token, tokensAt, look, given, percent, many }) => {
  const BLANK = firstDigit - 1;
  const FAINTEST = 0.35; // of what is alive
  const MAX_FADING = 1500; // marks; with more, fading would stutter on a phone
  const MAX_DOTS = 60;

  const has = (t) => t.candidates !== null;
  const undecided = (t, s, cell) => has(t) && token(t, tokensAt(t, s), cell) === BLANK;
  const kind = (t, s) => (s > 0 && t.kinds ? t.kinds[s - 1] : "");
  const happened = (t, s) => (s > 0 && t.events ? t.events[s - 1] : "");
  const guessed = (t, s) => (s > 0 && t.marked ? t.marked[s - 1] : null);
  const cellsOf = (t) => Array.from({ length: t.rows * t.columns }, (_, cell) => cell);

  /** Cells decided in a step, as the question or the step before left them open. */
  const decided = (t, s, cell) =>
    s > 0 &&
    !undecided(t, s, cell) &&
    cell !== guessed(t, s) &&
    token(t, tokensAt(t, s), cell) !== token(t, tokensAt(t, s - 1), cell);

  /** Of each undecided cell the probabilities of its candidates; null for dead ones. */
  function shares(t, s) {
    const { count, rounds } = t.candidates;
    const open = cellsOf(t).filter((cell) => undecided(t, s, cell));
    if (s === 0) return new Map(open.map((cell) => [cell, Array(count).fill(1)]));
    const all = rounds[s - 1].match(/\.|\d\d/g) || [];
    const share = (text) => (text === "." ? null : Number(text) / 99);
    return new Map(
      open.map((cell, i) => [cell, all.slice(i * count, (i + 1) * count).map(share)]),
    );
  }

  /** By cell, the round of the guesses that the chain of a step rests on. */
  function guesses(t, s) {
    const found = new Map();
    for (let i = s; i > 0 && (i === s || kind(t, i) !== "restart"); i--) {
      const cell = guessed(t, i);
      if (cell !== null && (i === s || !undecided(t, s, cell))) found.set(cell, i);
    }
    return found;
  }

  /* ---- the board ---- */

  function prepare(drawn, t) {
    if (!has(t)) return;
    const { count } = t.candidates;
    const wide = Math.ceil(Math.sqrt(count));
    const high = Math.ceil(count / wide);
    const edge = 0.07;
    const most = Math.max(wide, high) * Math.max(1, 0.7 * look(t).longest);
    const font = (0.94 * (1 - 2 * edge)) / most;
    const group = element("g", { "font-size": font }, drawn.svg);
    drawn.pencil = new Map();
    drawn.cells.forEach(({ row, column }, cell) => {
      if (given(t, cell)) return;
      const texts = Array.from({ length: count }, (_, i) => {
        const x = column + edge + ((1 - 2 * edge) * ((i % wide) + 0.5)) / wide;
        const y = row + edge + ((1 - 2 * edge) * (Math.floor(i / wide) + 0.5)) / high;
        const made = element("text", { x, y: y + 0.36 * font, class: "mark" }, group);
        made.textContent = look(t).tokens[i + firstDigit].letter;
        return made;
      });
      drawn.pencil.set(cell, texts);
    });
    if (drawn.pencil.size * count > MAX_FADING) group.setAttribute("class", "still");
  }

  const opacity = (share, s, shade) => {
    if (share === null) return 0;
    if (s === 0) return 0.5; // nothing is known of them yet
    return shade ? FAINTEST + (1 - FAINTEST) * share : 1;
  };

  function fill(drawn, t, s, shade) {
    if (!has(t)) return;
    const alive = shares(t, s);
    const rests = guesses(t, s);
    if (!look(t).filled) shadeDeduced(drawn, t, (cell) => alive.has(cell) || rests.has(cell));
    drawn.pencil.forEach((texts, cell) => {
      const here = alive.get(cell);
      texts.forEach((text, i) => {
        text.style.fillOpacity = here ? opacity(here[i], s, shade).toFixed(3) : 0;
      });
      const { rect, text } = drawn.cells[cell];
      if (here && here.every((share) => share === null)) {
        rect.style.fill = "var(--wrong)"; // an empty cell is a conflict
        rect.style.fillOpacity = 0.3;
      }
      if (text) text.classList.toggle("guess", rests.has(cell));
    });
  }

  /** Only what was deduced is shaded: that a guess is unsure, and a given sure, is known. */
  function shadeDeduced(drawn, t, otherwise) {
    drawn.cells.forEach(({ rect }, cell) => {
      if (given(t, cell) || otherwise(cell)) rect.style.fillOpacity = 0;
    });
  }

  function outline(drawn, t, s) {
    if (!has(t)) return;
    guesses(t, s).forEach((round, cell) => {
      const { row, column } = drawn.cells[cell];
      const now = round === s ? " now-guess" : "";
      const box = { x: column + 0.06, y: row + 0.06, width: 0.88, height: 0.88, rx: 0.08 };
      const found = { class: `guessed${now}`, "data-guess": cell };
      element("rect", { ...box, ...found }, drawn.marks);
    });
  }

  /* ---- the rounds ---- */

  /** Ticks below the slider; both have the thumb's half width at their ends. */
  function ticks(t) {
    if (!t.kinds) return null;
    const count = t.path.length;
    const box = { viewBox: `0 0 ${count} 10`, preserveAspectRatio: "none" };
    const svg = element("svg", { ...box, "aria-hidden": "true" });
    svg.setAttribute("class", count > 120 ? "fine" : "");
    t.kinds.forEach((name, i) => {
      if (!name) return;
      const line = { x1: i + 1, x2: i + 1, y1: name === "restart" ? 0 : 4, y2: 10 };
      element("line", { ...line, class: `tick ${name}`, "data-round": i + 1 }, svg);
    });
    return svg;
  }

  /** The nearest restart after (or before) a step; else the end. */
  function restart(t, s, by) {
    const last = t.path.length;
    let at = s + by;
    while (at > 0 && at < last && kind(t, at) !== "restart") at += by;
    return at;
  }

  const open = (t, s) => cellsOf(t).filter((cell) => undecided(t, s, cell)).length;
  const solvedShare = (t, s) => 1 - open(t, s) / (t.rows * t.columns);
  // a board with blanks is unfinished, not wrong
  const right = (t, s) => (open(t, s) ? null : t.right[s - 1]);
  const dots = (t, s) => t.path.length <= MAX_DOTS || s === t.path.length;

  function describe(t, s) {
    const words = [`round ${s} of ${t.path.length}`];
    const count = cellsOf(t).filter((cell) => decided(t, s, cell)).length;
    words.push(`${many(count, "cell")} decided`, `${open(t, s)} open`);
    words.push(`no conflict: ${percent(t.halting[s - 1], 1)}`);
    if (right(t, s) !== null) words.push(right(t, s) ? "right" : "wrong");
    return words;
  }

  /** What is left in a cell, the likeliest first. */
  function inspect(t, s, cell) {
    const here = shares(t, s).get(cell);
    if (here) {
      const letter = (i) => look(t).tokens[i + firstDigit].word;
      if (s === 0) return [`any of ${here.map((_, i) => letter(i)).join(" ")}`];
      const alive = here.map((share, i) => [share, i]).filter(([share]) => share !== null);
      alive.sort((a, b) => b[0] - a[0]);
      const words = alive.map(([share, i]) => `${letter(i)} (${percent(share, 0)})`);
      return [words.join(", ") || "no candidate is left"];
    }
    const round = guesses(t, s).get(cell);
    return round ? [`guessed in round ${round}`] : [];
  }

  return {
    has, undecided, kind, happened, decided, prepare, fill, outline, ticks, restart, solvedShare,
    right, dots, describe, inspect,
  };
};
