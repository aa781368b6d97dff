// Runs before the first picture, so that it has the colours that were chosen.
"use strict";
document.documentElement.classList.add("blank");
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // a browser that keeps nothing: the system's colours
}
document.addEventListener("DOMContentLoaded", () => {
  for (const choice of document.querySelectorAll("input[name=theme]")) {
    choice.checked = choice.value === (document.documentElement.dataset.theme || "auto");
    choice.addEventListener("change", () => {
      if (choice.value === "auto") delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = choice.value;
      try {
        localStorage.setItem("theme", choice.value);
      } catch {
        // kept for this visit alone
      }
    });
  }
});
