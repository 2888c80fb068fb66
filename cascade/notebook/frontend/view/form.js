/**
 * Fields → a form: one control for each Param, what is wrong at each of them, a line for what a move would cost.
 * Moving tells `input`, letting go tells `change`; what a person is at is never overwritten.
 */

import { html, setText, toggle, uniqueId } from "./dom.js";

/**
 * @typedef {{name: string, kind: string, help: string, type: string, choices: string[], low: string, high: string,
 *   step: number, required: boolean}} Field
 * @typedef {{values: any[], errors: string[], note: string, heard?: number}} State `heard`: the `at` of the last message
 * @typedef {{id?: string, name: string, fields: Field[]} & State} FormData
 * @typedef {(message: {type: string, field?: number, value?: any, at?: number}) => void} Send
 * @typedef {{element: HTMLElement, set: (value: any) => void, focus: () => void, tell: (error: string) => void}} Control
 */

/** How long typing and keys rest before they count, ms. */
const TYPING = 80;
const KEYS = 300;
const DATES = 700;

/** Tells what changes, not more often than it can be of use, and the last of it always. */
class Teller {
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer;
  /** @type {(() => void)|null} */
  #open = null;
  /** @type {any} what was told last, and when: an answer to something older is out of date */
  value;
  at = 0;

  /** @param {Send} send @param {number} field */
  constructor(send, field) {
    this.send = send;
    this.field = field;
  }

