// Search over what the page knows: services, nodes, containers, runbooks, pages.
import {$, make} from './util.js';

const MOST = 12;

/** How well `text` fits: begins with it, begins a part with it, holds it, holds its letters in order; null: not. */
export function fit(text, query) {
  const name = text.toLowerCase();
  const at = name.indexOf(query);
  if (at === 0) return 0;
  if (at > 0) return /[^a-z0-9]/.test(name[at - 1]) ? 1 : 2;
  let from = 0;
  for (const letter of query) {
    from = name.indexOf(letter, from) + 1;
    if (!from) return null;
  }
  return 3;
}

/** Wires the dialog to `entries`, an array of [text, kind, address]; gives back the function that opens it. */
export function search(entries) {
  const dialog = $('#search');
  const input = $('input', dialog);
  const list = $('ul', dialog);
  const none = $('p', dialog);
  let at = 0;

  function results() {
    const query = input.value.trim().toLowerCase();
    return entries
      .map(entry => ({entry, rank: query ? fit(entry[0], query) : 4}))
      .filter(it => it.rank != null)
      .sort((a, b) => a.rank - b.rank)
      .slice(0, MOST);
  }

  function show() {
    const found = results();
    at = Math.max(0, Math.min(at, found.length - 1));
    list.replaceChildren(...found.map(({entry: [text, kind, href]}, i) =>
      make('li', {role: 'option', 'aria-selected': String(i === at)}, make('a', {href, tabindex: '-1'}, make('span', {text}), make('em', {text: kind})))));
    none.hidden = found.length > 0;
  }

  input.addEventListener('input', () => {
    at = 0;
    show();
  });
  input.addEventListener('keydown', event => {
    const by = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (by) {
      event.preventDefault();
      at += by;
      show();
    }
    if (event.key === 'Enter') $('[aria-selected=true] a', list)?.click();
  });
  dialog.addEventListener('click', event => event.target === dialog && dialog.close());
  return () => {
    input.value = '';
    at = 0;
    show();
    dialog.showModal();
  };
}
