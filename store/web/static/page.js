// What a page of a store does by itself: live changes, countdowns and keys. Without it each page reads the same.
// Texts are only ever set as text (`textContent`); markup comes from the application's own pages.
"use strict";

(() => {
  const main = () => document.getElementById("main");
  const box = () => document.getElementById("changed");
  let events = null;
  let loading = false;

  document.documentElement.classList.add("scripted");

  // -- times: the server's clock is the one that expiries are measured by

  let offset = 0; // seconds that the server's clock is ahead

  function learnTime() {
    const now = Number(main()?.dataset.now);
    if (Number.isFinite(now)) offset = now - Date.now() / 1000;
  }

  function distance(seconds) {
    if (seconds <= 0) return "expired";
    if (seconds < 60) return `in ${Math.ceil(seconds)} s`;
    if (seconds < 3600) {
      const whole = Math.round(seconds);
      return `in ${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
    }
    if (seconds < 86400) return `in ${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
    const days = Math.round(seconds / 86400);
    return days < 365 ? `in ${days} d` : `in ${Math.round(days / 365)} y`;
  }

  function countDown() {
    const now = Date.now() / 1000 + offset;
    for (const one of document.querySelectorAll("time[data-expires]")) {
      const left = Number(one.dataset.expires) - now;
      if (!Number.isFinite(left)) continue;
      const text = distance(left);
      if (one.textContent !== text) one.textContent = text;
      one.classList.toggle("soon", left < 60);
    }
  }

  // -- changes: a notice with a button, which loads the main part of the page again

  function announce(text, label, act) {
    const place = box();
    if (!place || place.dataset.text === text) return;
    place.dataset.text = text;
    const message = document.createElement("span");
    message.textContent = text;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", act);
    place.replaceChildren(message, button);
  }

  function quiet() {
    const place = box();
    if (!place) return;
    delete place.dataset.text;
    place.replaceChildren();
  }

  async function reload() {
    if (loading) return;
    loading = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store", credentials: "same-origin" });
      const text = await answer.text();
      const fresh = new DOMParser().parseFromString(text, "text/html");
      const replacement = fresh.getElementById("main");
      if (!replacement) throw new Error("the answer is not a page of the store");
      main().replaceWith(document.adoptNode(replacement));
      document.title = fresh.title;
      quiet();
      begin();
      main().focus({ preventScroll: true }); // the reader stays at the same records
    } catch {
      quiet();
      announce("The page could not be loaded again; the program may have stopped.", "Try again", reload);
    } finally {
      loading = false;
    }
  }

  function watch() {
    const source = main()?.dataset.live;
    if (events) events.close();
    events = null;
    if (!source) return;
    events = new EventSource(source);
    events.addEventListener("message", (event) => heard(event.data));
    events.addEventListener("error", refused);
  }

  function refused() {
    if (events?.readyState !== EventSource.CLOSED) return; // the browser asks again by itself
    const why = "too many pages of this store are open, or the program was started anew.";
    announce(`Changes are not shown by themselves: ${why}`, "Load again", reload);
  }

  function heard(data) {
    let kind, message;
    try {
      ({ kind, message } = JSON.parse(data));
    } catch {
      kind = "many"; // something has changed
    }
    if (kind === "watching") {
      main().dataset.listening = ""; // the stream itself tells what changed before it, even if it had been lost
    } else if (kind === "problem") {
      events.close(); // or the browser would ask again and again
      announce(`Changes are not shown by themselves: ${message}`, "Load again", reload);
    } else {
      announce("Records of this page have changed.", "Show the changes", reload);
    }
  }

  window.addEventListener("pagehide", () => events?.close());
  window.addEventListener("pageshow", (event) => event.persisted && watch());

  // -- keys: "/" goes to the search, j and k to the next and the previous record of a list

  function isTyping(target) {
    return target instanceof Element && target.closest("input, select, textarea, [contenteditable]") !== null;
  }

  function step(by) {
    const links = [...document.querySelectorAll("main .listing tbody th a")];
    if (!links.length) return;
    const row = document.activeElement?.closest?.("tr");
    const at = links.findIndex((link) => link.closest("tr") === row);
    const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1);
    links[next].focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const search = document.getElementById("search");
    if (event.key === "/" && search) {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "j" || event.key === "k") {
      event.preventDefault();
      step(event.key === "j" ? 1 : -1);
    }
  });

  // -- the beginning

  function begin() {
    learnTime();
    countDown();
    watch();
  }

  begin();
  setInterval(countDown, 1000);
})();
