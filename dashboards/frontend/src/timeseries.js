// Lines over time with uPlot: gaps stay gaps, one crosshair over all charts, a drag zooms.
import uPlot from 'uplot';
import {css, make, tip} from './util.js';
import {clock, moment, show, tick} from './format.js';

const colour = index => css(`--c${index % 6}`);
const BINARY = Array.from({length: 50}, (_, i) => 2 ** i);
const dashed = index => (index < 6 ? undefined : [6, 4]);
const times = t => Array.from({length: t.n}, (_, i) => t.start + i * t.step);

/** The y range: from `bottom` (or the least value) to `top` (or above the greatest value and every level line). */
function range(panel, low, high) {
  const levels = panel.thresholds.map(it => it.v).filter(v => v <= (high ?? 0) * 3 + 0.1);
  const top = panel.top ?? Math.max(high ?? 0, ...levels) * 1.12;
  const bottom = panel.bottom ?? Math.min(low ?? 0, 0) * 1.08;
  return [bottom, top > bottom ? top : bottom + 1];
}

/** Points that have a gap on both sides would be invisible as a line. */
function lonely(u, seriesIndex) {
  const values = u.data[seriesIndex];
  const found = [];
  for (let i = 0; i < values.length; i++) {
    if (values[i] != null && values[i - 1] == null && values[i + 1] == null) found.push(i);
  }
  return found.length ? found : null;
}

function drawLevels(u, panel) {
  const {ctx, bbox: {left, top, width, height}} = u;
  const ratio = devicePixelRatio;
  for (const level of panel.thresholds) {
    const y = u.valToPos(level.v, 'y', true);
    if (y < top || y > top + height) continue;
    ctx.strokeStyle = css('--crit-f');
    ctx.lineWidth = ratio;
    ctx.setLineDash([5 * ratio, 4 * ratio]);
    ctx.beginPath();
    ctx.moveTo(left, y);
    ctx.lineTo(left + width, y);
    ctx.stroke();
    ctx.fillStyle = css('--crit');
    ctx.font = `${11 * ratio}px ${css('--sans')}`;
    ctx.textAlign = 'left';
    ctx.textBaseline = 'bottom';
    ctx.fillText(level.label, left + 6 * ratio, y - 3 * ratio);
  }
  ctx.setLineDash([]);
}

function drawMarks(u, panel) {
  const {ctx, bbox: {left, top, width, height}} = u;
  const ratio = devicePixelRatio;
  for (const mark of panel.marks) {
    const x = Math.round(u.valToPos(mark.t, 'x', true));
    if (x < left || x > left + width) continue;
    ctx.fillStyle = ctx.strokeStyle = css(mark.level === 'crit' ? '--crit-f' : '--ink3');
    ctx.lineWidth = ratio;
    ctx.globalAlpha = panel.marks.length > 8 ? 0.25 : 0.5;
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, top + height);
    ctx.stroke();
    ctx.globalAlpha = 1;
    ctx.beginPath();
    ctx.moveTo(x - 4 * ratio, top + height);
    ctx.lineTo(x + 4 * ratio, top + height);
    ctx.lineTo(x, top + height - 6 * ratio);
    ctx.fill();
  }
}

function options(el, panel, handlers) {
  const axis = {
    stroke: () => css('--ink3'),
    grid: {stroke: () => css('--gl'), width: 1},
    ticks: {show: false},
    font: `11px ${css('--sans')}`,
  };
  const span = u => u.scales.x.max - u.scales.x.min;
  return {
    ...size(el),
    padding: [8, 12, 0, 0],
    legend: {show: false},
    cursor: {
      y: false,
      sync: {key: 'page', setSeries: false, scales: ['x', null]},
      drag: {x: true, y: false, setScale: false},
      focus: {prox: 24},
      points: {size: 7},
    },
    focus: {alpha: 0.28},
    scales: {
      x: {range: () => [panel().t.start, panel().t.start + panel().t.step * Math.max(panel().t.n - 1, 1)]},
      y: {range: (u, low, high) => range(panel(), low, high)},
    },
    axes: [
      {...axis, space: 74, size: 26, values: (u, splits) => splits.map(at => clock(at, span(u)))},
      {...axis, size: 62, space: 34, ...(panel().unit === 'bytes' ? {incrs: BINARY} : {}), values: (u, splits) => splits.map(v => tick(v, panel().unit))},
    ],
    series: [{}, ...panel().series.map((line, i) => ({
      label: line.label,
      stroke: () => colour(i),
      dash: dashed(i),
      width: i ? 1.4 : 2,
      fill: i || panel().top != null ? undefined : () => `${colour(i)}1c`,
      spanGaps: false,
      points: {show: () => false, size: 4, width: 0, fill: () => colour(i), filter: lonely},
    }))],
    hooks: {
      draw: [u => {
        u.ctx.save();
        drawLevels(u, panel());
        drawMarks(u, panel());
        u.ctx.restore();
      }],
      ...handlers,
    },
  };
}

