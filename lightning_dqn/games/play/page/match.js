// One game between the person and the agent, and the count of all of them. No part of the page.

export class Match {
  constructor(rules) {
    this.rules = rules;
    this.counts = { you: 0, draws: 0, agent: 0 };
    this.next = "you";
    this.begin("you");
  }

  // Begin a game; `starts` is "you", "agent" or "alternate".
  begin(starts) {
    this.first = starts === "alternate" ? this.next : starts;
    this.next = this.first === "you" ? "agent" : "you";
    this.states = [this.rules.initial()];
    this.moves = [];
  }

  get position() {
    return this.states.at(-1);
  }

  get legal() {
    return this.rules.legal(this.position);
  }

  get isOver() {
    return this.rules.outcome(this.position).isOver;
  }

  // Who is to move, or null after the end.
  get toMove() {
    return this.isOver ? null : this.moverOf(this.moves.length);
  }

  // Who has won: "you", "agent" or "draws"; null before the end.
  get result() {
    const { isOver, score } = this.rules.outcome(this.position);
    if (!isOver) return null;
    if (score === 0) return "draws";
    return this.moverOf(this.moves.length + (score > 0 ? 0 : 1));
  }

  // The board as [1 for who began, -1 for the other, 0], whoever is to move.
  get board() {
    const sign = this.moves.length % 2 === 0 ? 1 : -1;
    return Array.from(this.rules.board(this.position), (piece) => sign * piece || 0);
  }

  moverOf(number) {
    const other = this.first === "you" ? "agent" : "you";
    return number % 2 === 0 ? this.first : other;
  }

  // Why a move can't be made now, or null if it can.
  objection(action) {
    if (this.isOver) return "The game is over. Start a new one.";
    if (!Number.isInteger(action) || action < 0 || action >= this.rules.numActions) {
      return `There is no move ${String(action)}: moves are 0 to ${this.rules.numActions - 1}.`;
    }
    if (this.legal.includes(action)) return null;
    const name = this.rules.moveName(action);
    return `${name} is not a legal move, but ${this.legal.map(this.rules.moveName).join(", ")} are.`;
  }

  // Make a legal move; `values` are the agent's of the position that it leaves.
  make(action, values) {
    const cell = this.rules.cellOf(this.position, action);
    const best = bestMoves(values, this.legal);
    const by = this.toMove;
    this.moves.push({ action, by, cell, value: values[action], best });
    this.states.push(this.rules.apply(this.position, action));
    if (this.result !== null) this.counts[this.result] += 1;
  }

  get canUndo() {
    return this.moves.some((move) => move.by === "you");
  }

  // Take back the person's last move and what came after it.
  undo() {
    if (this.result !== null) this.counts[this.result] -= 1;
    let taken;
    do {
      taken = this.moves.pop();
      this.states.pop();
    } while (taken.by !== "you");
  }
}

export function bestMoves(values, legal) {
  const best = Math.max(...legal.map((action) => values[action]));
  return legal.filter((action) => values[action] === best);
}
