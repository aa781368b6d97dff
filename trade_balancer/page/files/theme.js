// Before the first picture, so that it has the colours that were chosen.
"use strict";
document.documentElement.classList.add("blank");
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // a browser that keeps nothing: the system's colours
}
