/** Numbers → short words for people. Pure. */

/**
 * `8 ms`, `0.42 s`, `3.2 s`, `42 s`, `3 min 05 s`, `1 h 02 min`.
 * @param {number} seconds
 */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const value = Math.max(0, seconds);
  if (value === 0) return "0 s";
  if (value < 0.00995) return `${Math.max(1, Math.round(value * 1000))} ms`;
  if (value < 0.995) return `${value.toFixed(2)} s`;
  if (value < 9.95) return `${value.toFixed(1)} s`;
  if (value < 59.5) return `${Math.round(value)} s`;
  const whole = Math.round(value);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
}

/**
 * How long is left, only as exact as a guess is.
 * @param {number} seconds
 */
export function roughly(seconds) {
  if (seconds < 1) return "a moment left";
  if (seconds < 90) return `about ${Math.round(seconds)} s left`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min left`;
  return `about ${Math.round(seconds / 3600)} h left`;
}

/**
 * The time of a log line: `0.12`, `12.30`, `1:05.20`.
 * @param {number} seconds
 */
export function clock(seconds) {
  const value = Math.max(0, Number(seconds) || 0);
  if (value < 60) return value.toFixed(2);
  const minutes = Math.floor(value / 60);
  const rest = (value % 60).toFixed(2).padStart(5, "0");
  if (minutes < 60) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${pad(minutes % 60)}:${rest.slice(0, 2)}`;
}

/**
 * A tick of the time axis, with as many digits as its step needs.
 * @param {number} seconds
 * @param {number} step
 */
export function tick(seconds, step) {
  if (step >= 3600) return `${Math.round(seconds / 3600)} h`;
  if (step >= 60) return `${Math.round(seconds / 60)} min`;
  if (seconds >= 60) return `${Math.floor(seconds / 60)}:${pad(Math.round(seconds % 60))}`;
  if (seconds === 0) return "0 s";
  if (step < 0.01) return `${Math.round(seconds * 1000)} ms`;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return `${seconds.toFixed(digits)} s`;
}

/**
 * An amount without needless digits: 2, 0.5, 1.25.
 * @param {number} value
 */
export function amount(value) {
  return Number.isFinite(value) ? String(Math.round(value * 100) / 100) : "∞";
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** @param {number} value */
function pad(value) {
  return String(value).padStart(2, "0");
}