  /** @param {"input"|"change"} type @param {any} value @param {number} wait ms */
  tell(type, value, wait) {
    clearTimeout(this.#timer);
    this.value = value;
    this.at = Math.max(Date.now(), this.at + 1);
    const { at } = this;
    this.#open = () => this.send({ type, field: this.field, value, at });
    if (wait) this.#timer = setTimeout(() => this.flush(), wait);
    else this.flush();
  }

  flush() {
    clearTimeout(this.#timer);
    const open = this.#open;
    this.#open = null;
    open?.();
  }
}

/** Enter counts as letting go; Chromium tells no change of the only field of a form then. */
function letGo(/** @type {HTMLInputElement} */ input, /** @type {Teller} */ teller) {
  const tell = () => teller.tell("change", input.value, 0);
  input.addEventListener("change", tell);
  input.addEventListener("keydown", (event) => event.key === "Enter" && !event.isComposing && tell());
}

/**
 * @param {FormData} form
 * @param {Send} send
 */
export function createForm(form, send) {
  const uid = uniqueId();
  const tellers = form.fields.map((_, place) => new Teller(send, place));
  const controls = form.fields.map((field, place) => createControl(field, `${uid}-${place}`, tellers[place]));
  const note = html("span", "forecast", { role: "status" });
  const run = html("button", "button", { type: "button", onclick: () => act("run") }, "Run");
  const reset = html("button", "button", { type: "button", onclick: () => act("reset") }, "Reset");
  const element = html(
    "form",
    "controls",
    { "aria-label": `Controls of ${form.name}`, autocomplete: "off", onsubmit: (/** @type {Event} */ e) => e.preventDefault() },
    html("div", "control-grid", {}, ...controls.map(({ element }) => element)),
    html("div", "control-foot", {}, run, form.fields.length > 0 && reset, note),
  );
  /** @type {State} */
  let state = form;
  const act = (/** @type {string} */ type) => {
    for (const teller of tellers) teller.flush();
    send({ type });
  };
  const update = (/** @type {State} */ next) => {
    state = next;
    controls.forEach((control, place) => {
      const { at, value } = tellers[place];
      if (!isBusy(control.element)) control.set(at > (next.heard ?? 0) ? value : next.values[place]);
      control.tell(next.errors[place] ?? "");
    });
    setText(note, next.note ?? "");
  };
  element.addEventListener("focusout", () => setTimeout(() => element.isConnected && update(state)));
  update(form);
  return { element, update, focus: (/** @type {number} */ place) => controls[place]?.focus(), controls };
}

/** Whether a person is at a control now: what they write stays. @param {HTMLElement} element */
function isBusy(element) {
  const root = /** @type {Document|ShadowRoot} */ (element.getRootNode());
  const active = root.activeElement;
  return active instanceof HTMLElement && element.contains(active) && !active.matches("[type=checkbox], [type=radio], select");
}

/** @param {Field} field @param {string} id @param {Teller} teller @returns {Control} */
function createControl(field, id, teller) {
  const help = html("div", "control-help", { id: `${id}-help` }, field.help || field.type);
  if (field.help) help.title = field.type;
  const error = html("div", "control-error", { id: `${id}-error`, "aria-live": "polite" });
  // JupyterLab takes arrow keys for headings unless the very element says that they are its own
  const told = { "data-lm-suppress-shortcuts": "true", "aria-describedby": `${id}-error ${id}-help` };
  const made = makers[field.kind] ?? makers.text;
  const { parts, inputs, set } = made(field, id, told, teller);
  const isGroup = field.kind === "radio";
  const label = isGroup
    ? html("legend", "control-name", {}, field.name)
    : html("label", "control-name", { for: id }, field.name);
  const room = html("div", "control-room", {}, ...parts);
  const element = isGroup
    ? html("fieldset", "control", {}, label, room, error, help)
    : html("div", "control", {}, label, room, error, help);
  return {
    element,
    set,
    focus: () => (inputs.find((input) => !(/** @type {any} */ (input).type === "radio") || /** @type {any} */ (input).checked) ?? inputs[0]).focus({ preventScroll: true }),
    tell(text) {
      setText(error, text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "");
      toggle(element, "is-wrong", Boolean(text));
      for (const input of inputs) input.setAttribute("aria-invalid", text ? "true" : "false");
    },
  };
}

/** @typedef {{parts: HTMLElement[], inputs: HTMLElement[], set: (value: any) => void}} Made */
/** @type {Record<string, (field: Field, id: string, told: Record<string, string>, teller: Teller) => Made>} */
const makers = {
  slider(field, id, told, teller) {
    const bounds = { min: field.low, max: field.high };
    const range = html("input", "slider", { type: "range", ...bounds, step: field.step, ...told, "aria-label": `${field.name} slider` });
    const number = html("input", "field number-field", { type: "number", id, ...bounds, step: field.step === 1 ? 1 : "any", ...told });
    let hasKeys = false;
    range.addEventListener("keydown", () => (hasKeys = true));
    range.addEventListener("pointerdown", () => (hasKeys = false));
    range.addEventListener("input", () => {
      number.value = range.value;
      teller.tell("input", range.value, TYPING);
    });
    range.addEventListener("change", () => teller.tell("change", range.value, hasKeys ? KEYS : 0));
    number.addEventListener("input", () => {
      range.value = number.value;
      teller.tell("input", number.value, TYPING);
    });
    letGo(number, teller);
    const set = (/** @type {any} */ value) => {
      if (number.value !== String(value)) number.value = String(value);
      range.value = String(value);
    };
    return { parts: [range, number], inputs: [number, range], set };
  },
  number: (field, id, told, teller) =>
    entry(teller, html("input", "field", { type: "number", id, min: field.low || null, max: field.high || null, step: field.step === 1 ? 1 : "any", ...told })),
  text: (_field, id, told, teller) =>
    entry(teller, html("input", "field", { type: "text", id, spellcheck: "false", ...told })),
  fixed(_field, id, told) {
    const input = html("input", "field", { type: "text", id, readonly: true, ...told });
    return { parts: [input], inputs: [input], set: (value) => void (input.value = String(value)) };
  },
  password(_field, id, told, teller) {
    const input = html("input", "field", { type: "password", id, autocomplete: "new-password", placeholder: "•••", ...told });
    const made = entry(teller, input);
    return { ...made, set: () => {} };
  },
  date(field, id, told, teller) {
    const input = html("input", "field", { type: "date", id, min: field.low || null, max: field.high || null, ...told });
    input.addEventListener("change", () => teller.tell("change", input.value, DATES));
    input.addEventListener("blur", () => teller.flush());
    return { parts: [input], inputs: [input], set: (value) => void (input.value = String(value)) };
  },
  check(_field, id, told, teller) {
    const input = html("input", "tick", { type: "checkbox", id, ...told });
    input.addEventListener("change", () => teller.tell("change", input.checked, 0));
    const set = (/** @type {any} */ value) => {
      input.checked = value === true;
      input.indeterminate = value !== true && value !== false;
    };
    return { parts: [input], inputs: [input], set };
  },
  select(field, id, told, teller) {
    const options = field.choices.map((text, place) => html("option", "", { value: place }, text));
    const input = html("select", "field", { id, ...told }, ...options);
    input.addEventListener("change", () => teller.tell("change", Number(input.value), 0));
    return { parts: [input], inputs: [input], set: (value) => void (input.value = value === null ? "" : String(value)) };
  },
  radio(field, id, told, teller) {
    const inputs = field.choices.map((_, place) => {
      const input = html("input", "tick", { type: "radio", name: id, id: `${id}-${place}`, ...told });
      input.addEventListener("change", () => teller.tell("change", place, 0));
      return input;
    });
    const parts = field.choices.map((text, place) =>
      html("span", "option", {}, inputs[place], html("label", "", { for: `${id}-${place}` }, text)),
    );
    const set = (/** @type {any} */ value) => inputs.forEach((input, place) => (input.checked = place === value));
    return { parts, inputs, set };
  },
};

/** A line of text: told while it is written, and for good on Enter or when it is left. @param {Teller} teller @param {HTMLInputElement} input @returns {Made} */
function entry(teller, input) {
  input.addEventListener("input", () => teller.tell("input", input.value, TYPING));
  letGo(input, teller);
  const set = (/** @type {any} */ value) => {
    if (input.value !== String(value)) input.value = String(value);
  };
  return { parts: [input], inputs: [input], set };
}
