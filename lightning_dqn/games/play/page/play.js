// The page: joins the match, the agent, the board and the controls.

import { chooseMove, loadAgent } from "./agent.js";
import { BoardView } from "./board.js";
import { bestMoves, Match } from "./match.js";
import { meaningOf, nameOf, percent, readStrengths, strengthAt, strengthFor } from "./strength.js";

const PAUSE = 350; // milliseconds, so that the agent's answer is seen to be one

const part = (id) => document.getElementById(id);

async function start() {
  part("notice").hidden = true;
  let game;
  try {
    const response = await fetch("game.json");
    if (!response.ok) throw new Error(`the server says ${response.status}`);
    game = await response.json();
  } catch (error) {
    throw new Error("game.json, which says what is played, can't be loaded.", { cause: error });
  }
  const { default: rules } = await import(`./${game.rules}`).catch((error) => {
    throw new Error(`The rules in ${game.rules} can't be loaded.`, { cause: error });
  });
  const agent = await loadAgent(game, rules);
  return new Page(game, rules, agent);
}

class Page {
  constructor(game, rules, agent) {
    this.rules = rules;
    this.agent = agent;
    this.scale = game.value_scale;
    this.digits = this.scale >= 100 ? 0 : this.scale >= 10 ? 1 : 2;
    this.strengths = readStrengths(game.strengths);
    const counted = game.games_counted?.toLocaleString("en");
    this.counted = counted ? `Counted in ${counted} games.` : "";
    this.match = new Match(rules);
    this.values = null;
    this.game = 0;
    this.board = new BoardView(part("board"), rules, (cell) => this.#choose(rules.actionAt(cell)));
    this.#describe(game);
    this.#connect();
    this.setStrength(this.strengths[0]);
    part("play").hidden = false;
  }

  get state() {
    const { match } = this;
    return {
      game: this.rules.name,
      board: match.board,
      legal: match.legal,
      toMove: match.toMove,
      isOver: match.isOver,
      result: match.result,
      moves: match.moves.map(({ action, by }) => ({ action, by })),
      counts: { ...match.counts },
      temperature: this.strength.temperature,
    };
  }

  // The values of all actions for whoever is to move.
  qValues = () => this.agent.qValues(this.match.position);

  // Make the person's move; resolves when the agent has answered.
  play = async (action) => {
    let objection = this.match.objection(action);
    if (!objection && (this.match.toMove !== "you" || this.values === null)) {
      objection = "Wait for the agent's move.";
    }
    if (objection) {
      this.#say(objection, true);
      throw new Error(objection);
    }
    this.match.make(action, this.values);
    await this.#goOn();
  };

  // Begin a game; `starts` is "you", "agent" or "alternate". Resolves when the person is to move.
  newGame = async ({ starts, temperature } = {}) => {
    if (starts !== undefined) {
      const choice = document.querySelector(`input[name=starts][value="${CSS.escape(starts)}"]`);
      if (!choice) throw new Error(`starts=${starts}: choose you, agent or alternate`);
      choice.checked = true;
    }
    if (temperature !== undefined) {
      if (!(temperature >= 0)) throw new Error(`temperature=${temperature}: 0 or above`);
      this.setStrength({ ...strengthAt(this.strengths, temperature), temperature });
    }
    this.match.begin(document.querySelector("input[name=starts]:checked").value);
    this.said = "";
    await this.#goOn();
  };

  undo = async () => {
    if (!this.match.canUndo) return;
    this.match.undo();
    this.said = "Taken back. ";
    await this.#goOn();
  };

  setStrength(strength) {
    this.strength = strength;
    const slider = part("strength");
    slider.value = Math.round(100 * strength.score);
    part("strength-name").textContent = nameOf(strength);
    const [againstRandom, againstPerfect] = meaningOf(strength);
    part("strength-score").textContent = againstRandom;
    part("strength-perfect").textContent = againstPerfect || this.counted;
    slider.setAttribute("aria-valuetext", `${percent(strength.score)}, ${nameOf(strength)}`);
    const [low, high] = [Number(slider.min), Number(slider.max)];
    slider.style.setProperty("--done", `${(100 * (slider.value - low)) / Math.max(high - low, 1)}%`);
  }

  // --- inner parts

  // Show the position; let the agent move while it is its turn.
  async #goOn() {
    this.game += 1;
    const { game } = this;
    this.values = null;
    while (this.match.toMove === "agent") {
      this.#show();
      this.#say(`${this.said ?? ""}The agent is thinking…`);
      const [values] = await Promise.all([this.qValues(), pause()]);
      if (game !== this.game) return; // another game has begun meanwhile
      const action = chooseMove(values, this.match.legal, this.strength.temperature);
      this.match.make(action, values);
      this.said = `The agent played ${this.rules.moveName(action)}. `;
    }
    const values = this.match.isOver ? null : await this.qValues();
    if (game !== this.game) return;
    this.values = values;
    this.#show();
    this.#say((this.match.isOver ? "" : this.said ?? "") + this.#turn());
    this.said = "";
  }

