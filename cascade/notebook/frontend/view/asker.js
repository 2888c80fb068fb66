/** Questions to the kernel → promises of answers. One for each way to a kernel; it never rejects. */

/** How long to wait for an answer, ms. */
const PATIENCE = 4000;

export class Asker {
  /** @type {Map<number, (answer: any) => void>} */
  #open = new Map();
  #count = 0;

  /** @param {(message: object) => void} send */
  constructor(send) {
    this.send = send;
  }

  /**
   * @param {object} question `what`, and what belongs to it
   * @returns {Promise<any>} the answer; null when none came
   */
  ask(question) {
    const id = ++this.#count;
    return new Promise((resolve) => {
      const patience = setTimeout(() => this.take({ id }), PATIENCE);
      this.#open.set(id, (answer) => {
        clearTimeout(patience);
        resolve(answer);
      });
      this.send({ type: "ask", id, ...question });
    });
  }

  /** Takes a message of type `answer`. @param {any} message */
  take(message) {
    const resolve = this.#open.get(message.id);
    this.#open.delete(message.id);
    resolve?.(message.type === "answer" ? message : null);
  }

  /** Nobody will answer any more. */
  close() {
    for (const id of [...this.#open.keys()]) this.take({ id });
  }
}
