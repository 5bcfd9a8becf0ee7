// The page inside Airflow's frame: it follows Airflow's theme, and links that leave it open in Airflow's window.
"use strict";
(() => {
  const root = document.documentElement;

  // Airflow serves this page itself, so its document can be reached; a page that is opened alone has no shell.
  const shell = window.parent === window ? null : window.parent.document;

  const follow = () => {
    root.dataset.theme = shell.documentElement.classList.contains("dark") ? "dark" : "light";
  };
  if (shell !== null) {
    follow();
    new MutationObserver(follow).observe(shell.documentElement, { attributes: true, attributeFilter: ["class"] });
  } else {
    const stored = window.localStorage.getItem("theme");
    if (stored === "dark" || stored === "light") {
      root.dataset.theme = stored;
    }
  }

  // Airflow's frame lets no link inside replace its window or open one, so a link of Airflow's document is clicked.
  const leave = (event) => {
    const link = event.target.closest("a[data-leaves]");
    if (link === null || shell === null) {
      return;
    }
    event.preventDefault();
    const outside = shell.createElement("a");
    outside.href = link.href;
    outside.rel = "noopener noreferrer";
    if (link.origin !== window.location.origin) {
      outside.target = "_blank";
    }
    outside.click();
  };
  document.addEventListener("click", leave);
})();
