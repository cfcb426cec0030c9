"use strict";
// Keeps the page fresh: asks for it again, and puts what has changed in place of what is shown. What a person
// has begun to write stays as it is; then the page only says that there is something new. Nothing needs this
// script: without it a page is as fresh as when it was opened.
(() => {
  const EVERY = 5000;
  const notice = document.getElementById("notice");
  const parts = (page) => [...page.querySelectorAll("[data-live]")];
  const known = new Map(parts(document).map((part) => [part.id, part.innerHTML]));
  // What was written and refused stands on the page; a fresh one does not have it.
  const kept = new Set(parts(document).filter((part) => part.querySelector("[data-kept]")).map((part) => part.id));
  let tag = null;

  function tell(text, link) {
    notice.hidden = !text;
    notice.textContent = text;
    if (!text || !link) return;
    const again = document.createElement("a");
    again.href = location.href;
    again.textContent = link;
    notice.append(" ", again);
  }

  function isChanged(control) {
    if (control.type === "hidden") return false;
    if (control.tagName === "SELECT") return [...control.options].some((o) => o.selected !== o.defaultSelected)
      && control.selectedIndex !== [...control.options].findIndex((o) => o.defaultSelected);
    return control.value !== control.defaultValue;
  }

  function isInUse(part) {
    if (part.querySelector("[data-kept]")) return true;
    const controls = [...part.querySelectorAll("input, textarea, select")];
    return controls.some((control) => control === document.activeElement || isChanged(control));
  }

  function put(part, fresh) {
    const open = [...part.querySelectorAll("details[open]")].map((details) => details.id);
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    part.innerHTML = fresh.innerHTML;
    for (const id of open) {
      const details = id && document.getElementById(id);
      if (details) details.open = true;
    }
    if (focused) document.getElementById(focused)?.focus();
    sayHowLongAgo(part);
  }

  function show(page) {
    let isNews = false;
    for (const fresh of parts(page)) {
      const part = document.getElementById(fresh.id);
      if (!part) { isNews = true; continue; }
      if (kept.delete(fresh.id)) known.set(fresh.id, fresh.innerHTML);
      if (known.get(fresh.id) === fresh.innerHTML) continue;
      if (isInUse(part)) { isNews = true; continue; }
      known.set(fresh.id, fresh.innerHTML);
      put(part, fresh);
    }
    document.title = page.title;
    if (isNews) tag = null;
    tell(isNews ? "Something has changed since this was shown." : "", "Show it anew");
  }

  async function refresh() {
    if (document.visibilityState !== "visible") return;
    const headers = { "X-Live": "1", ...(tag ? { "If-None-Match": tag } : {}) };
    try {
      const answer = await fetch(location.href.split("#")[0], { headers, redirect: "error" });
      if (answer.status === 304) return tell("");
      if (!answer.headers.get("ETag")) return tell("The inbox has something else to say.", "Look");
      tag = answer.headers.get("ETag");
      show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      tell("The inbox does not answer, or you are signed out.", "Try again");
    }
  }

  const steps = [[60, "second"], [60, "minute"], [24, "hour"], [365, "day"]];
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

  function sayHowLongAgo(root) {
    for (const time of root.querySelectorAll(".facts time")) {
      let gap = (new Date(time.dateTime) - Date.now()) / 1000;
      for (const [most, unit] of steps) {
        if (Math.abs(gap) < most || unit === "day") {
          time.dataset.ago = words.format(Math.trunc(gap), unit);
          break;
        }
        gap /= most;
      }
    }
  }

  sayHowLongAgo(document);
  setInterval(() => sayHowLongAgo(document), 30000);
  document.querySelector(".wanted h2")?.scrollIntoView({ block: "center" });
  if (document.body.hasAttribute("data-live-page")) setInterval(refresh, EVERY);
})();
