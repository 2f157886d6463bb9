// A page view of a grid: its parts, and what it remembers. The functions of domgrid_draw.js,
// domgrid_moves.js, domgrid_picking.js, domgrid_news.js and domgrid_actions.js work on it.

/**
 * @typedef {object} DomGridTraits
 * @property {string} _title
 * @property {string} _empty
 * @property {string} _reason Why the rows cannot be shown, or "".
 * @property {string} _height
 * @property {GridColumn[]} _columns
 * @property {GridColumn[]} _choices The columns that can be shown; empty if they cannot be chosen.
 * @property {Record<string, number>} _widths The widths that a person has set.
 * @property {GridSource} _source
 * @property {GridPicks} _picks
 * @property {string} _answered The last answered clicks.
 * @property {GridBars} _bars
 * @property {boolean} _shows_bars
 *
 * @typedef {object} GridMemory What a page view remembers.
 * @property {number} rowPx The height of a row.
 * @property {number} headPx The height of the header.
 * @property {number} heightPx The height of the scroller.
 * @property {number} widthPx The width of the scroller.
 * @property {number} allPx The width of all columns.
 * @property {number} leftPx How far the columns are scrolled.
 * @property {number} generation
 * @property {number} count The number of rows.
 * @property {GridSource["sort"]} order As clicked, until Python answers.
 * @property {string} lastOrder The order of the source, as JSON.
 * @property {CellPosition} current
 * @property {number} anchor Where a range of picks begins.
 * @property {number} lastReveal The number of the picks that were brought in sight.
 * @property {PickBase} drawn What a person sees, and the picks since then. What Python has sent is
 *   drawn a moment after it has arrived.
 * @property {boolean} isToBeInSight Whether the page is to show the current row.
 * @property {number} wheelAt When a wheel or a finger has moved.
 * @property {number} missingSince When all rows in sight began to be missing; 0 if some are there.
 * @property {number} frame The next drawing; 0 for none.
 * @property {ReturnType<typeof setTimeout> | undefined} settling The end of scrolling.
 * @property {ReturnType<typeof setTimeout> | undefined} holding The next drawing of a held view.
 *
 * @typedef {object} GridTools The parts of a page view.
 * @property {Model<DomGridTraits>} model
 * @property {string} id
 * @property {AbortSignal} signal Aborted when the page view is removed.
 * @property {(content: object) => void} send
 * @property {ReturnType<typeof createGridParts>} parts
 * @property {MediaQueryList} coarse
 * @property {ReturnType<typeof createScrollMap>} scroll
 * @property {ReturnType<typeof createPicks>} picks
 * @property {ReturnType<typeof createRequests>} sorts
 * @property {ReturnType<typeof createRowCache>} cache
 * @property {ReturnType<typeof createRowElements>} elements
 * @property {ReturnType<typeof createHeader>} header
 * @property {ReturnType<typeof createBars>} bars
 * @property {ReturnType<typeof createChooser>} chooser
 * @property {ReturnType<typeof createRowMenu>} menu
 * @property {ReturnType<typeof createCopier>} copier
 * @property {ReturnType<typeof createPageSight>} sight
 *
 * @typedef {GridTools & GridMemory} GridView
 */

/** @param {PickBase} drawn @returns {GridMemory} */
const newMemory = (drawn) => ({
  rowPx: 24,
  headPx: 0,
  heightPx: 0,
  widthPx: 0,
  allPx: 0,
  leftPx: 0,
  generation: -1,
  count: 0,
  order: null,
  lastOrder: "null",
  current: { row: 0, column: 1 },
  anchor: 0,
  lastReveal: -1,
  drawn,
  isToBeInSight: false,
  wheelAt: 0,
  missingSince: 0,
  frame: 0,
  settling: undefined,
  holding: undefined,
});

/**
 * @param {Model<DomGridTraits>} model
 * @param {HTMLElement} el
 * @param {AbortSignal} signal Aborted when the page view is removed.
 * @returns {GridView}
 */
function createGridView(model, el, signal) {
  const id = uniqueId();
  const parts = createGridParts(id);
  const { root, sheet, head, say, tell } = parts;
  el.append(root);
  const kernel = watchKernel(model, el, root, signal);
  /** @param {string} what */
  const requestsFor = (what) => createRequests(model, `${id}-${what}`, kernel, signal);
  /** @param {object} content */
  const send = (content) => model.send({ ...content, view: id });
  const picks = createPicks(requestsFor("picks"));
  const onMenuClose = () => sheet.focus({ preventScroll: true });

  /** @type {GridView} */
  const view = {
    ...{ model, id, signal, send, parts, picks },
    coarse: window.matchMedia("(pointer: coarse)"),
    scroll: createScrollMap(),
    sorts: requestsFor("sort"),
    cache: createRowCache(
      (window) => send({ ...window, needed: picks.needed() }),
      () => drawLater(view),
    ),
    elements: createRowElements(parts.body, id),
    header: createHeader({
      ...{ head, sheet, id, say },
      onWidth: (px, isWide) => setColumnsWidth(view, px, isWide),
      onResize(widths) {
        model.set("_widths", widths);
        model.save_changes();
      },
    }),
    bars: createBars({ model, kernel, parts, id, say, signal, onSize: () => measureGrid(view) }),
    chooser: createChooser({
      ...{ root, line: parts.line, say, signal, requests: requestsFor("columns") },
    }),
    menu: createRowMenu({ root, send, tell, signal, onClose: onMenuClose }),
    copier: createCopier(send, say, tell),
    sight: createPageSight(root, parts.frame),
    ...newMemory(picks.base()),
  };
  return view;
}
