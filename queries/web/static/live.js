// Answers of the model as they come: a button that names an address of events shows them in place.
// Without this script the same button leads to a page with the whole answer.
"use strict";
for (const place of document.querySelectorAll("[data-stream]")) {
  const [button, cancel, state, shown] = ["events", "cancel", "state", "ran"].map((name) => place.querySelector(`[data-${name}]`));
  const progress = place.querySelector("[data-progress]");
  const part = (name) => place.querySelectorAll(`[data-part="${name}"]`);
  let source = null;
  const leave = () => { if (source) source.close(); source = null; };
  const end = (text) => {
    button.disabled = false;
    cancel.hidden = true;
    if (progress) progress.hidden = true;
    state.textContent = text;
  };
  cancel.addEventListener("click", () => { leave(); end("stopped"); });
  addEventListener("pagehide", leave);
  button.addEventListener("click", (click) => {
    click.preventDefault();
    const asked = new URLSearchParams(new FormData(button.form));
    for (const [name, value] of [...asked]) if (value === "" && name !== "value") asked.delete(name);
    leave();
    state.textContent = "waiting for the model";
    let ended = false;
    button.disabled = true;
    cancel.hidden = false;
    for (const name of ["before", "after", "table"]) for (const each of part(name)) each.textContent = "";
    for (const each of part("prompt")) each.textContent = asked.get("prompt") || "";
    source = new EventSource(`${button.dataset.events}?${asked}`);
    const hear = (name, show) => source.addEventListener(name, (event) => show(JSON.parse(event.data)));
    hear("table", (html) => { shown.hidden = false; for (const each of part("table")) each.innerHTML = html; state.textContent = ""; });
    for (const name of ["before", "after"]) hear(name, (text) => { for (const each of part(name)) each.append(text); state.textContent = "writing"; });
    hear("texts", (texts) => { for (const name of ["before", "after"]) for (const each of part(name)) each.textContent = texts[name]; });
    hear("progress", ([step, share]) => { progress.hidden = false; progress.value = share; state.textContent = `${step} ${Math.round(100 * share)} %`; });
    hear("wrong", (text) => { ended = true; end(`⚠ ${text}`); });
    hear("done", () => { ended = true; end(""); });
    // The end of the answer comes here too: it must not be asked for again.
    source.onerror = () => { leave(); if (!ended) end("⚠ the server was not reached, or is busy"); };
  });
}
