// What every page shares: one-key choices, a guard against a held Enter, and the sign that the live line is lost.
"use strict";

const SETTLE_MS = 400; // Enter pressed twice on purpose takes longer; held or bounced, it must not answer the next question

let swappedAt = -SETTLE_MS;

function typing(element) {
  return element instanceof Element && element.matches("input:not([type=radio], [type=checkbox]), select, textarea");
}

// [data-key="3"] is pressed by 3, [data-key="Escape"] by Esc; while a field has the focus digits stay digits, and only
// Esc and the function keys are taken.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.repeat || performance.now() - swappedAt < SETTLE_MS)) {
    event.preventDefault();
    return;
  }
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  if (!/^(Escape|F\d+)$/.test(event.key) && typing(event.target)) return;
  const chosen = document.querySelector(`[data-key="${CSS.escape(event.key)}"]:not(:disabled)`);
  if (chosen) {
    event.preventDefault();
    chosen.click();
  }
});

// − and + beside a number field.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-step]");
  if (!button) return;
  const field = button.parentElement.querySelector("input");
  field.stepUp(Number(button.dataset.step));
  field.dispatchEvent(new Event("input", { bubbles: true }));
});

// A card number in groups of four, as it stands on the card; deleting is left alone.
document.addEventListener("input", (event) => {
  const field = event.target;
  if (!field.matches("[data-groups]") || event.inputType?.startsWith("delete")) return;
  if (field.selectionStart !== field.value.length) return;
  field.value = field.value.normalize("NFKC").replace(/[\s-]/g, "").replace(/(.{4})(?=.)/g, "$1 ");
});

// A scanner ends with Enter: the next scan types over this one.
for (const when of ["focusin", "keydown"]) {
  document.addEventListener(when, (event) => {
    if ((when === "focusin" || event.key === "Enter") && event.target.matches(".scanned")) event.target.select();
  });
}

// What may be sent once and not stay on the page is gone as soon as it is on its way.
document.addEventListener("htmx:beforeSend", (event) => {
  event.detail.elt.querySelectorAll("[data-once]").forEach((field) => { field.value = ""; });
});

// Opens what a page may not open by itself without a script: the printer's dialogue.
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
});

// A field that sends its form when it changes.
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});

// A part that renews itself and is looked at meanwhile ([data-calm]): what has not changed is left alone, and a table that
// was scrolled sideways stays where it was.
document.addEventListener("htmx:beforeSwap", (event) => {
  const part = event.detail.target;
  if (!part.hasAttribute("data-calm") || !event.detail.shouldSwap) return;
  if (part.lastAnswer === event.detail.serverResponse) {
    event.detail.shouldSwap = false;
    return;
  }
  part.lastAnswer = event.detail.serverResponse;
  part.lastScrolls = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
});
document.addEventListener("htmx:afterSwap", (event) => {
  const lefts = event.detail.target.lastScrolls ?? [];
  event.detail.target.querySelectorAll(".scroll").forEach((box, number) => { box.scrollLeft = lefts[number] ?? 0; });
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.hasAttribute("data-stage")) swappedAt = performance.now();
});

// A new request by the person makes the last notice old.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.requestConfig.triggeringEvent instanceof UIEvent || event.detail.requestConfig.verb === "post") {
    document.getElementById("notice").replaceChildren();
  }
});

function lost(is) {
  document.getElementById("lost").hidden = !is;
}
document.addEventListener("htmx:sseError", () => lost(true));
document.addEventListener("htmx:sseOpen", () => lost(false));
document.addEventListener("htmx:sendError", () => lost(true));
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful && !document.querySelector("[sse-connect]")) lost(false);
});
