"use strict";
// The report's page: the table with its filter, and the allele that is chosen in it.
(() => {
  const $ = id => document.getElementById(id);
  const OPEN = /^(DNase|ATAC|FAIRE)/i, CLEAR = 0.05, SHOWN = 4;

  // -- numbers and words ----------------------------------------------------------------------------------------------

  const known = x => typeof x === "number" && !Number.isNaN(x);
  function figure(x, digits = 3) {
    if (!known(x)) return "–";
    const size = Math.abs(x);
    return size !== 0 && (size < 1e-3 || size >= 1e5) ? x.toExponential(Math.max(0, digits - 2)) : String(+x.toPrecision(digits));
  }
  const signed = x => (x > 0 ? "+" : "") + figure(x);
  const probability = x => x >= 0.01 ? x.toFixed(2) : x >= 0.001 ? x.toFixed(3) : "under 0.001";
  const address = row => [row.chrom, row.pos, row.ref, row.alt].map(encodeURIComponent).join(":");
  const short = allele => allele.length <= 12 ? allele : `${allele.length} bp`;
  const nameOf = row => `${row.chrom}:${row.pos} ${short(row.ref)}>${short(row.alt)}${row.id ? " " + row.id : ""}`;

  function element(name, text, attributes = {}) {
    const made = document.createElement(name);
    if (text !== undefined && text !== null) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  // -- the filter: words that must be found, and comparisons such as diff<-0.1, all of which must hold ----------------

  const COMPARE = {
    "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
    "=": (a, b) => a === b, "==": (a, b) => a === b, "!=": (a, b) => a !== b,
  };
  const ALIASES = {difference: "diff", abs: "abs", "log-odds": "logodds"};

  // A function of a row, or a text that says what is wrong.
  function parseFilter(text, names) {
    const tests = [];
    for (const word of text.match(/"[^"]*"|\S+/g) ?? []) {
      const found = word.match(/^([A-Za-z_][\w-]*)(<=|>=|==|!=|<|>|=)(.*)$/);
      if (!found) {
        const wanted = word.replace(/^"|"$/g, "").toLowerCase();
        tests.push(row => row.text.includes(wanted));
        continue;
      }
      const [, name, sign, value] = found;
      const key = names[name.toLowerCase()] ?? names[ALIASES[name.toLowerCase()]];
      if (key === undefined) return `There is no ${name}; there are ${[...new Set(Object.values(names))].join(", ")}.`;
      const number = Number(value);
      if (value === "") return `${name}${sign} wants a value.`;
      if ("<=>=".includes(sign) && sign !== "=" && sign !== "==" && Number.isNaN(number)) return `${value} is no number.`;
      tests.push(row => {
        const own = row[key];
        if (known(own)) return !Number.isNaN(number) && COMPARE[sign](own, number);
        return typeof own === "string" && own !== "" && sign.length <= 2 && /=/.test(sign) && !/[<>]/.test(sign)
          && COMPARE[sign](own.toLowerCase(), value.toLowerCase());
      });
    }
    return row => tests.every(test => test(row));
  }

  // -- what an allele does, in a sentence -----------------------------------------------------------------------------

  function list(words) {
    return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
  }

  // background: how many common variants E-values are measured against, and the smallest E-value there is
  function sentence(row, effects, background = {}) {
    const motifs = motifWords(row.motif);
    if (!effects) {
      if (!known(row.diff)) return `No score: ${row.status}.`;
      return `${motifs ? motifs + " " : ""}Most changed: ${row.task}, ${signed(row.diff)}.${known(row.e) ? " " + rarity(row, background) : ""}`;
    }
    if (!known(effects.diff[0])) return `No score: ${row.status}.`;
    const open = effects.columns.filter(t => OPEN.test(effects.marks[t]));
    const parts = motifs ? [motifs] : [];
    if (open.length) parts.push(opening(effects, open));
    const others = effects.columns.filter(t => !OPEN.test(effects.marks[t]));
    const strong = others.filter(t => Math.abs(effects.diff[t]) > CLEAR).sort((a, b) => Math.abs(effects.diff[b]) - Math.abs(effects.diff[a]));
    if (strong.length) {
      const words = strong.slice(0, 3).map(t => `${effects.marks[t]} in ${effects.cells[t]} (${change(effects, t)})`);
      if (strong.length > 3) words.push(`${strong.length - 3} more`);
      parts.push(`Other marks that change: ${list(words)}.`);
    }
    if (known(row.e)) parts.push(rarity(row, background));
    return parts.join(" ");
  }

  const change = (effects, t) => `${probability(effects.ref[t])} to ${probability(effects.ref[t] + effects.diff[t])}`;

  function opening(effects, open) {
    const down = open.filter(t => effects.diff[t] < -CLEAR), up = open.filter(t => effects.diff[t] > CLEAR);
    const mark = effects.marks[open[0]].split(" ")[0];
    if (!down.length && !up.length) {
      const most = open.reduce((a, b) => Math.abs(effects.diff[b]) > Math.abs(effects.diff[a]) ? b : a);
      return `Chromatin hardly changes: no cell type's ${mark} by more than ${CLEAR} (most: ${effects.cells[most]}, ${change(effects, most)}).`;
    }
    const side = (tasks, verb, way) => {
      const best = [...tasks].sort((a, b) => Math.abs(effects.diff[b]) - Math.abs(effects.diff[a])).slice(0, SHOWN);
      const words = best.map(t => `${effects.cells[t]} (${change(effects, t)})`);
      const most = tasks.length > words.length ? "most in" : "in";
      return `${verb} chromatin in ${tasks.length} of ${open.length} cell types (probability of ${mark} ${way} by more than ${CLEAR}), ${most} ${list(words)}.`;
    };
    const parts = [];
    if (down.length) parts.push(side(down, "Closes", "down"));
    if (up.length) parts.push(side(up, "Opens", "up"));
    if (up.length > down.length) parts.reverse();
    return parts.join(" ");
  }

  function rarity(row, {n, floor}) {
    const none = n && row.e <= floor * 1.001;
    const share = row.e >= 0.01 ? `${figure(100 * row.e, 2)} %` : `1 in ${Math.round(1 / row.e).toLocaleString("en")}`;
    const said = none ? `none of ${n.toLocaleString("en")} common variants changes it more` : `${share} of common variants change it more`;
    return `Rarest effect: ${row.e_task}${known(row.e_diff) ? ` (${signed(row.e_diff)})` : ""}, E = ${figure(row.e, 2)}: ${said}.`;
  }

  const CHANGES = {"-": "lost", "+": "gained", "~": "changed"};
  function motifsOf(text) {
    return (text ?? "").split("&").filter(one => CHANGES[one[0]]).map(one => ({change: CHANGES[one[0]], sign: one[0], name: one.slice(1)}));
  }
  function motifWords(text) {
    const found = motifsOf(text);
    return Object.values(CHANGES)
      .map(change => [change, found.filter(one => one.change === change).map(one => one.name.replace(/\*$/, ""))])
      .filter(([, names]) => names.length)
      .map(([change, names]) => `Motif ${change}: ${list(names)}.`).join(" ");
  }

  // -- colours --------------------------------------------------------------------------------------------------------

  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const parts = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
  function between(a, b, share) {
    const [from, to] = [parts(a), parts(b)];
    return "#" + from.map((x, i) => Math.round(x + (to[i] - x) * share).toString(16).padStart(2, "0")).join("");
  }
  const tint = (x, palette) => between(palette.paper, x < 0 ? palette.down : palette.up, Math.min(1, Math.abs(x)));
  const palette = () => ({paper: colour("paper"), up: colour("up"), down: colour("down"), ink: colour("ink")});
  function inkOn(hex) {
    const [r, g, b] = parts(hex).map(x => x / 255);
    return 0.299 * r + 0.587 * g + 0.114 * b > 0.55 ? "#111111" : "#ffffff";
  }

  // -- the page -------------------------------------------------------------------------------------------------------

  function rowsOf(data) {
    const keys = Object.keys(data.rows), count = data.rows.pos.length;
    return Array.from({length: count}, (_, i) => {
      const row = {row: i};
      for (const key of keys) row[key] = data.rows[key][i];
      row.text = Object.values(row).filter(x => typeof x === "string").join("\n").toLowerCase();
      return row;
    });
  }

  function effectsOf({data, arrays}) {
    if (!arrays.diff) return () => null;
    const width = arrays.diff.shape[1], columns = Array.from({length: width}, (_, t) => t);
    const names = data.tasks.map(task => task[0]), cells = data.tasks.map(task => task[1]), marks = data.tasks.map(task => task[2]);
    const part = (array, i) => array && array.values.subarray(i * width, (i + 1) * width);
    return i => ({
      columns, names, cells, marks, diff: part(arrays.diff, i), ref: part(arrays.ref, i), e: part(arrays.e, i),
    });
  }

  varscore.start(page => {
    const {data, model} = page, rows = rowsOf(data), effects = effectsOf(page);
    if (!rows.length) return;
    const where = new Map(rows.map(row => [address(row), row.row]));
    const table = model("alleles"), source = table.source, view = () => Bokeh.index.find_one(table)?.data;
    const state = {shown: -1, visible: rows};
    const names = Object.fromEntries(Object.keys(data.rows).map(key => [key.toLowerCase(), key]));
    for (const [key, tag] of Object.entries(data.tags)) names[tag.toLowerCase()] = key;

    // -- table
    const keys = ["row", ...data.columns.map(column => column[0])];
    function fill() {
      const columns = {};
      for (const key of keys) columns[key] = state.visible.map(row => row[key] ?? (key === "row" ? row.row : isText(key) ? "" : NaN));
      source.selected.indices = [];
      source.data = columns;
      const some = state.visible.length === rows.length ? `${rows.length} alleles` : `${state.visible.length} of ${rows.length} alleles`;
      $("count").textContent = some;
    }
    const isText = key => data.columns.find(column => column[0] === key)?.[2] === "text";
    // The rows as the table shows them, sorted by the user.
    const inOrder = () => (view()?.index ?? state.visible.map((_, i) => i)).map(i => state.visible[i]);

    $("filter").addEventListener("input", event => {
      const holds = parseFilter(event.target.value, names);
      const wrong = typeof holds === "string";
      $("filter-trouble").textContent = wrong ? holds : "";
      $("filter-trouble").hidden = !wrong;
      if (wrong) return;
      state.visible = rows.filter(holds);
      fill();
      mark();
    });
    source.selected.properties.indices.change.connect(() => {
      const [index] = source.selected.indices;
      if (index !== undefined && state.visible[index]) go(state.visible[index].row);
    });
    function mark() {
      const index = state.visible.findIndex(row => row.row === state.shown);
      if (index >= 0 && source.selected.indices[0] !== index) source.selected.indices = [index];
    }

    // -- download and copy
    const tabbed = row => exported.map(key => {
      const value = row[key];
      return value === null || value === undefined || value === "" ? "." : String(value).replace(/[\t\r\n]/g, " ");
    }).join("\t");
    const exported = ["chrom", "pos", "id", "ref", "alt", ...Object.keys(data.rows).filter(key =>
      !["chrom", "pos", "id", "ref", "alt", "place", "change"].includes(key))];
    varscore.tsv = () => [exported.join("\t"), ...inOrder().map(tabbed)].join("\n") + "\n";
    $("download").addEventListener("click", () => {
      const link = element("a", "", {download: "varscore.tsv"});
      link.href = URL.createObjectURL(new Blob([varscore.tsv()], {type: "text/tab-separated-values"}));
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
    const copy = text => navigator.clipboard?.writeText(text);
    $("copy").addEventListener("click", () => state.shown >= 0 && copy(tabbed(rows[state.shown])));
    $("link").addEventListener("click", () => copy(location.href));

    // -- which allele
    const go = i => { if (i !== state.shown) location.hash = address(rows[i]); };
    function step(by) {
      const order = inOrder(), at = order.findIndex(row => row.row === state.shown);
      const next = order[Math.min(order.length - 1, Math.max(0, at + by))];
      if (next) go(next.row);
    }
    $("previous").addEventListener("click", () => step(-1));
    $("next").addEventListener("click", () => step(1));
    document.addEventListener("keydown", event => {
      const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
      if (event.key === "/" && !typing) { event.preventDefault(); $("filter").focus(); }
      else if (typing || event.ctrlKey || event.metaKey || event.altKey) { if (event.key === "Enter" && event.target.id === "filter") step(-rows.length); }
      else if (event.key === "ArrowDown") { event.preventDefault(); step(1); }
      else if (event.key === "ArrowUp") { event.preventDefault(); step(-1); }
    });
    addEventListener("hashchange", () => follow(true));
    function follow(scroll) {
      const wanted = where.get(location.hash.slice(1)) ?? where.get(address(parsed(location.hash.slice(1))));
      if (wanted === undefined) return;
      show(wanted);
      if (scroll && document.activeElement?.id !== "filter" && !inSight($("one"))) $("allele").scrollIntoView({block: "nearest"});
    }
    function parsed(text) {
      const [chrom, pos, ref, alt] = text.split(":").map(part => { try { return decodeURIComponent(part); } catch { return part; } });
      return {chrom: chrom ?? "", pos: pos ?? "", ref: ref ?? "", alt: alt ?? ""};
    }
    const inSight = one => one.getBoundingClientRect().top < innerHeight;

    function show(i) {
      state.shown = i;
      const row = rows[i], own = effects(i);
      $("name").textContent = nameOf(row);
      $("rank").textContent = `number ${i + 1} of ${rows.length} by ${data.tags[data.sort]}`;
      $("verdict").textContent = sentence(row, own, data.background);
      $("places").textContent = place(row);
      figures(row);
      if ($("motifs")) showMotifs(row);
      if (own) { bars(own, row); heat(own); }
      if (data.logos) logo(page, row);
      neighbours(row);
      links(row);
      locus(row);
      mark();
    }

    function place(row) {
      if (!row.gene) return "";
      const far = Math.abs(row.tss), side = row.tss < 0 ? "upstream" : "downstream";
      return far === 0 ? `At the start of ${row.gene}.` : `${far.toLocaleString("en")} bp ${side} of the start of ${row.gene}, the nearest gene.`;
    }

    function figures(row) {
      const place = $("figures");
      place.replaceChildren();
      for (const [key, tag] of Object.entries(data.tags)) {
        if (key === "motif" || row[key] === null || row[key] === undefined || row[key] === "") continue;
        const group = element("div"), value = row[key];
        const text = known(value) ? (/diff|logodds/.test(key) ? signed(value) : figure(value)) : value;
        group.append(element("dt", tag), element("dd", text, key === "diff" || key === "e_diff" ? {class: value < 0 ? "down" : "up"} : {}));
        place.append(group);
      }
    }

    function showMotifs(row) {
      const found = motifsOf(row.motif), place = $("motifs");
      place.replaceChildren();
      if (!found.length) place.textContent = "None.";
      for (const one of found) {
        const note = one.name.endsWith("*") ? " (the prediction rests on it)" : "";
        place.append(element("span", `${one.sign === "-" ? "−" : one.sign} ${one.name.replace(/\*$/, "")} ${one.change}${note}`,
          {class: `motif ${{lost: "down", gained: "up"}[one.change] ?? ""}`}));
      }
    }

    const ofTask = (own, t) => ({
      task: own.names[t], cell: own.cells[t], mark: own.marks[t], ref: probability(own.ref[t]),
      alt: probability(own.ref[t] + own.diff[t]), diff: signed(own.diff[t]), e: own.e ? figure(10 ** own.e[t], 2) : "",
    });
    const columnar = (list, keys) => Object.fromEntries(keys.map(key => [key, list.map(one => one[key])]));

    function bars(own, row) {
      const colours = palette(), chart = model("bars").renderers[0].data_source;
      const top = known(own.diff[0]) ? [...own.columns].sort((a, b) => Math.abs(own.diff[b]) - Math.abs(own.diff[a])).slice(0, 10) : [];
      const most = Math.max(1e-6, ...top.map(t => Math.abs(own.diff[t])));
      const narrow = $("chart-bars").clientWidth < 640;  // no room for the numbers
      const found = top.map((t, i) => ({
        ...ofTask(own, t), y: -i, diff: own.diff[t], color: own.diff[t] < 0 ? colours.down : colours.up,
        text: `${own.cells[t]} ${own.marks[t]}${narrow ? "" : `: ${change(own, t)}${own.e ? `, E ${figure(10 ** own.e[t], 2)}` : ""}`}`,
        place: own.diff[t] < 0 ? 0.03 * most : -0.03 * most, anchor: own.diff[t] < 0 ? "left" : "right",
      }));
      chart.data = columnar(found, ["y", "diff", "color", "task", "text", "ref", "alt", "e", "place", "anchor"]);
      Object.assign(model("bars-x"), {start: -1.15 * most, end: 1.15 * most});
    }

    function heat(own) {
      const chart = model("heat"), narrow = chart.inner_width || $("chart-heat").clientWidth || 900;
      const across = Math.max(3, Math.floor(narrow / 84)), colours = palette();
      const most = Math.max(1e-6, ...own.diff.map(Math.abs));
      const tiles = [], titles = [];
      let y = 0;
      for (const block of data.blocks) {
        titles.push({x: 0.05, y: -y, text: block.title});
        y += 1;
        block.tasks.forEach((t, k) => {
          const share = own.diff[t] / most, fill = Number.isNaN(share) ? colours.paper : tint(share, colours);
          const mark = Math.abs(share) > 0.1 ? (share < 0 ? " −" : " +") : "";
          const label = (block.by === "mark" ? own.marks[t] : block.by === "cell" ? own.cells[t] : `${own.cells[t]} ${own.marks[t]}`);
          tiles.push({...ofTask(own, t), x: k % across + 0.5, y: -(y + Math.floor(k / across)), color: fill,
            ink: inkOn(fill), label: (label.length > 12 ? label.slice(0, 11) + "…" : label) + mark});
        });
        y += Math.ceil(block.tasks.length / across) + 0.4;
      }
      model("heat-titles").data = columnar(titles, ["x", "y", "text"]);
      model("heat-tiles").data = columnar(tiles, ["x", "y", "label", "color", "ink", "task", "cell", "mark", "ref", "alt", "diff", "e"]);
      Object.assign(model("heat-x"), {start: 0, end: across});
      Object.assign(model("heat-y"), {start: -y + 0.4, end: 0.7});
      chart.height = Math.ceil(22 * y) + 6;
      $("scale").textContent = `full colour: ${figure(most, 2)}`;
    }

    function neighbours(row) {
      const near = rows.filter(one => one.chrom === row.chrom && one.row !== row.row && Math.abs(one.pos - row.pos) <= 500);
      const place = $("neighbours");
      place.replaceChildren();
      if (!near.length) { place.textContent = "None on this page."; return; }
      for (const one of near.slice(0, 20)) place.append(element("a", nameOf(one), {href: "#" + address(one)}), ` (${one.pos === row.pos ? "same place" : `${one.pos - row.pos > 0 ? "+" : ""}${one.pos - row.pos} bp`}${known(one.diff) ? `, ${signed(one.diff)}` : ""})  `);
      if (near.length > 20) place.append(`and ${near.length - 20} more. `);
      place.append(element("span", "Each was scored apart, as if the other were not there.", {class: "note"}));
    }

    function links(row) {
      $("links").replaceChildren(...data.links.flatMap(([name, pattern]) => {
        const filled = pattern.replace(/\{(\w+)\}/g, (_, key) => encodeURIComponent(row[key] ?? ""));
        return [element("a", name, {href: filled, rel: "noreferrer noopener", target: "_blank"}), " "];
      }));
    }

    function locus(row) {
      const colours = palette(), here = rows.filter(one => one.chrom === row.chrom && known(one.diff));
      model("locus-dots").data = columnar(here.map(one => ({
        x: one.pos, diff: one.diff, zero: 0, color: one.diff < 0 ? colours.down : colours.up, label: nameOf(one), task: one.task, row: one.row,
      })), ["x", "diff", "zero", "color", "label", "task", "row"]);
      model("locus-chosen").data = {x: known(row.diff) ? [row.pos] : [], diff: known(row.diff) ? [row.diff] : []};
      const near = here.filter(one => Math.abs(one.pos - row.pos) < 20000).map(one => one.pos);
      const first = Math.min(row.pos - 200, ...near), last = Math.max(row.pos + 200, ...near), rim = 0.06 * (last - first);
      Object.assign(model("locus-range"), {start: first - rim, end: last + rim});
      model("locus").title.text = `${row.chrom}: ${here.length} alleles`;
      if (model("genes")) genes(row, first - rim, last + rim);
    }

    function genes(row, first, last) {
      const lanes = [], found = [];
      for (const [contig, start, end, name, strand] of data.genes) {
        if (contig !== row.chrom) continue;
        let lane = lanes.findIndex(reach => reach < start - (last - first) / 12);
        if (lane < 0) lane = lanes.length;
        lanes[lane] = end;
        found.push({left: start, right: end, lane: -(lane % 5), name, strand, label: strand === "-" ? `← ${name}` : `${name} →`,
          middle: (Math.max(start, Math.min(first, end)) + Math.min(end, Math.max(last, start))) / 2});
      }
      model("genes-bars").data = columnar(found, ["left", "right", "lane", "name", "strand", "label", "middle"]);
    }
    model("locus-dots").selected.properties.indices.change.connect(() => {
      const chosen = model("locus-dots"), [index] = chosen.selected.indices;
      if (index !== undefined) { const i = chosen.data.row[index]; chosen.selected.indices = []; go(i); }
    });

    // -- the first look
    function standouts() {
      const first = rows.filter(row => known(row.diff)).slice(0, rows.length <= 20 ? 8 : 5), place = $("standouts");
      if (!first.length) return;
      for (const row of first) {
        const item = element("li");
        item.append(element("a", nameOf(row), {href: "#" + address(row)}), ": " + sentence(row, effects(row.row), data.background));
        place.querySelector("ol").append(item);
      }
      place.hidden = false;
    }
    let waiting = 0;
    const again = () => { clearTimeout(waiting); waiting = setTimeout(() => show(state.shown), 150); };
    addEventListener("resize", again);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    fill();
    standouts();
    show(0);
    follow(false);
  });

  // -- logos ----------------------------------------------------------------------------------------------------------

  function logo({data, arrays, model}, row) {
    const facts = data.logos, has = row.row < facts.tasks.length && facts.tasks[row.row] !== "";
    $("logo-place").hidden = !has;
    $("no-logo").hidden = has;
    $("logo-title").textContent = has ? `What the prediction of ${facts.tasks[row.row]} rests on.` : "";
    if (!has) return;
    const width = facts.width, part = (name, turn) => arrays[name].values.subarray((2 * row.row + turn) * width, (2 * row.row + turn + 1) * width);
    const changes = arrays.logo_changed.values.subarray(row.row * width, (row.row + 1) * width), heights = [0, 1].map(turn => part("logo", turn)), bases = [0, 1].map(turn => part("logo_base", turn));
    const shapes = {xs: [], ys: [], color: []};
    const biggest = Math.max(1e-9, ...heights.flatMap(one => [...one].filter(known).map(Math.abs)));
    const letter = (base, x, y, height) => {
      if (base > 3 || !known(height) || Math.abs(height) < 0.006) return;
      const outline = facts.glyphs["ACGT"[base]];
      shapes.xs.push([outline.map(ring => ring.map(([a]) => x + 0.04 + 0.92 * a))]);
      shapes.ys.push([outline.map(ring => ring.map(([, b]) => y + height * b))]);
      shapes.color.push(facts.colours["ACGT"[base]]);
    };
    const middles = [0, -1.9, -3.8], from = -facts.flank;
    let last = 0;
    for (let j = 0; j < width; j++) {
      if (bases[0][j] < 5 || bases[1][j] < 5) last = j + 1;
      for (const turn of [0, 1]) letter(bases[turn][j], j + from, middles[turn], 0.8 * heights[turn][j] / biggest);
      letter(bases[1][j] > 3 ? bases[0][j] : bases[1][j], j + from, middles[2], 0.8 * (heights[1][j] - heights[0][j]) / biggest);
    }
    const ends = {x0: middles.map(() => from), x1: middles.map(() => from + last), y: middles};
    model("logo").data = shapes;
    model("logo-lines").data = ends;
    model("logo-words").data = {x: middles.map(() => from), y: middles.map(y => y + 0.68), text: ["reference", "alternative", "alternative − reference"]};
    const changed = Array.from(changes, (yes, j) => yes ? j + from : NaN).filter(known);
    model("logo-marks").data = {left: changed, right: changed.map(x => x + 1)};
    Object.assign(model("logo-x"), {start: from, end: from + last});
  }

  if (typeof module !== "undefined") module.exports = {parseFilter, figure, sentence, motifWords};
})();
