// The strength dial: from a requested score against a random player to a temperature.

// Strengths of game.json, where null stands for an infinite temperature.
export function readStrengths(strengths) {
  return strengths.map((strength) => {
    const temperature = strength.temperature ?? Infinity;
    return { ...strength, temperature, score: strength.win + strength.draw / 2 };
  });
}

// The strength of a score; what lies between two neighbours of the table is interpolated.
export function strengthFor(strengths, score) {
  const falls = strengths[0].score >= strengths.at(-1).score;
  let place = strengths.findIndex((other) => (falls ? other.score <= score : other.score >= score));
  if (place < 0) place = strengths.length - 1;
  if (place === 0 || strengths[place].score === strengths[place - 1].score) return strengths[place];
  const [upper, lower] = [strengths[place - 1], strengths[place]];
  return between(upper, lower, (score - upper.score) / (lower.score - upper.score));
}

// The table's strength nearest to a temperature.
export function strengthAt(strengths, temperature) {
  const distance = (strength) => Math.abs(Math.atan(strength.temperature) - Math.atan(temperature));
  return strengths.reduce((best, other) => (distance(other) < distance(best) ? other : best));
}

// In equal steps from 0, in equal steps of 1/temperature to infinity, in equal ratios elsewhere.
function between(upper, lower, part) {
  if (part <= 0) return upper;
  if (part >= 1) return lower;
  const [cold, hot] = [upper.temperature, lower.temperature];
  let temperature = cold * (hot / cold) ** part;
  if (hot === Infinity) temperature = cold === 0 ? Infinity : cold / (1 - part);
  else if (cold === 0) temperature = hot * part;
  const mix = (a, b) => ({
    win: (1 - part) * a.win + part * b.win,
    draw: (1 - part) * a.draw + part * b.draw,
    loss: (1 - part) * a.loss + part * b.loss,
  });
  const mixed = { ...mix(upper, lower), temperature };
  mixed.score = mixed.win + mixed.draw / 2;
  if (upper.perfect && lower.perfect) mixed.perfect = mix(upper.perfect, lower.perfect);
  return mixed;
}

// How strong that is, in a word.
export function nameOf(strength) {
  if (strength.temperature === 0) return "Best move always";
  if (strength.temperature === Infinity) return "Random moves";
  if (strength.score >= 0.9) return "Strong";
  if (strength.score >= 0.75) return "Capable";
  if (strength.score >= 0.6) return "Casual";
  return "Careless";
}

// What it means, in a sentence each for the random and the perfect opponent; the latter may be "".
export function meaningOf(strength) {
  const random = `Scores ${percent(strength.score)} against a random player: ${results(strength)}.`;
  const perfect = strength.perfect ? `Against a perfect player: ${results(strength.perfect)}.` : "";
  return [random, perfect];
}

export const percent = (share) => `${Math.round(100 * share)}\u00a0%`;

function results({ win, draw, loss }) {
  const parts = [["wins", win], ["draws", draw], ["loses", loss]].filter(([, share]) => share >= 0.005);
  return parts.map(([verb, share]) => `${verb}\u00a0${percent(share)}`).join(", ");
}
