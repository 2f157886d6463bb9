// A small line chart of the latest rates of a download.

const SPARKLINE_WIDTH_PX = 96;
const SPARKLINE_HEIGHT_PX = 16;
const SPARKLINE_MIN_SECONDS = 15; // the least time that the width stands for

/**
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number>} [attributes]
 * @returns {SVGElementTagNameMap[Tag]}
 */
function createSvg(tag, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/** Create a line that shows numbers over time, the latest at the right. */
function createSparkline() {
  const [width, height] = [SPARKLINE_WIDTH_PX, SPARKLINE_HEIGHT_PX];
  const svg = createSvg("svg", {
    class: "idc-sparkline",
    width,
    height,
    "aria-hidden": "true",
  });
  const tooltip = createSvg("title");
  const area = createSvg("polygon", { class: "idc-sparkline-area" });
  const line = createSvg("polyline", { fill: "none", "stroke-width": 1.5 });
  svg.append(tooltip, area, line);
  return {
    svg,

    /** @param {number[]} rates MB/s, one per second. */
    show(rates) {
      const highest = Math.max(...rates, 1e-9);
      const seconds = Math.max(SPARKLINE_MIN_SECONDS, rates.length);
      const x = (/** @type {number} */ index) =>
        (width - ((rates.length - 1 - index) * width) / (seconds - 1)).toFixed(1);
      const y = (/** @type {number} */ rate) =>
        (height - 1 - (rate / highest) * (height - 2)).toFixed(1);
      const points = rates.map((rate, index) => `${x(index)},${y(rate)}`).join(" ");
      tooltip.textContent = `Speed of the last minute, at most ${highest.toFixed(1)} MB/s`;
      line.setAttribute("points", points);
      area.setAttribute("points", `${x(0)},${height} ${points} ${width},${height}`);
    },
  };
}
