"use strict";
{
  const connection = document.getElementById("connection");
  const source = new EventSource("events" + location.search);
  source.onopen = () => { connection.textContent = "This page follows the run."; };
  source.onerror = () => {
    connection.textContent = "telecine does not answer. The page shows the last state it has received, and tries again.";
  };
  for (const part of document.querySelectorAll(".live")) {
    source.addEventListener(part.id, (event) => { part.innerHTML = event.data; });
  }
  source.addEventListener("end", () => {
    source.close();
    connection.textContent = "The run has ended. This page does not change any more.";
  });
}