const size = el => ({width: Math.max(el.clientWidth - 12, 60), height: Math.max(el.clientHeight - 6, 60)});

/** What stands under the crosshair: every line's value, the greatest first, and what happened about then. */
function rows(u, panel, index, focused) {
  const at = u.data[0][index];
  const lines = panel.series
    .map((line, i) => ({line, i, value: u.data[i + 1][index]}))
    .filter(it => u.series[it.i + 1].show)
    .sort((a, b) => (b.value ?? -Infinity) - (a.value ?? -Infinity));
  const near = panel.marks.filter(it => Math.abs(it.t - at) <= panel.t.step * 1.5).slice(0, 4);
  return [
    make('b', {text: moment(at)}),
    ...lines.map(({line, i, value}) => make('div', {cls: `r${focused === i + 1 ? ' f' : ''}`},
      make('i', {cls: `k${i % 6}`}), make('span', {text: line.label}), show(value, panel.unit))),
    ...near.map(it => make('div', {cls: `m tx-${it.level}`, text: it.label})),
  ];
}

/** Draws `data` into `el` and keeps it: {set, append, redraw, resize}. `zoom(from, to)` is called after a drag. */
export function timeseries(el, data, zoom) {
  let panel = data;
  let u = null;
  let focused = null;
  const legend = document.querySelector(`[data-legend="${CSS.escape(el.dataset.panel)}"]`);
  let outputs = [];

  function reveal() {
    const {idx, left, top} = u.cursor;
    if (idx == null) return tip();
    const place = u.over.getBoundingClientRect();
    return tip(rows(u, panel, idx, focused), place.left + left, place.top + Math.max(top, 0), left > place.width * 0.55);
  }
  const handlers = {
    setSelect: [chart => {
      const {left, width} = chart.select;
      if (width > 6) zoom(chart.posToVal(left, 'x'), chart.posToVal(left + width, 'x'));
      chart.setSelect({left: 0, width: 0, top: 0, height: 0}, false);
    }],
    setSeries: [(chart, index) => { focused = index; }],
    setCursor: [chart => {
      values(chart.cursor.idx);
      if (chart.cursor.event && chart.over.matches(':hover')) reveal();
    }],
  };

  function values(index) {
    const last = u.data[0].length - 1;
    outputs.forEach((out, i) => {
      const line = u.data[i + 1];
      let at = index ?? last;
      while (index == null && line[at] == null && at > last - panel.back) at--;
      out.textContent = show(line[at], panel.unit);
    });
  }

  function buildLegend() {
    const keys = panel.series.map((line, i) => make('button', {type: 'button', 'aria-pressed': 'true', 'data-line': i + 1},
      make('i', {cls: `k${i % 6}`}), line.label, ' ', make('b')));
    legend?.replaceChildren(...keys);
    outputs = keys.map(key => key.lastElementChild);
  }
  legend?.addEventListener('click', event => {
    const key = event.target.closest('button');
    if (!key) return;
    const on = key.getAttribute('aria-pressed') !== 'true';
    key.setAttribute('aria-pressed', String(on));
    u.setSeries(+key.dataset.line, {show: on});
  });

  function build() {
    u?.destroy();
    u = null;
    el.querySelector('.drawn')?.remove();
    const absent = el.querySelector('.absent');
    absent.hidden = panel.series.length > 0;
    el.classList.toggle('void', !panel.series.length);
    buildLegend();
    if (!panel.series.length) return;
    u = new uPlot(options(el, () => panel, handlers), [times(panel.t), ...panel.series.map(it => it.v)], el);
    u.over.addEventListener('mouseleave', () => tip());
    values();
  }

  el.addEventListener('keydown', event => {
    const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!by || !u) return;
    event.preventDefault();
    const last = u.data[0].length - 1;
    const index = Math.max(0, Math.min(last, (u.cursor.idx ?? last) + by * (event.shiftKey ? 10 : 1)));
    u.setCursor({left: u.valToPos(u.data[0][index], 'x'), top: 20});
    reveal();
  });
  el.addEventListener('blur', () => {
    tip();
    u?.setCursor({left: -10, top: -10});
  });
  build();

  return {
    get data() { return panel; },
    redraw: () => u?.redraw(false),
    resize: () => u?.setSize(size(el)),
    set(next) {
      const same = u && next.series.map(it => it.key).join('\n') === panel.series.map(it => it.key).join('\n');
      panel = next;
      if (!same) return build();
      u.setData([times(panel.t), ...panel.series.map(it => it.v)]);
      return values(u.cursor.idx);
    },
  };
}
