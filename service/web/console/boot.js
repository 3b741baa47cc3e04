/* Before the first paint: the colors and the language that were chosen last time. A classic script, so that it waits for nothing. */
(() => {
  const root = document.documentElement;
  /** @type {{theme?: string, language?: string}} */
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem('console') ?? '{}');
  } catch {
    // Storage may be switched off: then the browser's own wishes hold.
  }
  if (kept.theme === 'light' || kept.theme === 'dark') root.dataset.theme = kept.theme;
  const wanted = kept.language ?? navigator.language;
  root.lang = wanted.startsWith('zh') ? 'zh-CN' : 'en';
})();
