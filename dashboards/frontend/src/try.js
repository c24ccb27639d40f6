// Tries the text while it is typed: the answer is the same part of the page that a form without this would bring.
import {$, $$, make} from './util.js';
import {localise} from './format.js';

const PAUSE = 350;
const AGAIN = 1500;

/** Watches the form of the page that tries an objective; does nothing on other pages. */
export function tries() {
  const form = $('#try');
  if (!form) return;
  const text = $('textarea', form);
  const gutter = $('.gutter', form);
  const slider = $('#nines');
  const targets = slider.dataset.targets.split(' ');
  const target = form.elements.namedItem('target');
  let waiting = 0;
  let asking = null;

  function soon(ms = PAUSE) {
    clearTimeout(waiting);
    waiting = setTimeout(ask, ms);
  }

  async function ask() {
    asking?.abort();
    const mine = new AbortController();
    asking = mine;
    form.dataset.busy = '';
    try {
      const body = new URLSearchParams(new FormData(form));
      const answer = await fetch(form.dataset.part, {method: 'POST', body, signal: mine.signal});
      if (answer.status === 429 || answer.status === 503) return soon(AGAIN);
      if (answer.ok) show(await answer.text());
    } catch (fault) {
      // typed on, or the service is away: the next letter asks again
      if (!(fault instanceof TypeError) && fault.name !== 'AbortError') throw fault;
    } finally {
      if (asking === mine) delete form.dataset.busy;
    }
  }

  function show(html) {
    const place = $('#tried');
    place.innerHTML = html;
    localise(place);
    number();
  }

  /** Line numbers, those with a fault or a warning marked. */
  function number() {
    const levels = new Map();
    for (const it of $$('#findings li').reverse()) {
      const level = it.dataset.level;
      if (level !== 'quiet' && levels.get(+it.dataset.line) !== 'crit') levels.set(+it.dataset.line, level);
    }
    const lines = text.value.split('\n').length;
    gutter.replaceChildren(...Array.from({length: lines}, (_, i) => {
      const level = levels.get(i + 1);
      return make('span', {text: i + 1, cls: level ? `l-${level}` : undefined});
    }));
    gutter.scrollTop = text.scrollTop;
  }

  /** Selects a line and brings it into view. */
  function visit(line) {
    const lines = text.value.split('\n');
    const from = lines.slice(0, line - 1).reduce((sum, it) => sum + it.length + 1, 0);
    text.focus();
    text.setSelectionRange(from, from + (lines[line - 1]?.length ?? 0));
    text.scrollTop = (line - 4) * parseFloat(getComputedStyle(text).lineHeight);
  }

  function place() {
    const at = targets.findIndex(it => Number(it) >= Number(target.value));
    slider.value = target.value === '' ? targets.indexOf('99.9') : at < 0 ? targets.length - 1 : at;
  }

  form.addEventListener('input', event => {
    if (event.target === slider) target.value = targets[slider.value];
    else if (event.target === target) place();
    else if (event.target === text) number();
    soon();
  });
  form.addEventListener('submit', event => {
    event.preventDefault();
    soon(0);
  });
  form.addEventListener('click', event => {
    const line = event.target.closest('#findings li');
    if (line) visit(+line.dataset.line);
  });
  text.addEventListener('scroll', () => { gutter.scrollTop = text.scrollTop; });
  new ResizeObserver(() => { gutter.style.height = `${text.offsetHeight}px`; }).observe(text);
  place();
  number();
}
