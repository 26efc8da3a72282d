"use strict";
// One player per clip. Layers of the data are embedded images; other layers are computed here from their pixels.
const DATA = JSON.parse(document.getElementById("data").textContent);
const SECONDS_A_FRAME = 0.1;
const TILE = 8, SQUARES = [153, 204];  // px; grey levels of the checkerboard
const TINT = [255, 48, 96];            // of the unknown band, blended half and half with the composite
const UNKNOWN = 128, GAIN = 4;         // level of a trimap; factor of the difference
const CACHED = 6;                      // maximum number of computed layers that a player keeps

function loaded(uri) {
  const image = new Image();
  image.src = uri;
  return image.decode().then(() => image);
}

function blank(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

/** The images of one clip, decoded on first use, and the layers computed from them. */
class Layers {
  constructor(clip) {
    this.clip = clip;
    this.images = new Map();
    this.made = new Map();
  }

  picture(layer, index) {
    return layer in MADE ? this.computed(layer, index) : this.image(layer, index);
  }

  image(layer, index) {
    const key = `${layer} ${index}`;
    if (!this.images.has(key)) this.images.set(key, loaded(this.clip.layers[layer][index]));
    return this.images.get(key);
  }

  async pixels(layer, index) {
    const { width, height } = this.clip;
    const context = blank(width, height).getContext("2d", { willReadFrequently: true });
    context.drawImage(await this.image(layer, index), 0, 0);
    return context.getImageData(0, 0, width, height);
  }

  computed(layer, index) {
    const key = `${layer} ${index}`;
    if (!this.made.has(key)) {
      if (this.made.size >= CACHED) this.made.delete(this.made.keys().next().value);
      this.made.set(key, this.compute(layer, index));
    }
    return this.made.get(key);
  }

  async compute(layer, index) {
    const canvas = blank(this.clip.width, this.clip.height);
    const pixels = await MADE[layer](this, index);
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return canvas;
  }
}

const MADE = {
  /** alpha/255 * colour + (1 - alpha/255) * square */
  async checkerboard(layers, index) {
    const colours = "foreground" in layers.clip.layers ? "foreground" : "frames";
    const [alpha, image] = await Promise.all([layers.pixels("alpha", index), layers.pixels(colours, index)]);
    const { data, width } = image;
    for (let at = 0; at < data.length; at += 4) {
      const row = Math.floor(at / 4 / width), column = (at / 4) % width;
      const square = SQUARES[(Math.floor(row / TILE) + Math.floor(column / TILE)) % 2];
      const share = alpha.data[at] / 255;
      for (let c = at; c < at + 3; c++) data[c] = Math.round(share * data[c] + (1 - share) * square);
    }
    return image;
  },

  /** The composite, blended with the tint where the trimap is unknown. */
  async unknown(layers, index) {
    const [trimap, image] = await Promise.all([layers.pixels("trimap", index), layers.pixels("frames", index)]);
    for (let at = 0; at < image.data.length; at += 4) {
      if (trimap.data[at] !== UNKNOWN) continue;
      for (let c = 0; c < 3; c++) image.data[at + c] = Math.round((image.data[at + c] + TINT[c]) / 2);
    }
    return image;
  },

  /** Absolute difference from the previous frame (for the first frame: from the next one), times GAIN. */
  async difference(layers, index) {
    const other = index ? index - 1 : Math.min(1, layers.clip.frames - 1);
    const [before, image] = await Promise.all([layers.pixels("frames", other), layers.pixels("frames", index)]);
    for (let at = 0; at < image.data.length; at += 4) {
      for (let c = at; c < at + 3; c++) image.data[c] = GAIN * Math.abs(image.data[c] - before.data[c]);
    }
    return image;
  },
};

class Player {
  constructor(root) {
    this.clip = DATA.clips[Number(root.dataset.clip)];
    this.layers = new Layers(this.clip);
    this.article = root.closest("article");
    this.parts = Object.fromEntries(
      ["stage", "divider", "previous", "play", "next", "scrubber", "count", "left-layer", "right-layer", "split"]
        .map((name) => [name, root.querySelector(`.${name}`)]));
    this.canvas = root.querySelector("canvas");
    this.tags = [root.querySelector(".tag.left"), root.querySelector(".tag.right")];
    this.marks = [...this.article.querySelectorAll(".now")];
    this.index = 0;
    this.left = this.clip.order[0];
    this.right = this.clip.order.includes("alpha") && this.left !== "alpha" ? "alpha" : "";
    this.share = 0.5;
    this.request = null;
    this.fit();
    this.fill();
    this.listen(root);
    this.show();
  }

  fit() {  // at most twice the size of the image, and at most 75 % of the window's height
    const { width, height } = this.clip, { style } = this.parts.stage;
    style.maxWidth = `min(${2 * width}px, ${(75 * width / height).toFixed(2)}vh)`;
    this.canvas.style.imageRendering = width < 200 ? "pixelated" : "auto";
  }

  fill() {
    const options = this.clip.order.map((layer) => new Option(DATA.layers[layer].name, layer));
    this.parts["left-layer"].append(...options);
    this.parts["right-layer"].append(new Option("nothing", ""), ...options.map((option) => option.cloneNode(true)));
  }

  listen(root) {
    const { stage, previous, play, next, scrubber, split } = this.parts;
    previous.addEventListener("click", () => this.step(-1));
    next.addEventListener("click", () => this.step(1));
    play.addEventListener("click", () => this.toggle());
    scrubber.addEventListener("input", () => this.go(Number(scrubber.value)));
    split.addEventListener("input", () => this.divide(Number(split.value) / 100));
    this.parts["left-layer"].addEventListener("change", (event) => this.choose(event.target.value, this.right));
    this.parts["right-layer"].addEventListener("change", (event) => this.choose(this.left, event.target.value));
    stage.addEventListener("pointerdown", (event) => {
      stage.setPointerCapture(event.pointerId);  // the divider follows the pointer outside the image, too
      this.drag(event);
    });
    stage.addEventListener("pointermove", (event) => event.buttons && this.drag(event));
    root.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("select")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const isRange = event.target.matches("input");
    if (isRange && ["ArrowLeft", "ArrowRight", "Home", "End"].includes(key)) return;  // these keys move the slider
    if (event.target.closest("button") && key === " ") return;  // this key presses the button
    const layer = this.clip.order[Number(key) - 1];
    const action = layer ? () => this.choose(layer, this.right) : this.actions()[key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  actions() {
    return {
      " ": () => this.toggle(),
      k: () => this.toggle(),
      ArrowLeft: () => this.step(-1),
      ArrowRight: () => this.step(1),
      Home: () => this.go(0),
      End: () => this.go(this.clip.frames - 1),
      c: () => this.choose(this.left, this.after(this.right)),
      x: () => this.right && this.choose(this.right, this.left),
      "[": () => this.divide(this.share - 0.05),
      "]": () => this.divide(this.share + 0.05),
    };
  }

  after(layer) {  // "" (no layer) follows the last one
    const { order } = this.clip;
    return order[order.indexOf(layer) + 1] || "";
  }

  step(by) {
    this.pause();
    this.go((this.index + by + this.clip.frames) % this.clip.frames);
  }

  go(index) {
    this.index = index;
    return this.show();
  }

  choose(left, right) {
    [this.left, this.right] = [left, right];
    return this.show();
  }

  divide(share) {
    this.share = Math.min(1, Math.max(0, share));
    return this.show();
  }

  drag(event) {
    if (!this.right) return;
    const box = this.parts.stage.getBoundingClientRect();
    this.divide((event.clientX - box.left) / box.width);
  }

  toggle() {
    return this.request === null ? this.play() : this.pause();
  }

  play() {
    let last = performance.now(), isDrawing = false;
    const tick = (now) => {
      this.request = requestAnimationFrame(tick);
      if (isDrawing || now - last < 1000 * SECONDS_A_FRAME) return;
      last = now;
      isDrawing = true;
      this.go((this.index + 1) % this.clip.frames).finally(() => { isDrawing = false; });
    };
    this.request = requestAnimationFrame(tick);
    this.showPlaying(true);
  }

  pause() {
    if (this.request === null) return;
    cancelAnimationFrame(this.request);
    this.request = null;
    this.showPlaying(false);
  }

  showPlaying(isPlaying) {
    this.parts.play.textContent = isPlaying ? "\u275A\u275A" : "\u25B6";
    this.parts.play.setAttribute("aria-label", isPlaying ? "Pause" : "Play");
    this.parts.count.setAttribute("aria-live", isPlaying ? "off" : "polite");
  }

  /** Draw and describe the selected layers; a draw that is overtaken by a later one is dropped. */
  async show() {
    const state = { index: this.index, left: this.left, right: this.right, share: this.share };
    this.wanted = state;
    this.describe(state);
    const [left, right] = await Promise.all(
      [state.left, state.right].map((layer) => layer && this.layers.picture(layer, state.index)));
    if (this.wanted !== state) return;
    const { width, height } = this.clip, context = this.canvas.getContext("2d");
    context.drawImage(left, 0, 0);
    const from = Math.round(state.share * width);
    if (right && from < width) context.drawImage(right, from, 0, width - from, height, from, 0, width - from, height);
    this.canvas.dataset.drawn = [state.index, state.left, state.right, Math.round(100 * state.share)].join(" ");
  }

  describe({ index, left, right, share }) {
    const { stage, scrubber, count, split, divider } = this.parts, { frames } = this.clip;
    const names = [left, right].map((layer) => layer && DATA.layers[layer].name);
    scrubber.value = index;
    scrubber.setAttribute("aria-valuetext", `frame ${index + 1} of ${frames}`);
    count.textContent = `${index + 1} / ${frames}`;
    this.parts["left-layer"].value = left;
    this.parts["right-layer"].value = right;
    split.disabled = !right;
    split.value = Math.round(100 * share);
    split.setAttribute("aria-valuetext", right ? `${split.value} % ${names[0]}, the rest ${names[1]}` : "nothing to compare");
    stage.classList.toggle("compares", Boolean(right));
    divider.hidden = !right;
    divider.style.left = `${100 * share}%`;
    this.tags.forEach((tag, side) => { tag.textContent = names[side]; tag.hidden = !names[side]; });
    const shown = right ? `left of the divider ${names[0]}, right of it ${names[1]}` : names[0];
    this.canvas.setAttribute("aria-label", `${this.clip.id}, frame ${index + 1} of ${frames}: ${shown}`);
    for (const mark of this.marks) {
      const x = Number(mark.dataset.from) + index * Number(mark.dataset.step);
      mark.setAttribute("x1", x);
      mark.setAttribute("x2", x);
    }
  }
}

/** Create a player when it comes near the visible part of the page, so that its images are decoded only then. */
const nearby = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    nearby.unobserve(target);
    new Player(target);
  }
}, { rootMargin: "600px" });
document.querySelectorAll(".player").forEach((root) => nearby.observe(root));
