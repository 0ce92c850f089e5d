// What a page does besides links and forms: buttons that copy, arrow keys among the tokens of a text. Everything else works without a script.
"use strict";
function showCopy(part) {
  for (const button of part.querySelectorAll("[data-copy]")) button.hidden = false;
}
showCopy(document);
document.addEventListener("htmx:load", (event) => showCopy(event.target)); // parts that were loaded later
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.closest(".copied").querySelector("pre").textContent);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});
document.addEventListener("keydown", (event) => {
  const token = event.target.closest(".t");
  const next = { ArrowLeft: "previousElementSibling", ArrowRight: "nextElementSibling" }[event.key];
  const other = token && next && token[next];
  if (!other || !other.matches(".t")) return;
  event.preventDefault();
  if (!other.hasAttribute("tabindex")) other.tabIndex = -1;
  other.focus();
});
