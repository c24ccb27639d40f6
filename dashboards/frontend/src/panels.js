// The page's graphs: made once, redrawn only while they are on the screen.
import {$$} from './util.js';
import {timeseries} from './timeseries.js';
import {heatmap} from './heatmap.js';
import {join} from './columns.js';

const KINDS = {timeseries, heatmap};

/** Makes all panels of the page. `zoom(from, to)` in seconds is called after a drag over one. */
export function panels(data, zoom) {
  const known = new Map();
  const visible = new Set();
  const watcher = new IntersectionObserver(entries => {
    for (const {target, isIntersecting} of entries) {
      const key = target.dataset.panel;
      if (!isIntersecting) visible.delete(key);
      else {
        visible.add(key);
        catchUp(key);
      }
    }
  }, {rootMargin: '120px'});

  function catchUp(key) {
    const it = known.get(key);
    if (!it?.late) return;
    const late = it.late;
    it.late = null;
    it.drawn.set(late);
  }

  function put(key, panel) {
    const it = known.get(key);
    it.late = panel;
    if (visible.has(key)) catchUp(key);
  }

  for (const el of $$('[data-panel]')) {
    const key = el.dataset.panel;
    if (!data[key]) continue;
    known.set(key, {drawn: KINDS[data[key].kind](el, data[key], zoom), late: null});
    watcher.observe(el);
    let size = `${el.clientWidth} ${el.clientHeight}`;
    new ResizeObserver(() => {
      const now = `${el.clientWidth} ${el.clientHeight}`;
      if (now === size) return;
      size = now;
      known.get(key).drawn.resize();
    }).observe(el);
  }

  return {
    set: next => Object.entries(next).forEach(([key, panel]) => known.has(key) && put(key, panel)),
    /** False where a panel's columns don't fit, so that all must be fetched. */
    tick(columns) {
      let fits = true;
      for (const [key, part] of Object.entries(columns)) {
        const it = known.get(key);
        if (!it) continue;
        const next = join(it.late ?? it.drawn.data, part);
        if (next) put(key, next);
        else fits = false;
      }
      return fits;
    },
    redraw: () => known.forEach(it => it.drawn.redraw()),
  };
}