  #turn() {
    const endings = { you: "You win!", agent: "The agent wins.", draws: "A draw." };
    return endings[this.match.result] ?? "Your move.";
  }

  #say(text, isRefusal = false) {
    part("status").textContent = text;
    part("status").classList.toggle("refusal", isRefusal);
    part("status").dataset.result = this.match.result ?? "";
  }

  #show() {
    const isShown = part("values").checked;
    const { match } = this;
    this.board.show(match, isShown ? this.values : null, this.#format, this.scale);
    const others = this.board.others(match);
    part("others").hidden = others.length === 0;
    part("others").replaceChildren(...others.map((action) => this.#moveButton(action)));
    part("legend").classList.toggle("off", !isShown);
    part("undo").disabled = !match.canUndo;
    for (const [who, count] of Object.entries(match.counts)) part(`score-${who}`).textContent = count;
    part("no-moves").hidden = match.moves.length > 0;
    part("moves").replaceChildren(...match.moves.map((move) => this.#moveEntry(move)));
    part("moves").scrollTop = part("moves").scrollHeight;
  }

  #moveButton(action) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = this.rules.moveName(action);
    if (this.values && part("values").checked) {
      const isBest = bestMoves(this.values, this.match.legal).includes(action);
      button.textContent += ` ${this.#format(this.values[action])}${isBest ? " ★" : ""}`;
    }
    button.addEventListener("click", () => this.#choose(action));
    return button;
  }

  #moveEntry({ action, by, value, best }) {
    const entry = document.createElement("li");
    const add = (name, text) => {
      const element = document.createElement("span");
      element.className = name;
      element.textContent = text;
      entry.append(element);
    };
    add("who", by === "you" ? "You" : "Agent");
    add("what", this.rules.moveName(action));
    if (!part("values").checked) return entry;
    add("worth", this.#format(value));
    add("better", best.includes(action) ? "★" : `best ${best.map(this.rules.moveName).join(", ")}`);
    return entry;
  }

  #format = (value) => {
    const text = Math.abs(value).toFixed(this.digits);
    const sign = Number(text) === 0 ? "" : value < 0 ? "−" : "+";
    return sign + text;
  };

  async #choose(action) {
    try {
      await this.play(action);
    } catch {
      // The status line says why the move was refused.
    }
  }

  #describe(game) {
    const { title, numActions, hint } = this.rules;
    document.title = `${title} · play the agent`;
    part("title").textContent = title;
    part("subtitle").textContent = "You against a network trained by deep Q\u2011learning";
    part("training").textContent = game.training;
    part("hint").textContent = hint ?? "";
    const last = Math.min(numActions, 9);
    part("digits").replaceChildren(key("1"), "–", key(String(last)));
    part("legend-low").textContent = this.#format(-this.scale);
    part("legend-high").textContent = this.#format(this.scale);
    const scores = [this.strengths[0].score, this.strengths.at(-1).score];
    const slider = part("strength");
    slider.min = Math.round(100 * Math.min(...scores));
    slider.max = Math.round(100 * Math.max(...scores));
    slider.disabled = slider.min === slider.max;
  }

  #connect() {
    part("new-game").addEventListener("click", () => this.newGame());
    part("undo").addEventListener("click", () => this.undo());
    part("values").addEventListener("change", () => this.#show());
    part("strength").addEventListener("input", (event) => this.#dial(event.target));
    for (const choice of document.querySelectorAll("input[name=starts]")) {
      choice.addEventListener("change", () => {
        if (!this.match.canUndo) this.newGame();
        else this.#say("That holds from the next game. " + this.#turn());
      });
    }
    document.addEventListener("keydown", (event) => this.#onKey(event));
  }

  #dial(slider) {
    const ends = [this.strengths[0], this.strengths.at(-1)];
    const end = ends.find(({ score }) => String(Math.round(100 * score)) === slider.value);
    this.setStrength(end ?? strengthFor(this.strengths, Number(slider.value) / 100));
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const digit = /^[1-9]$/.test(event.key) ? Number(event.key) : 0;
    if (event.key === "n") this.newGame();
    else if (event.key === "u") this.undo();
    else if (event.key === "v") part("values").click();
    else if (digit > 0 && digit <= this.rules.numActions) this.#choose(digit - 1);
  }
}

function key(text) {
  const element = document.createElement("kbd");
  element.textContent = text;
  return element;
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve, PAUSE));
}

function showProblem(error) {
  const notice = part("notice");
  part("play").hidden = true;
  const text = document.createElement("p");
  text.textContent = error.message;
  const remedy = document.createElement("p");
  remedy.append("Write the folder anew: ");
  const command = document.createElement("code");
  command.textContent = "python -m lightning_dqn play checkpoint=<run folder> output=<folder>";
  remedy.append(command);
  const details = document.createElement("p");
  details.className = "cause";
  details.textContent = error.cause ? String(error.cause.message ?? error.cause) : "";
  notice.querySelector("h2").textContent = "The page can't start";
  notice.replaceChildren(notice.querySelector("h2"), text, remedy, details);
  notice.classList.add("now");
  notice.hidden = false;
  console.error(error);
}

try {
  const page = await start();
  window.lightningDqn = {
    get state() {
      return page.state;
    },
    rules: page.rules,
    qValues: async () => Array.from(await page.qValues()),
    play: page.play,
    newGame: page.newGame,
  };
  await page.newGame();
} catch (error) {
  showProblem(error);
}
