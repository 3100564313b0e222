// Tic-tac-toe for one board, cells numbered row by row.
//
// A state is an Int8Array of cells as the player to move sees them: 1 own, -1 the other's, 0 empty.

const LINES = [
  [0, 1, 2], [3, 4, 5], [6, 7, 8],
  [0, 3, 6], [1, 4, 7], [2, 5, 8],
  [0, 4, 8], [2, 4, 6],
];

const encodings = {
  signed: (state) => Float32Array.from(state),
  planes: (state) =>
    Float32Array.from({ length: 18 }, (_, place) =>
      Number(state[place % 9] === (place < 9 ? 1 : -1))),
  index: (state) => {
    const digit = { "1": 1, "-1": 2, "0": 0 };
    const number = state.reduceRight((sum, cell) => 3 * sum + digit[cell], 0);
    return BigInt64Array.of(BigInt(number));
  },
};

const rules = {
  name: "tictactoe",
  title: "Tic-tac-toe",
  hint: "Three in a row wins.",
  pieces: ["cross", "ring"], // of who begins and of the other: cross, ring, disc, coin
  look: "lines", // of the board: lines, slots, squares
  rows: 3,
  columns: 3,
  numActions: 9,

  initial: () => new Int8Array(9),

  legal(state) {
    if (rules.line(state).length > 0) return [];
    return [...state.keys()].filter((cell) => state[cell] === 0);
  },

  apply(state, action) {
    const following = state.map((piece) => -piece);
    following[action] = -1;
    return following;
  },

  outcome(state) {
    const line = rules.line(state);
    const score = line.length > 0 ? state[line[0]] : 0;
    return { isOver: score !== 0 || !state.includes(0), score };
  },

  encode: (state, encoding) => encodings[encoding](state),

  board: (state) => state,

  // The cells of the line that won, or none.
  line(state) {
    const isLine = ([a, b, c]) => state[a] !== 0 && state[a] === state[b] && state[a] === state[c];
    return LINES.find(isLine) ?? [];
  },

  // The cell where a move places its piece, and the move meant by choosing a cell.
  cellOf: (state, action) => action,
  actionAt: (cell) => cell,

  moveName: (action) => String(action + 1),
};

export default rules;
