// Buttons that copy the id of a record, a run or a plan; without this script they are not shown.
"use strict";
(() => {
  // Without a clipboard that scripts may use, as over plain HTTP, the text is selected and copied by the browser itself.
  const put = async (text) => {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return;
    }
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  };

  const copy = async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (button === null) {
      return;
    }
    try {
      await put(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied";
    }
    button.focus();
    window.setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };

  document.addEventListener("click", copy);
  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("button[data-copy]")) {
      button.hidden = false;
    }
  });
})();
