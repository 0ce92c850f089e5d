// Ctrl-Enter in the statement sends it.
"use strict";
const statement = document.getElementById("statement");
statement.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) statement.form.requestSubmit();
});
