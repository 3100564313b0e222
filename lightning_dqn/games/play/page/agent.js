// The trained network in the page, and how it chooses among moves.

const RUNTIME = new URL("onnxruntime/", import.meta.url);

// Load the runtime and the model.
//
// Returns an object with `qValues(state)`, a Float32Array with a value for each action.
export async function loadAgent(game, rules) {
  const runtime = await import(new URL("ort.wasm.bundle.min.mjs", RUNTIME).href).catch((error) => {
    throw new Error("The runtime in the folder onnxruntime/ can't be loaded.", { cause: error });
  });
  runtime.env.wasm.numThreads = 1;
  runtime.env.wasm.wasmPaths = { wasm: new URL("ort-wasm-simd-threaded.wasm", RUNTIME).href };
  const model = await fetchModel();
  let session;
  try {
    session = await runtime.InferenceSession.create(model, { executionProviders: ["wasm"] });
  } catch (error) {
    const isRuntime = /no available backend/.test(error.message);
    const text = isRuntime
      ? "The runtime in the folder onnxruntime/ can't start; the browser must know WebAssembly."
      : "model.onnx is not a model that can be run: it is damaged or another file.";
    throw new Error(text, { cause: error });
  }
  const agent = {
    async qValues(state) {
      const data = rules.encode(state, game.encoding);
      const observation = new runtime.Tensor(game.dtype, data, [1, ...game.shape]);
      const results = await session.run({ observation });
      return Float32Array.from(results.q_values.data);
    },
  };
  const values = await agent.qValues(rules.initial()).catch((error) => {
    throw new Error(`model.onnx doesn't take what ${rules.title} shows it.`, { cause: error });
  });
  if (values.length !== rules.numActions) {
    throw new Error(
      `model.onnx values ${values.length} moves, but ${rules.title} has ${rules.numActions}.`,
    );
  }
  return agent;
}

async function fetchModel() {
  const response = await fetch(new URL("model.onnx", import.meta.url)).catch((error) => {
    throw new Error("model.onnx can't be loaded.", { cause: error });
  });
  if (!response.ok) throw new Error(`model.onnx can't be loaded: the server says ${response.status}.`);
  return new Uint8Array(await response.arrayBuffer());
}

// The probability of each legal move, as softmax(value / temperature); at 0 the best ones share it.
export function moveProbabilities(values, legal, temperature) {
  const best = Math.max(...legal.map((action) => values[action]));
  const weights = legal.map((action) => {
    const below = values[action] - best;
    return temperature === 0 ? Number(below === 0) : Math.exp(below / temperature);
  });
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

export function chooseMove(values, legal, temperature, random = Math.random) {
  let left = random();
  const probabilities = moveProbabilities(values, legal, temperature);
  for (const [place, probability] of probabilities.entries()) {
    left -= probability;
    if (left < 0) return legal[place];
  }
  return legal[probabilities.indexOf(Math.max(...probabilities))];
}
