"use strict";
// The report's page: the table with its filter, and the allele that is chosen in it.
(() => {
  const {known, figure, signed, probability, nameOf, parseFilter, motifsOf, change, glance, reason, sureness, sentence} = varscore.words;
  const $ = id => document.getElementById(id);
  const FIRST = 10, FEW = 20;  // alleles at a glance: so many, or all where there are few
  const address = row => [row.chrom, row.pos, row.ref, row.alt].map(encodeURIComponent).join(":");

  function element(name, text, attributes = {}) {
    const made = document.createElement(name);
    if (text !== undefined && text !== null) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  // -- colours --------------------------------------------------------------------------------------------------------

  const colour = varscore.colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
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

  // The effects of an allele in all tasks. Of many alleles only the largest travel: the others are unknown.
  function effectsOf({data, arrays}) {
    if (!arrays.diff) return () => null;
    const names = data.tasks.map(task => task[0]), cells = data.tasks.map(task => task[1]), marks = data.tasks.map(task => task[2]);
    const columns = names.map((_, t) => t), width = arrays.diff.shape[1], kept = arrays.kept;
    const part = (array, i) => {
      const own = array?.values.subarray(i * width, (i + 1) * width);
      if (!own || !kept) return own;
      const all = new Float32Array(columns.length).fill(NaN), at = kept.values.subarray(i * width, (i + 1) * width);
      own.forEach((value, k) => { all[at[k]] = value; });
      return all;
    };
    return i => ({
      columns, names, cells, marks, diff: part(arrays.diff, i), ref: part(arrays.ref, i), e: part(arrays.e, i),
      closes: data.rows.closes?.[i] ?? 0, opens: data.rows.opens?.[i] ?? 0,
    });
  }

  // `HeLa-S3 CTCF` of `127:HeLa-S3_CTCF`, where the tasks are on the page.
  function taskNames(data) {
    const found = new Map(data.tasks.map(([label, cell, mark]) => {
      const [index, ...name] = label.split(":");
      return [index, name.join(":") === cell ? cell : `${cell} ${mark}`];
    }));
    return text => found.get(String(text ?? "").split(":")[0]) ?? text ?? "";
  }

  varscore.start(page => {
    const {data, model} = page, rows = rowsOf(data), effects = effectsOf(page), taskName = taskNames(data);
    const about = {kind: data.kind, openable: data.openable, background: data.background, cutoffs: data.cutoffs, taskName};
    if (!rows.length) return;
    const where = new Map(rows.map(row => [address(row), row.row]));
    const table = model("alleles"), source = table.source, view = () => Bokeh.index.find_one(table)?.data;
    const state = {shown: -1, visible: rows};
    const names = Object.fromEntries(Object.keys(data.rows).map(key => [key.toLowerCase(), key]));
    for (const [key, tag] of Object.entries(data.tags)) names[tag.toLowerCase()] = key;
    const TASKS = ["task", "e_task", "hap_task", "joint_task"];
    for (const row of rows) row.text += "\n" + TASKS.map(key => row[key] ? taskName(row[key]) : "").join("\n").toLowerCase();

    // -- table
    const keys = ["row", ...data.columns.map(column => column[0])];
    function fill() {
      const columns = {};
      for (const key of keys) columns[key] = state.visible.map(row => TASKS.includes(key) ? taskName(row[key]) : row[key] ?? (isText(key) ? "" : NaN));
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
      $("verdict").textContent = sentence(row, own, about);
      $("places").textContent = place(row);
      figures(row);
      why(row);
      if ($("motifs")) showMotifs(row);
      if ($("sites")) showSites(row);
      if (own) { bars(own, row); heat(own); }
      if (data.logos) logo(page, row);
      if (data.around) tracks(page, row, taskName);
      neighbours(row);
      links(row);
      if (data.igv) varscore.look?.(row); else locus(row);
      mark();
    }

    const siteOf = row => data.logos?.sites[row.row] ?? null;
    function why(row) {
      $("why").textContent = reason({diff: row.diff}, siteOf(row));
      $("sure").textContent = sureness(row, about);
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
        if (["motif", "status"].includes(key) || row[key] === null || row[key] === undefined || row[key] === "") continue;
        const group = element("div"), value = row[key];
        const text = known(value) ? (/diff|logodds/.test(key) ? signed(value) : figure(value)) : TASKS.includes(key) ? taskName(value) : value;
        group.append(element("dt", tag), element("dd", text, /diff$/.test(key) ? {class: value < 0 ? "down" : "up"} : {}));
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

    // Every site of annotate's table: what the motif is, where it stands, how rare it is with either allele.
    function showSites(row) {
      const found = data.sites[row.row], more = data.more_sites[row.row], place = $("sites");
      place.replaceChildren();
      for (const [motif, change, strand, ref, alt, refP, altP] of found) {
        const line = element("tr"), at = change === "gained" ? alt : ref;
        for (const text of [motif, change, at ? `${at.toLocaleString("en")} ${strand}` : "", figure(refP, 2), figure(altP, 2)]) line.append(element("td", text));
        line.children[1].className = {lost: "down", gained: "up"}[change] ?? "";
        place.append(line);
      }
      $("site-table").hidden = !found.length;
      $("no-sites").textContent = found.length ? (more ? `${more} further ones are in annotate's table.` : "") : "None.";
    }

    const value = x => data.kind === "values" ? figure(x) : probability(x);
    const ofTask = (own, t) => ({
      task: own.names[t], cell: own.cells[t], mark: own.marks[t], ref: known(own.ref[t]) ? value(own.ref[t]) : "–",
      alt: known(own.diff[t]) ? value(own.ref[t] + own.diff[t]) : "–", diff: signed(own.diff[t]), e: own.e ? figure(10 ** own.e[t], 2) : "",
    });
    const columnar = (list, keys) => Object.fromEntries(keys.map(key => [key, list.map(one => one[key])]));

    function bars(own, row) {
      const colours = palette(), chart = model("bars").renderers[0].data_source;
      const top = own.columns.filter(t => known(own.diff[t])).sort((a, b) => Math.abs(own.diff[b]) - Math.abs(own.diff[a])).slice(0, 10);
      const most = Math.max(1e-6, ...top.map(t => Math.abs(own.diff[t])));
      const narrow = $("chart-bars").clientWidth < 640;  // no room for the numbers
      const found = top.map((t, i) => ({
        ...ofTask(own, t), y: -i, diff: own.diff[t], color: own.diff[t] < 0 ? colours.down : colours.up,
        text: `${taskName(own.names[t])}${narrow ? "" : `: ${change(own, t, about)}${own.e ? `, E ${figure(10 ** own.e[t], 2)}` : ""}`}`,
        place: own.diff[t] < 0 ? 0.03 * most : -0.03 * most, anchor: own.diff[t] < 0 ? "left" : "right",
      }));
      chart.data = columnar(found, ["y", "diff", "color", "task", "text", "ref", "alt", "e", "place", "anchor"]);
      Object.assign(model("bars-x"), {start: -1.15 * most, end: 1.15 * most});
    }

    function heat(own) {
      const chart = model("heat"), narrow = chart.inner_width || $("chart-heat").clientWidth || 900;
      const across = Math.max(3, Math.floor(narrow / 84)), colours = palette();
      const most = own.diff.reduce((a, b) => known(b) ? Math.max(a, Math.abs(b)) : a, 1e-6);
      const tiles = [], titles = [];
      let y = 0;
      for (const block of data.blocks) {
        titles.push({x: 0.05, y: -y, text: block.title});
        y += 1;
        block.tasks.forEach((t, k) => {
          const share = own.diff[t] / most, fill = Number.isNaN(share) ? colours.paper : tint(share, colours);
          const mark = Math.abs(share) > 0.1 ? (share < 0 ? " −" : " +") : "";
          const label = (block.by === "mark" ? own.marks[t] : block.by === "cell" ? own.cells[t] : taskName(own.names[t]));
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
    if (!data.igv) model("locus-dots").selected.properties.indices.change.connect(() => {
      const chosen = model("locus-dots"), [index] = chosen.selected.indices;
      if (index !== undefined) { const i = chosen.data.row[index]; chosen.selected.indices = []; go(i); }
    });

    // -- the first look
    function standouts() {
      const some = rows.filter(row => known(row.diff)).slice(0, rows.length <= FEW ? FEW : FIRST), place = $("glance");
      if (!some.length) return;
      for (const row of some) {
        const found = glance(row, effects(row.row), about, siteOf(row)), line = element("tr"), name = element("th", null, {scope: "row"});
        name.append(element("a", nameOf(row), {href: "#" + address(row)}));
        if (row.gene) name.append(element("div", row.gene, {class: "note"}));
        const effect = element("td", found.effect, {"data-of": "what", class: found.effect.startsWith("hardly") ? "" : row.diff < 0 ? "down" : "up"});
        line.append(name, effect, element("td", found.cells, {"data-of": "where"}));
        for (const [key, of] of [["why", "why"], ["sure", "how sure"]]) line.append(element("td", found[key] || "–", {"data-of": of}));
        place.querySelector("tbody").append(line);
      }
      place.hidden = false;
    }
    let waiting = 0;
    const again = () => { clearTimeout(waiting); waiting = setTimeout(() => show(state.shown), 150); };
    addEventListener("resize", again);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    fill();
    standouts();
    if (data.igv) startIgv(data, rows, go);
    show(0);
    follow(false);
  });

  // -- what is predicted around an allele -----------------------------------------------------------------------------

  function tracks({data, arrays, model}, row, taskName) {
    const facts = data.around, has = (facts.tasks[row.row] ?? "") !== "";
    $("tracks-place").hidden = !has;
    $("no-tracks").hidden = has;
    $("tracks-title").textContent = has ? `${taskName(facts.tasks[row.row])}, ${facts.flank.toLocaleString("en")} bp on either side: grey is the reference, blue the alternative.` : "";
    if (!has) return;
    const width = arrays.track.shape[2], part = turn => [...arrays.track.values.subarray((2 * row.row + turn) * width, (2 * row.row + turn + 1) * width)];
    const starts = [...arrays.track_start.values.subarray(row.row * (width + 1), (row.row + 1) * (width + 1))], [ref, alt] = [part(0), part(1)];
    const all = [...ref, ...alt].filter(known), low = Math.min(0, ...all), high = Math.max(1e-3, ...all) * 1.08;
    model("tracks").data = {left: starts.slice(0, -1), right: starts.slice(1), middle: starts.slice(0, -1), ref, alt};
    model("tracks-here").data = {low: [low], high: [high]};
    Object.assign(model("tracks-x"), {start: starts[0], end: starts.at(-1)});
    Object.assign(model("tracks-y"), {start: low, end: high});
  }

  // -- igv.js ---------------------------------------------------------------------------------------------------------

  // Everything is inline: a genome of one unknown base with the true lengths, the alleles, the genes. Nothing is fetched.
  async function startIgv(data, rows, go) {
    const inline = (type, text) => `data:${type};base64,${btoa(text)}`, scored = rows.filter(row => known(row.diff));
    const places = row => ({chr: row.chrom, start: row.pos - 1, end: row.pos - 1 + row.ref.length});
    const tracks = [
      {name: "alleles", type: "annotation", displayMode: "SQUISHED", height: 60,
        features: rows.map(row => ({...places(row), name: nameOf(row), row: row.row, color: row.diff < 0 ? "#2166ac" : "#b2182b"}))},
      {name: data.tags.diff, type: "wig", autoscale: true, height: 90, features: scored.map(row => ({...places(row), value: row.diff})), color: "#b2182b", altColor: "#2166ac"},
    ];
    const genes = data.genes.map(([chr, start, end, name, strand]) => ({chr, start, end, name, strand}));
    if (genes.length) tracks.push({name: "genes", type: "annotation", displayMode: "EXPANDED", height: 90, features: genes});
    try {
      const browser = await igv.createBrowser($("igv"), {
        loadDefaultGenomes: false, showCenterGuide: true, locus: `${rows[0].chrom}:${Math.max(1, rows[0].pos - 500)}-${rows[0].pos + 500}`,
        reference: {id: "file", name: "the file's genome", indexed: false, tracks: [],
          fastaURL: inline("text/plain", `>${data.igv[0][0]}\nN\n`),
          chromSizesURL: inline("text/plain", data.igv.map(([name, length]) => `${name}\t${length}\n`).join(""))},
        tracks,
      });
      browser.on("trackclick", (track, popover) => {
        const name = (popover ?? []).find(one => one.name?.toLowerCase() === "name")?.value, found = rows.find(row => nameOf(row) === name);
        if (found) go(found.row);
      });
      varscore.look = row => browser.search(`${row.chrom}:${Math.max(1, row.pos - 500)}-${row.pos + 500}`);
      document.documentElement.dataset.igv = "yes";
    } catch (error) {
      $("igv").textContent = `igv.js did not start: ${error}`;
      document.documentElement.dataset.igv = "no";
    }
  }

  // -- logos ----------------------------------------------------------------------------------------------------------

  function logo({data, arrays, model}, row) {
    const facts = data.logos, has = row.row < facts.tasks.length && facts.tasks[row.row] !== "";
    $("logo-place").hidden = !has;
    $("no-logo").hidden = has;
    $("logo-title").textContent = has ? `${facts.tasks[row.row].replace(/^\d+:/, "").replaceAll("|", " ")}: each base by ${facts.method}${facts.unit ? `, in ${facts.unit}` : ""}.` : "";
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
    model("logo-sites").data = sitesOn(data, row, facts, last);
  }

  // Binding sites of annotate's table as bars over the bases they stand on: lost ones on REF, gained ones on ALT.
  function sitesOn(data, row, facts, last) {
    const bars = {x0: [], x1: [], y: [], text: [], color: []}, start = facts.starts[row.row], sizes = facts.sizes[row.row];
    const longer = Math.max(...sizes), lanes = [0, 0];
    for (const [motif, change, strand, ref, alt, , , width] of data.sites?.[row.row] ?? []) {
      const turn = change === "gained" ? 1 : 0, at = (turn ? alt : ref) - start, column = base => base < sizes[turn] ? base : base + longer - sizes[turn];
      if (!width || at < -facts.flank || at + width > last || lanes[turn] > 1) continue;
      const y = [1.02, -0.88][turn] - 0.2 * lanes[turn]++;
      bars.x0.push(column(at)); bars.x1.push(column(at + width - 1) + 1); bars.y.push(y);
      bars.text.push(`${motif} ${change} ${strand}`);
      bars.color.push(varscore.colour(change === "gained" ? "up" : "down"));
    }
    return bars;
  }
})();
