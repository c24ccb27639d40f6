// Keys: the table of what each does, and `g` followed by a page.
import {$, $$} from './util.js';

const PAGES = {e: 'executive', o: 'oncall', d: 'debug', s: 'slo', r: 'reports'};
const CHORD_MS = 900;

/** Calls `actions[key]` for keys that are not typed into a field. */
export function keyboard(actions) {
  let chord = 0;
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches('input, textarea, select') || $('dialog[open]')) return;
    if (event.timeStamp - chord < CHORD_MS && PAGES[event.key]) {
      chord = 0;
      $(`[data-nav="${PAGES[event.key]}"]`)?.click();
      return;
    }
    chord = event.key === 'g' ? event.timeStamp : 0;
    const ranges = $$('[data-range]');
    if (ranges[event.key - 1]) ranges[event.key - 1].click();
    else if (actions[event.key]) {
      event.preventDefault();
      actions[event.key]();
    }
  });
}

/** Moves the focus among incidents. */
export function step(by) {
  const all = $$('[data-incident]');
  const at = all.indexOf(document.activeElement?.closest('[data-incident]'));
  all[Math.max(0, Math.min(all.length - 1, at + by))]?.focus();
}

/** Acknowledges the incident that has the focus. */
export function acknowledge() {
  $('form', document.activeElement?.closest('[data-incident]') ?? document.createElement('i'))?.requestSubmit();
}
