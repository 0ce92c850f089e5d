// What a page does besides links and forms: buttons that copy, a key that sends. Everything else works without a script.
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
// Ctrl-Enter in a long field sends its form.
for (const field of document.querySelectorAll("[data-send]")) {
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) field.form.requestSubmit();
  });
}
