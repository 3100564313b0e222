// The board in the page: a grid of cells, one of which the keyboard is on.

import { bestMoves } from "./match.js";

const SVG = "http://www.w3.org/2000/svg";

export class BoardView {
  // `onChoose(cell)` is called when a cell is clicked, tapped, or chosen by Enter or Space.
  constructor(grid, rules, onChoose) {
    this.grid = grid;
    this.rules = rules;
    this.pieces = rules.pieces ?? ["disc", "coin"];
    this.cells = [];
    this.current = rules.columns * Math.floor(rules.rows / 2) + Math.floor(rules.columns / 2);
    grid.setAttribute("aria-label", rules.title);
    grid.setAttribute("aria-rowcount", rules.rows);
    grid.setAttribute("aria-colcount", rules.columns);
    document.documentElement.style.setProperty("--rows", rules.rows);
    document.documentElement.style.setProperty("--columns", rules.columns);
    grid.classList.add(rules.look ?? "squares");
    for (let row = 0; row < rules.rows; row += 1) grid.append(this.#row(row));
    this.#makeCurrent(this.current);
    grid.addEventListener("click", (event) => {
      const cell = this.#cellOf(event.target);
      if (cell === null) return;
      this.#makeCurrent(cell);
      onChoose(cell);
    });
    grid.addEventListener("keydown", (event) => this.#onKey(event, onChoose));
    for (const type of ["pointerover", "focusin"]) {
      grid.addEventListener(type, (event) => this.#aim(this.#cellOf(event.target)));
    }
    for (const type of ["pointerleave", "focusout"]) grid.addEventListener(type, () => this.#aim(null));
  }

  // Show a match; `values` are the agent's of this position, or null to show none.
  show(match, values, formatValue, scale) {
    const { rules } = this;
    const line = match.isOver ? rules.line?.(match.position) ?? [] : [];
    const last = match.moves.at(-1)?.cell;
    this.targets = new Map();
    if (match.toMove === "you") {
      for (const action of match.legal) {
        const target = rules.cellOf(match.position, action);
        if (target in this.cells) this.targets.set(target, action);
      }
    }
    this.nextPiece = match.moves.length % 2;
    const best = values && this.targets.size > 0 ? bestMoves(values, match.legal) : [];
    match.board.forEach((piece, cell) => {
      const element = this.cells[cell];
      const owner = piece === 0 ? null : match.moverOf(piece === 1 ? 0 : 1);
      const action = this.targets.get(cell);
      const value = values && action !== undefined ? values[action] : null;
      this.#fill(element, piece);
      element.classList.toggle("line", line.includes(cell));
      element.classList.toggle("last", cell === last && line.length === 0);
      element.classList.toggle("free", action !== undefined);
      this.#showValue(element, value, formatValue, scale, best.includes(action));
      const shown = value === null ? null : formatValue(value);
      element.setAttribute("aria-label", this.#label(match, cell, owner, shown, values, formatValue));
    });
    this.grid.classList.toggle("over", match.isOver);
    this.#aim(null);
  }

  // The legal moves of which no cell is shown, as a pass.
  others(match) {
    const shown = new Set(this.targets.values());
    return match.toMove === "you" ? match.legal.filter((action) => !shown.has(action)) : [];
  }

  #row(row) {
    const element = document.createElement("div");
    element.setAttribute("role", "row");
    for (let column = 0; column < this.rules.columns; column += 1) {
      const cell = document.createElement("div");
      cell.setAttribute("role", "gridcell");
      cell.className = "cell";
      cell.dataset.cell = this.cells.length;
      cell.tabIndex = -1;
      this.cells.push(cell);
      element.append(cell);
    }
    return element;
  }

  #cellOf(target) {
    const cell = target.closest?.("[data-cell]");
    return cell ? Number(cell.dataset.cell) : null;
  }

  #makeCurrent(cell) {
    this.cells[this.current].tabIndex = -1;
    this.cells[cell].tabIndex = 0;
    this.current = cell;
  }

  #onKey(event, onChoose) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { rows, columns } = this.rules;
    const [row, column] = [Math.floor(this.current / columns), this.current % columns];
    const goals = {
      ArrowLeft: [row, Math.max(column - 1, 0)],
      ArrowRight: [row, Math.min(column + 1, columns - 1)],
      ArrowUp: [Math.max(row - 1, 0), column],
      ArrowDown: [Math.min(row + 1, rows - 1), column],
      Home: [row, 0],
      End: [row, columns - 1],
    };
    if (event.key in goals) {
      const [toRow, toColumn] = goals[event.key];
      this.#makeCurrent(toRow * columns + toColumn);
      this.cells[this.current].focus();
    } else if (event.key === "Enter" || event.key === " ") {
      onChoose(this.current);
    } else {
      return;
    }
    event.preventDefault();
  }

  // Mark where a piece would go if `cell` were chosen.
  #aim(cell) {
    for (const element of this.cells) delete element.dataset.aim;
    if (cell === null || !this.targets) return;
    const action = this.rules.actionAt(cell);
    for (const [target, legal] of this.targets) {
      if (legal === action) this.cells[target].dataset.aim = this.nextPiece === 0 ? "first" : "second";
    }
  }

  #fill(element, piece) {
    const wanted = { "1": "first", "-1": "second", "0": "" }[piece];
    if ((element.dataset.piece ?? "") === wanted) return;
    element.replaceChildren();
    if (wanted === "") {
      delete element.dataset.piece;
      return;
    }
    element.dataset.piece = wanted;
    const picture = document.createElementNS(SVG, "svg");
    const use = document.createElementNS(SVG, "use");
    use.setAttribute("href", `#${this.pieces[wanted === "first" ? 0 : 1]}`);
    picture.setAttribute("aria-hidden", "true");
    picture.append(use);
    element.append(picture);
  }

  #showValue(element, value, formatValue, scale, isBest) {
    element.querySelector(".value")?.remove();
    for (const name of ["q", "sign", "best"]) delete element.dataset[name];
    if (value === null) return;
    element.dataset.q = String(value);
    element.dataset.sign = value < 0 ? "bad" : "good";
    if (isBest) element.dataset.best = "";
    const part = Math.min(Math.abs(value) / scale, 1);
    element.style.setProperty("--part", `${Math.round(100 * part)}%`);
    const chip = document.createElement("span");
    chip.className = "value";
    chip.textContent = formatValue(value);
    chip.setAttribute("aria-hidden", "true");
    element.append(chip);
  }

  #label(match, cell, owner, shown, values, formatValue) {
    const { columns } = this.rules;
    const parts = [`row ${Math.floor(cell / columns) + 1}, column ${(cell % columns) + 1}`];
    if (owner) return [...parts, owner === "you" ? "yours" : "the agent's"].join(", ");
    parts.push("empty");
    if (shown !== null) parts.push(`value ${shown}`);
    if (this.targets.size === 0 || this.targets.has(cell)) return parts.join(", ");
    const action = this.rules.actionAt(cell);
    const [target] = [...this.targets].find(([, legal]) => legal === action) ?? [null];
    if (target === null) return parts.join(", ");
    parts.push(`drops to row ${Math.floor(target / columns) + 1}`);
    if (values) parts.push(`value ${formatValue(values[action])}`);
    return parts.join(", ");
  }
}
