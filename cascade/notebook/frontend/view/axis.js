/** Times → places. The end of the axis moves in steps, so that bars keep their places between two steps. Pure. */

const STEPS = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200,
  14400, 36000, 86400,
];

/**
 * The end of an axis that has room for `seconds` and then some, from a short list of ends.
 * @param {number} seconds
 */
export function roomyEnd(seconds) {
  const least = Math.max(seconds, 0.2) * 1.04;
  const power = 10 ** Math.floor(Math.log10(least));
  for (const factor of [1, 1.5, 2, 3, 4, 6, 8, 10]) if (power * factor >= least) return power * factor;
  return power * 10;
}

/**
 * @param {number} end seconds
 * @param {number} width px
 * @returns {{step: number, ticks: number[]}}
 */
export function axisTicks(end, width) {
  const most = Math.max(2, Math.floor(width / 120));
  const step = STEPS.find((candidate) => end / candidate <= most) ?? 86400 * Math.ceil(end / 86400 / most);
  const ticks = [];
  for (let index = 0; index * step <= end * 1.0001; index += 1) ticks.push(index * step);
  return { step, ticks };
}
