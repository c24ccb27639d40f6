// Live columns put into a panel: the last ones replaced, new ones added, old ones dropped.

/** The panel with the columns in it; null where they don't fit and the panel must be fetched whole. */
export function join(panel, columns) {
  const {start, step, n} = columns.t;
  const mine = panel.t;
  if (step !== mine.step || columns.keys.length !== panel.series.length) return null;
  if (columns.keys.some((key, i) => key !== panel.series[i].key)) return null;
  const end = mine.start + mine.step * mine.n;
  const fresh = Math.round((start + step * n - end) / step);
  // a column between ours and these would be missing
  if (start > end || fresh > n || fresh < 0 || start < mine.start) return null;
  const kept = mine.n - (n - fresh);
  const series = panel.series.map((line, i) => ({...line, v: [...line.v.slice(fresh, kept), ...columns.v[i]]}));
  return {...panel, t: {...mine, start: mine.start + fresh * step}, series};
}
