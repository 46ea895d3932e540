// The theme as a reader chooses it: kept in a cookie, so that the next page comes in it at once.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme");
  const themes = ["auto", "light", "dark"];
  const show = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = button.dataset[theme];
  };
  show(document.documentElement.dataset.theme);
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length];
    document.cookie = `theme=${next}; path=/; max-age=31536000; samesite=strict`;
    show(next);
    document.dispatchEvent(new Event("themechange"));
  });
});
