// Connect Four for one board; an action is the column into which a piece falls.
//
// A state is an Int8Array of cells, the uppermost row first, as the player to move sees them: 1 own,
// -1 the other's, 0 empty.

const ROWS = 6;
const COLUMNS = 7;
const DIRECTIONS = [[0, 1], [1, 0], [1, 1], [1, -1]];

const isOnBoard = (row, column) => row >= 0 && row < ROWS && column >= 0 && column < COLUMNS;

const LINES = [];
for (let row = 0; row < ROWS; row += 1) {
  for (let column = 0; column < COLUMNS; column += 1) {
    for (const [down, right] of DIRECTIONS) {
      if (!isOnBoard(row + 3 * down, column + 3 * right)) continue;
      LINES.push([0, 1, 2, 3].map((step) => (row + step * down) * COLUMNS + column + step * right));
    }
  }
}

const rules = {
  name: "connect_four",
  title: "Connect Four",
  hint: "Four in a row wins.",
  pieces: ["disc", "coin"], // of who begins and of the other: cross, ring, disc, coin
  look: "slots", // of the board: lines, slots, squares
  rows: ROWS,
  columns: COLUMNS,
  numActions: COLUMNS,

  initial: () => new Int8Array(ROWS * COLUMNS),

  legal(state) {
    if (rules.line(state).length > 0) return [];
    return Array.from({ length: COLUMNS }, (_, column) => column)
      .filter((column) => state[column] === 0);
  },

  apply(state, action) {
    const following = state.map((piece) => -piece);
    following[rules.cellOf(state, action)] = -1;
    return following;
  },

  outcome(state) {
    const line = rules.line(state);
    const score = line.length > 0 ? state[line[0]] : 0;
    return { isOver: score !== 0 || !state.includes(0), score };
  },

  // Where the own pieces are, then where the other's are.
  encode: (state) =>
    Float32Array.from({ length: 2 * state.length }, (_, place) =>
      Number(state[place % state.length] === (place < state.length ? 1 : -1))),

  board: (state) => state,

  // The cells of the line that won, all of them where a move made two, or none.
  line(state) {
    const isLine = (line) => state[line[0]] !== 0 && line.every((cell) => state[cell] === state[line[0]]);
    return [...new Set(LINES.filter(isLine).flat())];
  },

  // The cell where a move places its piece, and the move meant by choosing a cell.
  cellOf(state, action) {
    let row = ROWS - 1;
    while (row > 0 && state[row * COLUMNS + action] !== 0) row -= 1;
    return row * COLUMNS + action;
  },
  actionAt: (cell) => cell % COLUMNS,

  moveName: (action) => String(action + 1),
};

export default rules;
