// Copies rows to the clipboard. Python makes the text; it says in the message area why it refuses.
// To Python: {kind: "copy", view, number, generation, ranges}.
// From Python: {kind: "copied", view, number, text, count, problem}.

/**
 * @param {(content: object) => void} send
 * @param {(text: string) => void} say
 * @param {(text: string, more?: string) => void} tell
 */
function createCopier(send, say, tell) {
  let number = 0; // of the last request

  return {
    /** @param {number} generation @param {RowRanges} ranges */
    request(generation, ranges) {
      number += 1;
      say("Copying");
      send({ kind: "copy", number, generation, ranges });
    },

    /** @param {{ number: number, text: string, count: number, problem: string }} message */
    take(message) {
      if (message.number !== number) return;
      if (message.problem) tell("Not copied", `: ${message.problem}`);
      else copyAndTell(message.text, plural(message.count, "row"), tell);
    },
  };
}

/**
 * Copy a text, and tell people whether it is in the clipboard.
 *
 * @param {string} text
 * @param {string} name What the text is.
 * @param {(text: string, more?: string) => void} tell
 */
async function copyAndTell(text, name, tell) {
  if (await copy(text)) tell(`${name} copied`);
  else tell("Not copied", ": the page must not write to the clipboard");
}

/** @param {number} count @param {string} noun */
const plural = (count, noun) => `${NUMBER.format(count)} ${noun}${count === 1 ? "" : "s"}`;
