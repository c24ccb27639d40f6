// One event stream per page, open only while the page is seen.
import {$} from './util.js';
import {localise} from './format.js';

/** Opens and closes the page's stream. `onTick(columns by panel)` gets the graphs' part. */
export function stream(page, onTick) {
  const button = $('#live');
  const lost = $('#lost');
  let source = null;
  let wanted = false;

  function open() {
    if (source || document.hidden) return;
    const query = new URLSearchParams(location.search);
    query.set('page', page);
    source = new EventSource(`/events?${query}`);
    source.onopen = () => state('on');
    source.onerror = () => state('off');
    source.addEventListener('tick', event => onTick(JSON.parse(event.data).panels));
    source.addEventListener('html', event => swap(JSON.parse(event.data)));
    source.addEventListener('beat', event => beat(JSON.parse(event.data).at));
  }

  function close() {
    source?.close();
    source = null;
  }

  function state(now) {
    button.dataset.state = now;
    lost.hidden = now !== 'off';
    if (now === 'off' && source?.readyState === EventSource.CLOSED) close();
  }

  function want(on) {
    wanted = on;
    button.setAttribute('aria-pressed', String(on));
    if (on) open();
    else {
      close();
      lost.hidden = true;
    }
  }

  document.addEventListener('visibilitychange', () => {
    if (document.hidden) close();
    else if (wanted) open();
  });
  // a page kept by the browser for Back must not hold its connection
  addEventListener('pagehide', close);
  addEventListener('pageshow', event => event.persisted && wanted && open());

  return {want, get wanted() { return wanted; }};
}

// the lines of each part as they were sent last: what comes is a change of them
const parts = new Map();

/** The HTML that a change makes: strings are new lines, [start, count] are lines that were there. */
function patched(target, change) {
  const known = parts.get(target) ?? [];
  const lines = change.flatMap(it => (typeof it === 'string' ? [it] : known.slice(it[0], it[0] + it[1])));
  parts.set(target, lines);
  return lines.join('\n');
}

/** Puts a part of the page in place; one that the reader types in is left until they have left it. */
function swap({target, lines}) {
  const html = patched(target, lines);
  const element = document.getElementById(target);
  if (!element || element.querySelector(':focus-within:is(input, select, textarea)')) return;
  const focused = document.activeElement?.closest('[id]')?.id;
  const held = element.contains(document.activeElement);
  const scrolled = element.scrollTop;
  const list = element.querySelector('[data-tail]');
  const following = !list || atEnd(list);
  const place = list?.scrollTop;
  element.innerHTML = html;
  localise(element);
  element.scrollTop = scrolled;
  const next = element.querySelector('[data-tail]');
  if (next) next.scrollTop = following ? next.scrollHeight : place;
  if (held && focused) document.getElementById(focused)?.focus({preventScroll: true});
}

const atEnd = list => list.scrollHeight - list.scrollTop - list.clientHeight < 24;

/** Scrolls every list that follows its newest line to its end. */
export function follow() {
  for (const list of document.querySelectorAll('[data-tail]')) list.scrollTop = list.scrollHeight;
}

function beat(at) {
  const clock = $('.foot time');
  if (!clock) return;
  clock.dateTime = new Date(at * 1000).toISOString();
  clock.title = `${clock.dateTime.slice(0, 16).replace('T', ' ')} UTC`;
  localise(clock.parentElement);
}
