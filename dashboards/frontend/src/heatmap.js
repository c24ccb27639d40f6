// Counts by row and column on a canvas; time that was not measured is hollow, zero is filled.
import {css, make, tip} from './util.js';
import {clock, moment, show} from './format.js';

const level = value => (value <= 0 ? 0 : value >= 6 ? 5 : value >= 4 ? 4 : Math.min(3, Math.ceil(value)));
const PHONE = 641;

/** Columns for a narrow screen: pairs become one, a gap only where both are gaps. */
function merged(values, by) {
  if (by === 1) return values;
  const found = [];
  for (let i = 0; i < values.length; i += by) {
    const part = values.slice(i, i + by).filter(it => it != null);
    found.push(part.length ? part.reduce((sum, it) => sum + it, 0) : null);
  }
  return found;
}

function shorten(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let cut = text;
  while (cut.length > 1 && context.measureText(`${cut}…`).width > width) cut = cut.slice(0, -1);
  return `${cut}…`;
}

/** Draws `data` into `el` and keeps it: {set, redraw, resize}. */
export function heatmap(el, data) {
  let panel = data;
  let chosen = null;
  let shape = null;
  const canvas = make('canvas');
  const context = canvas.getContext('2d');

  function measure() {
    const phone = innerWidth < PHONE;
    const by = phone && panel.t.n > 40 ? 2 : 1;
    const width = el.clientWidth - (phone ? 24 : 28);
    const rowHeight = phone ? 22 : Math.max(20, Math.min(30, Math.floor((el.clientHeight - 34) / panel.series.length)));
    const left = phone ? 104 : Math.min(150, width * 0.26);
    const cols = Math.ceil(panel.t.n / by);
    return {by, width, rowHeight, left, cols, cell: (width - left) / cols, height: rowHeight * panel.series.length + 22};
  }

  function drawRow(row, y) {
    const {left, cell, rowHeight, by} = shape;
    context.fillStyle = css('--ink2');
    context.textAlign = 'left';
    context.fillText(shorten(context, row.label, left - 10), 0, y * rowHeight + rowHeight / 2);
    merged(row.v, by).forEach((value, x) => {
      context.beginPath();
      context.roundRect(left + x * cell + 0.75, y * rowHeight + 1, Math.max(cell - 1.5, 1), rowHeight - 2, 2);
      if (value == null) {
        context.strokeStyle = css('--ln');
        context.lineWidth = 1;
        context.stroke();
      } else {
        context.fillStyle = css(`--h${level(value)}`);
        context.fill();
      }
    });
  }

  function drawAxis() {
    const {left, cell, by, height, width} = shape;
    const {start, step, n} = panel.t;
    const span = step * n;
    const every = [300, 600, 1800, 3600, 7200, 14400, 43200, 86400, 7 * 86400].find(it => span / it * 76 <= width - left) ?? 30 * 86400;
    context.fillStyle = css('--ink3');
    context.font = `11px ${css('--sans')}`;
    context.textAlign = 'center';
    const zone = new Date(start * 1000).getTimezoneOffset() * 60;
    for (let at = Math.ceil((start - zone) / every) * every + zone; at < start + span; at += every) {
      const x = left + ((at - start) / step / by) * cell;
      if (x > left + 16 && x < width - 14) context.fillText(clock(at, span), x, height - 8);
    }
  }

  function draw() {
    if (!panel.series.length) return;
    const ratio = devicePixelRatio || 1;
    shape = measure();
    canvas.width = shape.width * ratio;
    canvas.height = shape.height * ratio;
    canvas.style.height = `${shape.height}px`;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.font = `12px ${css('--sans')}`;
    context.textBaseline = 'middle';
    panel.series.forEach(drawRow);
    drawAxis();
    if (!chosen) return;
    context.strokeStyle = css('--ink');
    context.lineWidth = 1.5;
    context.strokeRect(shape.left + chosen.x * shape.cell + 0.75, chosen.y * shape.rowHeight + 1, shape.cell - 1.5, shape.rowHeight - 2);
  }

  function choose(next) {
    const inside = next && next.x >= 0 && next.x < shape.cols && next.y >= 0 && next.y < panel.series.length;
    const found = inside ? next : null;
    if (found?.x === chosen?.x && found?.y === chosen?.y) return;
    chosen = found;
    draw();
    if (!chosen) {
      tip();
      return;
    }
    const {left, cell, rowHeight, by} = shape;
    const row = panel.series[chosen.y];
    const value = merged(row.v, by)[chosen.x];
    const at = panel.t.start + chosen.x * by * panel.t.step;
    const place = canvas.getBoundingClientRect();
    const x = place.left + left + (chosen.x + 1) * cell;
    tip([
      make('b', {text: row.label}),
      make('div', {cls: 'r'}, make('span', {text: `${moment(at)} – ${clock(at + by * panel.t.step)}`})),
      make('div', {cls: 'r f'}, make('span', {text: panel.unit}), value == null ? 'not measured' : show(value, 'count')),
    ], x, place.top + (chosen.y + 0.5) * rowHeight, x > innerWidth * 0.7);
  }

  canvas.addEventListener('pointermove', event => {
    if (!shape) return;
    const place = canvas.getBoundingClientRect();
    choose({x: Math.floor((event.clientX - place.left - shape.left) / shape.cell), y: Math.floor((event.clientY - place.top) / shape.rowHeight)});
  });
  canvas.addEventListener('pointerleave', () => shape && choose(null));
  el.addEventListener('blur', () => shape && choose(null));
  el.addEventListener('keydown', event => {
    const by = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (!by || !shape) return;
    event.preventDefault();
    const from = chosen ?? {x: shape.cols - 1, y: 0};
    choose({
      x: Math.max(0, Math.min(shape.cols - 1, from.x + by[0])),
      y: Math.max(0, Math.min(panel.series.length - 1, from.y + by[1])),
    });
  });

  function set(next) {
    panel = next;
    const empty = !panel.series.length;
    el.querySelector('.drawn')?.remove();
    el.querySelector('.absent').hidden = !empty;
    el.classList.toggle('void', empty);
    if (empty) canvas.remove();
    else if (!canvas.isConnected) el.append(canvas);
    draw();
  }
  set(panel);
  return {get data() { return panel; }, redraw: draw, resize: draw, set};
}
