"use strict";
// The frame of a page: unpacks its data, shows its charts, and dresses these in the colours of the page.
// A page's own script calls varscore.start(run); run is given {data, arrays, model} once all is there:
// data: the page's JSON; arrays[name]: {values: a typed array, shape}; model(name): a Bokeh model of that name.
const varscore = (() => {
  const TYPES = {
    float16: Uint16Array, float32: Float32Array, int8: Int8Array, uint8: Uint8Array,
    int16: Int16Array, uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array,
  };
  const starters = [];
  const json = id => JSON.parse(document.getElementById(id).textContent);

  async function inflate(base64) {
    const bytes = Uint8Array.from(atob(base64), c => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  }

  // The number that 16 bits stand for (IEEE 754 half precision).
  function half(bits) {
    const sign = bits >> 15 ? -1 : 1, exponent = (bits >> 10) & 31, rest = bits & 1023;
    if (exponent === 31) return rest ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + rest / 1024) : 2 ** -14 * rest / 1024);
  }

  async function unpack(packed) {
    const arrays = {};
    for (const [name, {type, shape, deflated}] of Object.entries(packed)) {
      const raw = new TYPES[type](await inflate(deflated));
      arrays[name] = {values: type === "float16" ? Float32Array.from(raw, half) : raw, shape};
    }
    return arrays;
  }

  async function loadLibrary() {
    for (const holder of document.querySelectorAll("script.page-library")) {
      const script = document.createElement("script");
      script.textContent = new TextDecoder().decode(await inflate(holder.textContent));
      document.head.append(script);
      holder.remove();
    }
  }

  async function showCharts() {
    const charts = json("page-charts");
    if (charts === null) return null;
    const places = Object.fromEntries(Object.entries(charts.roots).map(([root, id]) => [root, id]));
    const item = {docid: "page", roots: places, root_ids: Object.keys(places)};
    await Bokeh.embed.embed_items({page: charts.document}, [item]);
    return Bokeh.documents[0];
  }

  // Charts are drawn on canvases, which know nothing of the page's style sheet.
  function dress(shown) {
    if (!shown) return;
    const style = getComputedStyle(document.documentElement), colour = name => style.getPropertyValue(`--${name}`).trim();
    const ink = colour("ink"), faint = colour("faint"), line = colour("line"), paper = colour("paper");
    const clothes = {
      Figure: {background_fill_color: paper, border_fill_color: paper, outline_line_color: line},
      Title: {text_color: ink}, Grid: {grid_line_color: line, grid_line_alpha: 0.6},
      Legend: {background_fill_color: paper, border_line_color: line, label_text_color: ink},
      ColorBar: {background_fill_color: paper, major_label_text_color: faint, title_text_color: faint},
    };
    const axis = {
      axis_label_text_color: faint, major_label_text_color: faint, axis_line_color: line, major_tick_line_color: line,
      minor_tick_line_color: null,
    };
    for (const model of shown._all_models.values()) {
      const type = model.type ?? "";
      if (clothes[type]) model.setv(clothes[type]);
      else if (type.endsWith("Axis")) model.setv(axis);
      const tags = model.tags ?? [];
      for (const tag of tags) {  // "line_color=ink": a property that follows the page's colours
        const [property, name] = String(tag).split("=");
        if (!name || !(property in model.properties)) continue;
        const isSpec = typeof model[property] === "object" && model[property] !== null;  // of a glyph, by column or value
        model.setv({[property]: isSpec ? {value: colour(name)} : colour(name)});
      }
    }
  }

  // Canvases keep the width they have on the screen: on paper they are shrunk to it.
  const PAPER = 700;
  function fitToPaper() {
    const widest = Math.max(PAPER, ...[...document.querySelectorAll(".chart")].map(chart => chart.clientWidth));
    document.documentElement.style.setProperty("--shrink", String(PAPER / widest));
  }

  function trouble(error) {
    const place = document.getElementById("trouble");
    place.textContent = typeof DecompressionStream === "undefined"
      ? "This browser is too old for the page: it takes Chrome 80, Firefox 113, Safari 16.4 or later."
      : `The page could not be built: ${error}`;
    place.hidden = false;
  }

  async function run() {
    try {
      const data = json("page-data"), arrays = await unpack(json("page-arrays"));
      await loadLibrary();
      const shown = await showCharts();
      dress(shown);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dress(shown));
      matchMedia("print").addEventListener("change", () => dress(shown));
      const model = name => shown.get_model_by_name(name);
      fitToPaper();
      addEventListener("resize", fitToPaper);
      for (const start of starters) await start({data, arrays, model});
      document.documentElement.dataset.ready = "yes";
      performance.mark("varscore-ready");
    } catch (error) {
      trouble(error);
      throw error;
    }
  }

  if (typeof document !== "undefined") document.addEventListener("DOMContentLoaded", run);
  return {start: starter => starters.push(starter), half};
})();
