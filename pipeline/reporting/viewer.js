/* Compares versions of photos: curtain slider, flicker, and zoom of both versions in step.
   Everything is in the page already, and CSS alone shows both versions; a photo gets its listeners when it comes near
   the viewport, so that a page of hundreds of photos opens at once. */
"use strict";
(() => {
  const CRISP_ZOOMS = [1, 2, 4, 8];
  const HOLD_MS = 300; // a key or button that is down for longer is held, otherwise it toggles
  const GRAB_PX = 24; // how near to the curtain a drag moves it in a zoomed photo, instead of the photo
  const PAN_SHARE = 0.4; // of half the stage, that an arrow key moves a zoomed photo by
  const near = new Set(); // figures near the viewport
  let labelOfAll = null; // of the slider for all photos

  document.documentElement.classList.add("js");
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const onScreenPixel = (value) => Math.round(value * devicePixelRatio) / devicePixelRatio;
  /** The side of an image pixel at zoom 1 in CSS pixels: a whole number of screen pixels, hence crisp. */
  const pixelSide = () => Math.max(1, Math.round(devicePixelRatio)) / devicePixelRatio;

  class Viewer {
    curtain = 50; // percent of the width that show the version before
    flicker = null; // instead of the curtain: 100 shows the version before in full, 0 the one after
    view = null; // {zoom, left, top} of the photo in the stage in CSS pixels; null: the photo fits the stage
    pointers = new Map(); // id → position of what touches the stage
    image = (side) => this.stage.querySelector(`[data-side=${side}] img`);

    constructor(figure) {
      const control = (action) => figure.querySelector(`[data-action=${action}]`);
      Object.assign(this, { figure, stage: figure.querySelector(".stage"), range: control("curtain") });
      this.shown = { before: Number(figure.dataset.before), after: Number(figure.dataset.after) };
      this.versions = [...figure.querySelectorAll(".version")].map(({ dataset }) => ({ ...dataset }));
      for (const [side, index] of Object.entries(this.shown)) this.versions[index].source = this.image(side).src;
      figure.classList.add("ready");
      figure.addEventListener("input", ({ target }) => {
        if (target === this.range) this.moveCurtain(Number(target.value));
        if (target.dataset.side) this.show(target.dataset.side, Number(target.value));
      });
      figure.addEventListener("click", (event) => this.click(event));
      this.flickerButton = control("flicker");
      this.flickerButton.addEventListener("pointerdown", (event) => {
        this.flickerButton.setPointerCapture(event.pointerId); // so that it is released wherever the pointer is by then
        this.press(event);
      });
      this.flickerButton.addEventListener("pointerup", (event) => this.release(event));
      control("full-screen").hidden = !document.fullscreenEnabled;
      new ResizeObserver(() => this.zoomTo(this.view?.zoom ?? 0)).observe(this.stage);
      this.stage.addEventListener("pointerdown", (event) => this.pointerDown(event));
      this.stage.addEventListener("pointermove", (event) => this.pointerMove(event));
      this.stage.addEventListener("lostpointercapture", (event) => this.pointers.delete(event.pointerId));
      this.stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    }

    /** Shows another version; the old one stays until the new one is decoded. */
    async show(side, index) {
      this.shown[side] = index;
      const { label, source } = this.versions[index];
      const alt = `${label}: ${this.figure.querySelector("figcaption b").textContent}`;
      const image = Object.assign(new Image(), { src: source, alt, draggable: false });
      await image.decode().catch(() => {});
      if (this.shown[side] !== index) return; // another one is wanted by now
      this.image(side).replaceWith(image);
      image.nextElementSibling.textContent = label;
      for (const select of this.figure.querySelectorAll(`select[data-side=${side}]`)) select.value = index;
    }
    showLabelOfAll() {
      const index = this.versions.findIndex(({ label }) => label === labelOfAll);
      if (index >= 0 && index !== this.shown.after) this.show("after", index);
    }

    moveCurtain(percent) {
      this.curtain = clamp(percent, 0, 100);
      this.setFlicker(null);
    }
    setFlicker(flicker) {
      this.flicker = flicker;
      this.render();
    }
    press({ timeStamp }) {
      Object.assign(this, { beforePress: this.flicker, pressedAt: timeStamp });
      this.setFlicker(this.flicker === 100 ? 0 : 100);
    }
    release({ timeStamp }) {
      if (timeStamp - this.pressedAt > HOLD_MS) this.setFlicker(this.beforePress);
    }
    get fitZoom() { return this.stage.clientWidth / (this.figure.dataset.width * pixelSide()); }
    get zoom() { return this.view ? this.view.zoom : this.fitZoom; }
    get centre() { return { x: this.stage.clientWidth / 2, y: this.stage.clientHeight / 2 }; }
    /** The point of the photo, in its pixels, at a position in the stage. */
    pointAt({ x, y }) {
      const scale = this.zoom * pixelSide();
      return { x: (x - (this.view?.left ?? 0)) / scale, y: (y - (this.view?.top ?? 0)) / scale };
    }

    /** Zooms, and puts a point of the photo at a position in the stage as far as no edge comes into view. */
    zoomTo(zoom, position = this.centre, point = this.pointAt(position)) {
      const { width, height } = this.figure.dataset;
      const limited = Math.min(zoom, Math.max(CRISP_ZOOMS.at(-1), 2 * this.fitZoom));
      const scale = limited * pixelSide();
      const place = (at, of, size, side) => onScreenPixel(clamp(at - of * scale, Math.min(0, side - size * scale), 0));
      this.view = limited <= this.fitZoom * 1.001 ? null : {
        zoom: limited,
        left: place(position.x, point.x, width, this.stage.clientWidth),
        top: place(position.y, point.y, height, this.stage.clientHeight),
      };
      this.render();
    }
    /** Zooms to the next crisp step. */
    step(direction) {
      const steps = direction > 0 ? CRISP_ZOOMS : [0, ...CRISP_ZOOMS].reverse();
      this.zoomTo(steps.find((step) => direction * (step - this.zoom) > 0.01) ?? this.zoom);
    }
    pan(x, y) {
      const moved = { x: this.centre.x * (1 + PAN_SHARE * x), y: this.centre.y * (1 + PAN_SHARE * y) };
      this.zoomTo(this.zoom, this.centre, this.pointAt(moved));
    }

    render() {
      const { figure, stage, view } = this;
      stage.style.setProperty("--curtain", this.flicker ?? this.curtain);
      this.range.value = this.curtain;
      figure.classList.toggle("flickering", this.flicker !== null);
      this.flickerButton.setAttribute("aria-pressed", this.flicker !== null);
      figure.classList.toggle("zoomed", view !== null);
      figure.classList.toggle("crisp", view !== null && (view.zoom >= 2 || view.zoom === 1));
      figure.querySelector("output").textContent = view ? `${Math.round(100 * view.zoom)} %` : "fit";
      stage.style.setProperty("--scale", this.zoom * pixelSide());
      for (const name of ["left", "top"]) stage.style.setProperty(`--${name}`, `${view?.[name] ?? 0}px`);
    }

    click(event) {
      const { action, zoom, x, y, mark } = event.target.dataset;
      if (action === "flicker" && event.detail === 0) this.press(event); // a click of the keyboard; it ends at once
      if (action === "in" || action === "out") this.step(action === "in" ? 1 : -1);
      if (action === "fit") this.zoomTo(0);
      if (action === "zoom") this.zoomTo(Number(zoom));
      if (action === "mark") this.zoomTo(2, this.centre, { x: Number(x), y: Number(y) });
      if (mark) this.figure.querySelectorAll("[data-action=mark]")[mark].click();
      if (action !== "full-screen") return;
      if (document.fullscreenElement) document.exitFullscreen();
      else this.figure.requestFullscreen();
    }
    positionOf({ clientX, clientY }) {
      const { left, top } = this.stage.getBoundingClientRect();
      return { x: clientX - left, y: clientY - top };
    }

    /** The middle of two fingers, and their distance. */
    get fingers() {
      const [first, second] = this.pointers.values();
      const middle = { x: (first.x + second.x) / 2, y: (first.y + second.y) / 2 };
      return { middle, distance: Math.hypot(first.x - second.x, first.y - second.y) };
    }

    pointerDown(event) {
      if (event.button || event.target.dataset.mark) return;
      const position = this.positionOf(event);
      this.pointers.set(event.pointerId, position);
      this.stage.setPointerCapture(event.pointerId);
      const { clientWidth } = this.stage;
      this.movesCurtain = !this.view || Math.abs(position.x - (this.curtain / 100) * clientWidth) < GRAB_PX;
      if (this.pointers.size === 2) {
        const { middle, distance } = this.fingers;
        this.pinch = { zoom: this.zoom, distance, point: this.pointAt(middle) };
      } else if (this.movesCurtain && event.pointerType === "mouse") this.moveCurtain((100 * position.x) / clientWidth);
    }

    pointerMove(event) {
      const previous = this.pointers.get(event.pointerId);
      if (!previous) return;
      const position = this.positionOf(event);
      this.pointers.set(event.pointerId, position);
      if (this.pointers.size === 2) {
        const { middle, distance } = this.fingers;
        this.zoomTo((this.pinch.zoom * distance) / this.pinch.distance, middle, this.pinch.point);
      } else if (this.movesCurtain) this.moveCurtain((100 * position.x) / this.stage.clientWidth);
      else this.zoomTo(this.zoom, position, this.pointAt(previous));
    }

    wheel(event) {
      const isMeant = event.ctrlKey || this.figure.contains(document.activeElement);
      if (!isMeant || (event.deltaY > 0 && !this.view)) return; // the page scrolls
      event.preventDefault();
      this.zoomTo(this.zoom * 2 ** clamp(-event.deltaY / 250, -1, 1), this.positionOf(event));
    }
  }

  const viewerOf = (figure) => (figure.viewer ??= new Viewer(figure));
  const isBelowTop = (figure) => figure.getBoundingClientRect().bottom > innerHeight / 4;
  /** The figure with the focus, otherwise the first one that is not above the window. */
  const currentFigure = () =>
    document.activeElement.closest(".viewer") ?? [...document.querySelectorAll(".ready")].find(isBelowTop);

  /** Gives a photo before or after the current one the focus; at first the current one. */
  function goTo(offset) {
    const figures = [...document.querySelectorAll(".viewer")], current = currentFigure();
    const hasFocus = current.contains(document.activeElement);
    const figure = figures[clamp(figures.indexOf(current) + (hasFocus ? offset : 0), 0, figures.length - 1)];
    figure.scrollIntoView({ block: "center" });
    figure.querySelector(".stage").focus({ preventScroll: true });
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  function keyDown(event) {
    const { key, target } = event;
    const figure = currentFigure();
    if (!figure || event.ctrlKey || event.metaKey || event.altKey || target.closest("select, .scroll")) return;
    const viewer = viewerOf(figure);
    const arrow = target.matches("input") ? undefined : ARROWS[key];
    if (arrow && event.shiftKey) viewer.pan(...arrow);
    else if (arrow && arrow[0]) goTo(arrow[0]);
    else if (key.toLowerCase() === "f" && !event.repeat) viewer.press(event);
    else if (key === "Escape") viewer.moveCurtain(viewer.curtain);
    else if ("+=-".includes(key)) viewer.step(key === "-" ? -1 : 1);
    else if ("012".includes(key)) viewer.zoomTo(Number(key));
    else return;
    if (key !== "Escape") event.preventDefault();
  }

  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      near[isIntersecting ? "add" : "delete"](target);
      if (isIntersecting) viewerOf(target).showLabelOfAll();
    }
  }, { rootMargin: "50%" });

  /** Observes what the browser has read of the page so far, so that the first photos work before the last are read. */
  function observe() {
    const isComplete = document.readyState !== "loading";
    for (const figure of document.querySelectorAll(".viewer:not(.observed)")) {
      if (!isComplete && !figure.nextElementSibling) break; // it may be half read
      figure.classList.add("observed");
      observer.observe(figure);
    }
    if (!isComplete) requestAnimationFrame(observe);
  }
  observe();

  document.addEventListener("keydown", keyDown);
  document.addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() === "f" && currentFigure()) viewerOf(currentFigure()).release(event);
  });
  document.addEventListener("input", ({ target: slider }) => {
    if (slider.dataset.action !== "all-photos") return;
    const { label, command } = slider.list.options[slider.value].dataset;
    labelOfAll = label;
    slider.setAttribute("aria-valuetext", label);
    document.querySelector(".all-photos output").textContent = label;
    document.querySelector("#command").textContent = command;
    for (const figure of near) viewerOf(figure).showLabelOfAll();
  });
})();
