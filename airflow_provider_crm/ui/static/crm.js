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

  // Airflow's own pages write times in the zone that the reader chose there; at first that is the browser's.
  const chosenZone = () => {
    try {
      return JSON.parse(window.localStorage.getItem("timezone")) || undefined;
    } catch {
      return undefined;
    }
  };

  const writerOf = (timeZone) => {
    const parts = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
    return new Intl.DateTimeFormat("en-CA", { ...parts, hourCycle: "h23", timeZone });
  };

  const zoned = () => {
    try {
      return writerOf(chosenZone());
    } catch {
      return writerOf(undefined); // a name that this browser does not know
    }
  };

  const localTimes = (within) => {
    const writer = zoned();
    const zone = writer.resolvedOptions().timeZone;
    const write = (text) => writer.format(new Date(text)).replace(", ", " ");
    for (const time of within.querySelectorAll("time[datetime]")) {
      time.textContent = write(time.dateTime);
      time.title = `${time.dateTime.slice(0, 19).replace("T", " ")} UTC`;
      if (time.nextSibling !== null && time.nextSibling.nodeType === Node.TEXT_NODE) {
        time.nextSibling.data = time.nextSibling.data.replace(/^(\s*)UTC\b/, `$1${zone}`);
      }
    }
    for (const name of within.querySelectorAll("[data-zone]")) {
      name.textContent = zone;
    }
    for (const head of within.querySelectorAll("th")) {
      for (const part of head.childNodes) {
        if (part.nodeType === Node.TEXT_NODE) {
          part.data = part.data.replace("(UTC)", `(${zone})`);
        }
      }
    }
    for (const bar of within.querySelectorAll("[data-moment]")) {
      const label = bar.getAttribute("aria-label").replace(/^\S+ \S+ UTC/, `${write(bar.dataset.moment)} ${zone}`);
      bar.setAttribute("aria-label", label);
      bar.querySelector("title").textContent = label;
    }
  };

  // A part of the page that changes while a run goes on is fetched again, and the page once nothing runs any more.
  const SECONDS = 5;
  const refresh = async (part) => {
    const answer = await fetch(part.dataset.refresh, { credentials: "same-origin" });
    if (!answer.ok) {
      return;
    }
    const running = document.createElement("template");
    running.innerHTML = await answer.text();
    if (running.content.querySelector("[data-running]") === null) {
      window.location.reload();
      return;
    }
    localTimes(running.content);
    part.replaceChildren(running.content);
    window.setTimeout(refresh, SECONDS * 1000, part);
  };

  document.addEventListener("DOMContentLoaded", () => {
    localTimes(document);
    for (const part of document.querySelectorAll("[data-refresh]")) {
      window.setTimeout(refresh, SECONDS * 1000, part);
    }
  });
})();
