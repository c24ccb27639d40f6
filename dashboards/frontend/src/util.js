// Small helpers: selecting, making elements, reading colours, the tooltip.
export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** An element with text and children; text never becomes HTML. */
export function make(tag, {text, cls, ...attributes} = {}, ...children) {
  const element = document.createElement(tag);
  if (cls) element.className = cls;
  if (text != null) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) if (value != null) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

let styles;
/** The value of a custom property; they are read again after a change of theme. */
export function css(name) {
  styles ??= getComputedStyle(document.documentElement);
  return styles.getPropertyValue(name).trim();
}

let box;
/** Shows nodes beside a point of the screen, to the left of it with `flip`; hides the tooltip without nodes. */
export function tip(nodes, x, y, flip) {
  box ??= document.body.appendChild(make('div', {cls: 'tip', 'aria-hidden': 'true'}));
  box.hidden = !nodes;
  if (!nodes) return;
  box.replaceChildren(...nodes);
  const left = flip ? x - box.offsetWidth - 14 : x + 14;
  box.style.left = `${Math.max(8, Math.min(left, innerWidth - box.offsetWidth - 8))}px`;
  box.style.top = `${Math.max(8, Math.min(y - box.offsetHeight / 2, innerHeight - box.offsetHeight - 8))}px`;
}
