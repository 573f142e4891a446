/* Decisions about the photos of a review, one photo at a time: by keys and buttons, kept in the browser, saved as a file
   for `deepot run --decisions`. */
"use strict";
addEventListener("DOMContentLoaded", () => {
  const KEYS = { a: "accepted", r: "rejected", u: "undecided" };
  const SIGNS = { accepted: "✓", rejected: "✗", undecided: "" };
  const { review, confidence } = JSON.parse(document.querySelector("#review-data").textContent);
  const { photos } = review;
  const find = (selector) => document.querySelector(selector);
  const figures = [...document.querySelectorAll(".viewer")];
  const tabs = [...document.querySelectorAll(".strip button")];
  const storeKey = `deepot-review ${review.run}`;
  const idOf = ({ input, result_sha256: sha256 }) => `${sha256} ${input}`;
  const group = (number) => number.toLocaleString("en-US");
  const say = (text) => { find("#message").textContent = text; };
  let current = 0;

  function readStore() {
    try {
      return JSON.parse(localStorage.getItem(storeKey)) ?? {};
    } catch {
      return {};
    }
  }
  /** Keeps the decisions in this browser, with those of other pages about the same run. */
  function store() {
    const kept = readStore();
    for (const photo of photos) {
      if (photo.decision === "undecided") delete kept[idOf(photo)];
      else kept[idOf(photo)] = photo.decision;
    }
    try {
      localStorage.setItem(storeKey, JSON.stringify(kept));
    } catch {
      say("This browser does not keep decisions: save them before you close the page.");
    }
  }

  function countStrata() {
    const strata = review.strata.map(({ photos: size }) => ({ photos: size, reviewed: 0, rejected: 0 }));
    for (const { stratum, decision } of photos) {
      strata[stratum].reviewed += decision !== "undecided";
      strata[stratum].rejected += decision === "rejected";
    }
    return strata;
  }
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  /** The sentence of pipeline/review/statement.py. */
  function describe(strata, atMost) {
    const { accepted_before: accepted, rejected_before: rejected } = review;
    const total = sum(strata.map((stratum) => stratum.photos)) + accepted + rejected;
    const rejects = sum(atMost) + rejected;
    if (strata.every((stratum) => stratum.reviewed === stratum.photos)) {
      return `All ${group(total)} changed photos of the run are decided: ${group(total - rejects)} accepted, ` +
        `${group(rejects)} rejected.`;
    }
    const tenths = Math.ceil((1000 * rejects) / total);
    const share = `${Math.floor(tenths / 10)}.${tenths % 10} %`;
    return `With ${Math.round(100 * confidence)} % confidence, at most ${group(rejects)} of the ${group(total)} changed ` +
      `photos of the run would be rejected (${share}).`;
  }

  function render() {
    const strata = countStrata();
    const atMost = reviewBound.boundRejects(strata, confidence);
    const decided = sum(strata.map(({ reviewed }) => reviewed)), rejected = sum(strata.map((each) => each.rejected));
    find("#statement").textContent = describe(strata, atMost);
    find("#progress").textContent =
      `${decided} of ${photos.length} decided: ${decided - rejected} accepted, ${rejected} rejected`;
    find("progress").value = decided;
    strata.forEach((stratum, number) => {
      const cells = { ...stratum, atMost: atMost[number] };
      for (const cell of document.querySelectorAll(`tr[data-stratum="${number}"] [data-count]`)) {
        cell.textContent = group(cells[cell.dataset.count]);
      }
    });
    photos.forEach((photo, index) => {
      figures[index].classList.toggle("current", index === current);
      const tab = tabs[index];
      tab.dataset.decision = photo.decision;
      tab.querySelector("i").textContent = SIGNS[photo.decision];
      tab.setAttribute("aria-label", `Photo ${index + 1}: ${photo.file_name}, ${photo.decision}`);
      if (index === current) tab.setAttribute("aria-current", "true");
      else tab.removeAttribute("aria-current");
    });
    for (const button of document.querySelectorAll("[data-decide]")) {
      button.setAttribute("aria-pressed", button.dataset.decide === photos[current].decision);
    }
    find("#position").textContent = `Photo ${current + 1} of ${photos.length}`;
  }

  /** Shows a photo, and gives it the focus if the one before had it, or nothing has. */
  function show(index) {
    const { activeElement } = document;
    const takesFocus = activeElement === document.body || figures[current].contains(activeElement);
    current = Math.min(Math.max(index, 0), photos.length - 1);
    render();
    if (document.fullscreenElement) figures[current].requestFullscreen();
    if (takesFocus) figures[current].querySelector(".stage").focus({ preventScroll: true });
    const { top } = find(".photos").getBoundingClientRect();
    if (top < 0) scrollBy(0, top);
  }
  function nextUndecided() {
    const after = [...photos.keys()].map((offset) => (current + 1 + offset) % photos.length);
    return after.find((index) => photos[index].decision === "undecided");
  }
  function decide(decision) {
    photos[current].decision = decision;
    say("");
    store();
    const next = nextUndecided();
    if (next === undefined) say("All photos of this page are decided: save the decisions.");
    show(next ?? current);
  }

  function save() {
    const file = new Blob([`${JSON.stringify(review, null, 1)}\n`], { type: "application/json" });
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: "decisions.json" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    say("Saved as decisions.json, in the folder of downloads.");
  }
  /** Returns the decisions of a file by photo, or says why there are none. */
  async function readFile(file) {
    let loaded;
    try {
      loaded = JSON.parse(await file.text());
    } catch {
      return say(`${file.name} is not JSON.`);
    }
    const list = loaded?.photos;
    if (loaded?.format !== review.format || loaded.version !== review.version || !Array.isArray(list)) {
      return say(`${file.name} is not a file of decisions.`);
    }
    if (loaded.run !== review.run) return say(`${file.name} has decisions about another run, ${loaded.run}.`);
    return new Map(list.filter(({ decision }) => decision in SIGNS).map((photo) => [idOf(photo), photo.decision]));
  }
  async function load(file) {
    const decisions = await readFile(file);
    if (!decisions) return;
    const known = photos.filter((photo) => decisions.has(idOf(photo)));
    for (const photo of known) photo.decision = decisions.get(idOf(photo));
    store();
    show(photos[current].decision === "undecided" ? current : nextUndecided() ?? current);
    say(`Loaded ${file.name}: ${known.length} of its ${decisions.size} photos are on this page.`);
  }

  const ACTIONS = {
    previous: () => show(current - 1),
    next: () => show(current + 1),
    undecided: () => show(nextUndecided() ?? current),
    save,
    load: () => find("#file").click(),
  };
  document.addEventListener("click", ({ target }) => {
    const { decide: decision, desk: action, photo } = target.closest("button")?.dataset ?? {};
    if (decision) decide(decision);
    if (action) ACTIONS[action]();
    if (photo) show(Number(photo));
  });
  find("#file").addEventListener("change", async ({ target }) => {
    if (target.files.length) await load(target.files[0]);
    target.value = ""; // so that the same file can be loaded again
  });
  // before the viewer gets them: its arrow keys scroll from photo to photo, and only one is shown here
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || target.closest(".scroll")) return;
    const step = target.matches("input") ? undefined : { ArrowLeft: -1, ArrowRight: 1 }[key];
    const decision = KEYS[key];
    if (!step && !decision) return;
    event.preventDefault();
    event.stopPropagation();
    if (step) show(current + step);
    else if (!event.repeat) decide(decision);
  }, true);

  const kept = readStore();
  for (const photo of photos) photo.decision = kept[idOf(photo)] in SIGNS ? kept[idOf(photo)] : photo.decision;
  current = photos.findIndex(({ decision }) => decision === "undecided");
  show(current);
  document.documentElement.classList.add("desk-ready");
});
