// The chosen theme, before the first paint; without a choice the system's holds.
try {
  const chosen = localStorage.getItem('midwatch-theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
} catch {
  // storage may be forbidden: the system's theme holds then
}
document.documentElement.classList.add('has-js');
