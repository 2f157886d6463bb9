// Copies rows to the clipboard. Python makes the text.
// To Python: {kind: "copy", view, number, generation, ranges}.
// From Python: {kind: "copied", view, number, text, count, problem}.

/**
 * @param {(content: object) => void} send
 * @param {(text: string) => void} say
 */
function createCopier(send, say) {
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
      if (message.problem) say(`Not copied: ${message.problem}`);
      else copy(message.text).then(() => say(`${plural(message.count, "row")} copied`));
    },
  };
}

/** @param {number} count @param {string} noun */
const plural = (count, noun) => `${NUMBER.format(count)} ${noun}${count === 1 ? "" : "s"}`;
