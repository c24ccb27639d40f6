// Numbers and times as people read them: the browser's half of what dashboards/text.py says.
const trimmed = (value, places) => String(+value.toFixed(places)).replace('-', '−');

function seconds(value) {
  if (value >= 120) return `${trimmed(value / 60, 1)} min`;
  return value >= 1 ? `${trimmed(value, 2)} s` : `${trimmed(value * 1000, value < 0.01 ? 1 : 0)} ms`;
}

function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let unit = 0;
  while (Math.abs(value) >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${trimmed(value, unit && Math.abs(value) < 100 ? 1 : 0)} ${units[unit]}`;
}

const UNITS = {
  '%': value => `${trimmed(value, Math.abs(value) < 10 ? 2 : 1)} %`,
  s: seconds,
  bytes,
  cores: value => `${trimmed(value, 3)} cores`,
  count: value => trimmed(value, 2),
};

/** A value with its unit; `no data` for a gap. */
export const show = (value, unit) => (value == null ? 'no data' : (UNITS[unit] ?? UNITS.count)(value));

/** The same without the word of the unit where an axis says it. */
export const tick = (value, unit) => (unit === 'cores' ? trimmed(value, 3) : show(value, unit));

const two = number => String(number).padStart(2, '0');

/** A time (in seconds) in the reader's zone, as short as the span of the graph allows. */
export function clock(at, span = 0) {
  const d = new Date(at * 1000);
  const day = `${two(d.getDate())}.${two(d.getMonth() + 1)}.`;
  const time = `${two(d.getHours())}:${two(d.getMinutes())}`;
  if (span > 4 * 86400) return day;
  if (span > 86400) return `${day} ${time}`;
  return span && span <= 600 ? `${time}:${two(d.getSeconds())}` : time;
}

/** A time in full, in the reader's zone. */
export function moment(at) {
  const d = new Date(at * 1000);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}`;
}

/** Puts every <time> below `root` into the reader's zone; its title keeps UTC. */
export function localise(root) {
  const now = Date.parse(document.querySelector('.foot time')?.dateTime ?? '') || Date.now();
  for (const element of root.querySelectorAll('time[datetime]')) {
    const at = Date.parse(element.dateTime) / 1000;
    const today = new Date(at * 1000).toDateString() === new Date(now).toDateString();
    const text = 'day' in element.dataset || !today ? moment(at) : clock(at);
    element.textContent = 'day' in element.dataset || today ? text : text.slice(5);
  }
}
