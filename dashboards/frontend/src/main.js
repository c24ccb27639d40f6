// The page comes whole from the server; this adds graphs, live updates, keys and search.
import {$, $$} from './util.js';
import {localise} from './format.js';
import {panels} from './panels.js';
import {follow, stream} from './live.js';
import {search} from './search.js';
import {acknowledge, keyboard, step} from './keyboard.js';
import {tries} from './try.js';

const boot = JSON.parse($('#boot').textContent);
const root = document.documentElement;
localise(document);
follow();
tries();
const zone = $('#zone');
const place = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) zone.textContent = ` · times in ${place}${place === 'UTC' ? '' : ', UTC on hover'}`;

// --- graphs; a drag changes the range, which lives in the address
const graphs = panels(boot.panels, (from, to) => go({from: Math.round(from * 1000), to: Math.round(to * 1000), range: null}));

function go(changes) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value == null) query.delete(name);
    else query.set(name, value);
  }
  live?.want(false);
  location.search = query;
}

// --- live
const live = $('#live') ? stream(boot.page, columns => graphs.tick(columns) || refetch()) : null;
let fetching = null;

/** Fetches all panels again: a line came or went, or the page slept. */
async function refetch() {
  if (fetching) return;
  fetching = new AbortController();
  try {
    const query = new URLSearchParams(location.search);
    query.set('page', boot.page);
    const answer = await fetch(`/api/panels?${query}`, {signal: fetching.signal, headers: {accept: 'application/json'}});
    if (answer.ok) graphs.set((await answer.json()).panels);
  } catch (fault) {
    // the stream tells of a service that is away, and comes back by itself
    if (!(fault instanceof TypeError) && fault.name !== 'AbortError') throw fault;
  } finally {
    fetching = null;
  }
}

$('#live')?.addEventListener('click', () => {
  if (boot.live) live.want(!live.wanted);
  else go({from: null, to: null});
});
if (boot.live) live.want(true);

// --- pages without a stream are fetched anew while somebody looks, and what is fresh takes its place
async function renew() {
  if (document.hidden) return;
  const answer = await fetch(location.href, {headers: {accept: 'text/html'}}).catch(() => null);
  $('#lost').hidden = Boolean(answer);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  for (const part of $$('[data-fresh]')) {
    const fresh = page.getElementById(part.id);
    if (!fresh || part.contains(document.activeElement)) continue;
    part.replaceWith(fresh);
    localise(fresh);
  }
}
if ($('[data-renew]')) setInterval(renew, 60_000);

// --- forms: those that act send themselves and wait for the stream to show what changed
document.addEventListener('submit', async event => {
  const form = event.target;
  if (!form.matches('[data-send]')) return;
  event.preventDefault();
  const button = $('button', form);
  button.disabled = true;
  const body = new URLSearchParams(new FormData(form));
  const answer = await fetch(form.action, {method: 'POST', body, headers: {accept: 'application/json'}}).catch(() => null);
  if (answer?.ok) button.textContent = 'Acked';
  else {
    button.disabled = false;
    button.textContent = 'Try again';
  }
});
document.addEventListener('change', event => {
  if (event.target.matches('[data-filter] select')) event.target.form.requestSubmit();
});
// days are the reader's own, until another zone was asked for; a period of a name needs no ends
const days = $('[data-zone]');
if (days && !new URLSearchParams(location.search).get('zone')) days.value = place;
days?.form.addEventListener('submit', () => {
  const {period, from, to} = days.form.elements;
  if (period.value) from.disabled = to.disabled = true;
  else period.disabled = true;
});
for (const end of days ? [days.form.elements.from, days.form.elements.to] : []) {
  end.addEventListener('input', () => (days.form.elements.period.value = ''));
}
// clocks are the reader's own where nothing was written
for (const zone of $$('[data-place]')) zone.value ||= place;
// empty fields stay out of the address
$('[data-filter]')?.addEventListener('submit', event => {
  for (const field of event.target.elements) if (field.name && !field.value) field.disabled = true;
});
document.addEventListener('click', event => event.target.closest('[data-print]') && print());

// --- theme
function switchTheme() {
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  try {
    localStorage.setItem('midwatch-theme', root.dataset.theme);
  } catch {
    // storage may be forbidden: the choice then lasts as long as the page
  }
  graphs.redraw();
}
$('#theme').addEventListener('click', switchTheme);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => graphs.redraw());

// --- search, keys
const openSearch = search(boot.find);
$('#find').addEventListener('click', openSearch);
const help = () => $('#keys').showModal();
$('#help').addEventListener('click', help);

/** Moves the range by `by` of its width, and widens it to `scale` of it. */
function shift(by, scale = 1) {
  const t = Object.values(boot.panels)[0]?.t;
  if (!t) return;
  const width = t.step * t.n;
  const middle = t.start + width / 2 + by * width;
  const to = Math.min(middle + (width / 2) * scale, Date.now() / 1000);
  go({from: Math.round(to - width * scale) * 1000, to: Math.round(to) * 1000, range: null});
}

keyboard({
  '/': openSearch,
  '?': help,
  t: switchTheme,
  '.': () => $('#live')?.click(),
  '[': () => shift(-0.5),
  ']': () => shift(0.5),
  z: () => shift(0, 2),
  j: () => step(1),
  k: () => step(-1),
  a: acknowledge,
});

requestAnimationFrame(() => requestAnimationFrame(() => {
  root.dataset.ready = Math.round(performance.now());
}));
