// Who waits for which answer of the server. No DOM here.

/** What the server says in words for people. */
export class Refused extends Error {}

/** @typedef {{resolve: (message: any) => void, reject: (why: Error) => void}} Waiter */

export class Answers {
  constructor() {
    /** By the type of the message. @type {Map<string, Waiter>} */
    this.waiting = new Map();
  }

  /** @param {string} type of the message to wait for @returns {Promise<any>} */
  next(type) {
    const answer = new Promise((resolve, reject) => this.waiting.set(type, { resolve, reject }));
    answer.catch(() => {}); // it may fail before anybody looks at it
    return answer;
  }

  /** @param {string} type @param {any} message @returns {boolean} whether someone waited */
  came(type, message) {
    const waiter = this.#leave(type);
    waiter?.resolve(message);
    return waiter !== undefined;
  }

  /** None will come. @param {string} why @param {string[]} types @returns {boolean} whether someone waited */
  fail(why, types) {
    const waiters = types.map((type) => this.#leave(type)).filter((waiter) => waiter !== undefined);
    for (const waiter of waiters) waiter.reject(new Refused(why));
    return waiters.length > 0;
  }

  /** @param {string} type */
  #leave(type) {
    const waiter = this.waiting.get(type);
    this.waiting.delete(type);
    return waiter;
  }
}
