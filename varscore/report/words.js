"use strict";
// What a report says in words: numbers, the filter of the table, and what an allele does. Nothing here touches the page.
varscore.words = (() => {
  const OPEN = /^(DNase|ATAC|FAIRE)/i, CLEAR = 0.05, SHOWN = 4;

  // -- numbers --------------------------------------------------------------------------------------------------------

  const known = x => typeof x === "number" && !Number.isNaN(x);
  function figure(x, digits = 3) {
    if (!known(x)) return "–";
    const size = Math.abs(x);
    return size !== 0 && (size < 1e-3 || size >= 1e5) ? Number(x.toPrecision(digits)).toExponential() : String(+x.toPrecision(digits));
  }
  const signed = x => (x > 0 ? "+" : "") + figure(x);
  const probability = x => x >= 0.01 ? x.toFixed(2) : x >= 0.001 ? x.toFixed(3) : "under 0.001";
  const short = allele => allele.length <= 12 ? allele : `${allele.length} bp`;
  const nameOf = row => `${row.chrom}:${row.pos} ${short(row.ref)}>${short(row.alt)}${row.id ? " " + row.id : ""}`;
  function list(words) {
    return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
  }

  // -- the filter: words that must be found, and comparisons such as diff<-0.1, all of which must hold ----------------

  const COMPARE = {
    "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
    "=": (a, b) => a === b, "==": (a, b) => a === b, "!=": (a, b) => a !== b,
  };
  const ALIASES = {difference: "diff", "log-odds": "logodds", significance: "sig", closed: "closes", opened: "opens"};

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
      if (/[<>]/.test(sign) && Number.isNaN(number)) return `${value} is no number.`;
      tests.push(row => {
        const own = row[key];
        if (known(own)) return !Number.isNaN(number) && COMPARE[sign](own, number);
        return typeof own === "string" && own !== "" && !/[<>]/.test(sign) && COMPARE[sign](own.toLowerCase(), value.toLowerCase());
      });
    }
    return row => tests.every(test => test(row));
  }

  // -- motifs ---------------------------------------------------------------------------------------------------------

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

  // -- what an allele does --------------------------------------------------------------------------------------------
  // about: {kind, openable, background: {n, floor}, cutoffs: [[rule, common, regulatory]], taskName}
  // effects: {columns, names, cells, marks, ref, diff, e, closes, opens}; null without the tasks

  const bySize = (effects, tasks) => [...tasks].sort((a, b) => Math.abs(effects.diff[b]) - Math.abs(effects.diff[a]));
  const has = effects => effects && effects.columns.some(t => known(effects.diff[t]));
  const amount = (x, about) => about.kind === "values" ? figure(x) : probability(x);
  const change = (effects, t, about = {}) => `${amount(effects.ref[t], about)} to ${amount(effects.ref[t] + effects.diff[t], about)}`;
  const labelOf = (effects, t) => effects.cells[t] === effects.names[t].split(":").slice(1).join(":") ? effects.cells[t] : `${effects.marks[t]} in ${effects.cells[t]}`;
  const cellOf = (effects, t) => effects.cells[t] + (effects.marks[t].match(/ \(([^)]*)\)$/)?.[1].replace(/^/, " ") ?? "");
  const isOpen = (effects, t) => OPEN.test(effects.marks[t]);
  const names = (effects, tasks, about, most, label) => bySize(effects, tasks).slice(0, most).map(t => `${label(t)} (${change(effects, t, about)})`);

  // {effect, cells}: what happens, and where.
  function happens(row, effects, about) {
    if (!has(effects)) return known(row.diff) ? {effect: `${row.diff < 0 ? "lower" : "higher"} by ${figure(Math.abs(row.diff))}`, cells: about.taskName(row.task)} : {effect: `no score: ${row.status}`, cells: ""};
    if (about.kind === "values") return ofValues(effects, about);
    const parts = [], words = [];
    if (about.openable && effects.closes + effects.opens) {
      const open = effects.columns.filter(t => isOpen(effects, t));
      for (const [verb, count, sign] of [["closes", effects.closes, -1], ["opens", effects.opens, 1]]) {
        if (!count) continue;
        parts.push([count, verb]);
        const some = names(effects, open.filter(t => sign * effects.diff[t] > CLEAR), about, 3, t => cellOf(effects, t));
        words.push([count, `${parts.length > 1 || effects.closes * effects.opens ? verb + " in " : ""}${count} of ${about.openable} cell types: ${list(some)}`]);
      }
    }
    const first = pairs => pairs.sort((a, b) => b[0] - a[0]).map(pair => pair[1]);
    const cells = first(words), [verb, other] = first(parts);
    const effect = verb ? [`${verb} chromatin${other ? `, ${other} it in ${Math.min(effects.closes, effects.opens)}` : ""}`] : [];
    const others = effects.columns.filter(t => Math.abs(effects.diff[t]) > CLEAR && !(about.openable && isOpen(effects, t)));
    if (others.length) {
      const best = bySize(effects, others)[0], falls = effects.diff[best] < 0;
      if (!effect.length) effect.push(`${falls ? "less" : "more"} ${about.openable ? effects.marks[best] : "likely"}`);
      cells.push(`${list(names(effects, others, about, 2, t => labelOf(effects, t)))}${others.length > 2 ? ` and ${others.length - 2} more` : ""}`);
    }
    if (effect.length) return {effect: effect.join(", "), cells: cells.join("; ")};
    const most = bySize(effects, effects.columns.filter(t => known(effects.diff[t])))[0];
    return {effect: "hardly changes", cells: `most: ${labelOf(effects, most)} (${change(effects, most, about)})`};
  }

  function ofValues(effects, about) {
    const tasks = effects.columns.filter(t => known(effects.diff[t]));
    const down = tasks.filter(t => effects.diff[t] < 0).length, best = bySize(effects, tasks)[0];
    const lower = effects.diff[best] < 0, same = lower ? down : tasks.length - down;
    return {
      effect: `${lower ? "lower" : "higher"} by ${figure(Math.abs(effects.diff[best]))} at most`,
      cells: `${lower ? "lower" : "higher"} in ${same} of ${tasks.length}: ${list(names(effects, tasks, about, 3, t => labelOf(effects, t)))}`,
    };
  }

  // Why: motifs, and the stretch on which the prediction rests; one elsewhere if it goes where the prediction goes.
  // site: [bases, how far, whether it is worth less] or null
  function reason(row, site) {
    const parts = motifWords(row.motif) ? [motifWords(row.motif)] : [];
    if (site && site[1] === 0) parts.push(`Changes ${site[0]}, on which the prediction rests.`);
    else if (site && site[2] === row.diff < 0) parts.push(`${site[2] ? "Weakens" : "Strengthens"} ${site[0]}, ${site[1]} bp away, on which the prediction rests.`);
    return parts.join(" ");
  }

  // How sure: how often common variants do as much, and the cut-off that tells regulatory variants best.
  function sureness(row, about) {
    const parts = [], background = about.background ?? {};
    if (known(row.e)) parts.push(`E ${figure(row.e, 2)}: ${share(row, background)}.`);
    const best = bestCutoff(row, about.cutoffs ?? []);
    if (best) parts.push(`Passes ${best[0]} (×${figure(best[2] / best[1], 2)}).`);
    else if (about.cutoffs?.length && known(row.diff)) parts.push("Passes no cut-off.");
    return parts.join(" ");
  }

  function bestCutoff(row, cutoffs) {
    const passed = cutoffs.filter(([rule, common]) => {
      const found = rule.match(/^(\|?)\w*?_(\w+)\|? ([<>]) (\S+)$/), own = found && row[found[2].toLowerCase()];
      if (!known(own) || !common) return false;
      return found[3] === "<" ? own < Number(found[4]) : Math.abs(own) > Number(found[4]);
    });
    return passed.sort((a, b) => b[2] / b[1] - a[2] / a[1])[0] ?? null;
  }

  function share(row, {n, floor}) {
    if (n && row.e <= floor * 1.001) return `none of ${n.toLocaleString("en")} common variants changes it more`;
    const part = row.e >= 0.01 ? `${figure(100 * row.e, 2)} %` : `1 in ${Math.round(1 / row.e).toLocaleString("en")}`;
    return `${part} of common variants change it more`;
  }

  const glance = (row, effects, about, site) => ({...happens(row, effects, about), why: reason(row, site), sure: sureness(row, about)});

  // All of it in sentences.
  function sentence(row, effects, about) {
    const motifs = motifWords(row.motif), rare = known(row.e) ? rarity(row, about) : "";
    if (!has(effects)) {
      if (!known(row.diff)) return `No score: ${row.status}.`;
      return [motifs, `Most changed: ${about.taskName(row.task)}, ${signed(row.diff)}.`, rare].filter(Boolean).join(" ");
    }
    const parts = [motifs];
    if (about.kind === "values") {
      const found = ofValues(effects, about);
      parts.push(`The predicted value is ${found.cells}.`);
    } else {
      const open = about.openable ? effects.columns.filter(t => isOpen(effects, t)) : [];
      if (open.length) parts.push(opening(effects, open, about));
      const strong = bySize(effects, effects.columns.filter(t => !open.includes(t) && Math.abs(effects.diff[t]) > CLEAR));
      const words = strong.slice(0, 3).map(t => `${labelOf(effects, t)} (${change(effects, t)})`);
      if (strong.length > 3) words.push(`${strong.length - 3} more`);
      if (strong.length) parts.push(`${open.length ? "Other marks that change" : "Changes by more than " + CLEAR}: ${list(words)}.`);
      else if (!open.length) parts.push(`No task changes by more than ${CLEAR}; ${happens(row, effects, about).cells}.`);
    }
    return [...parts, rare].filter(Boolean).join(" ");
  }

  function opening(effects, open, about) {
    const mark = effects.marks[open[0]].split(" ")[0];
    if (!effects.closes && !effects.opens) {
      const most = bySize(effects, open.filter(t => known(effects.diff[t])))[0];
      return `Chromatin hardly changes: no cell type's ${mark} by more than ${CLEAR}${most === undefined ? "" : ` (most: ${effects.cells[most]}, ${change(effects, most)})`}.`;
    }
    const side = (count, sign, verb, way) => {
      const words = names(effects, open.filter(t => sign * effects.diff[t] > CLEAR), about, SHOWN, t => cellOf(effects, t));
      return `${verb} chromatin in ${count} of ${about.openable} cell types (probability of ${mark} ${way} by more than ${CLEAR}), ${count > words.length ? "most in" : "in"} ${list(words)}.`;
    };
    const parts = [];
    if (effects.closes) parts.push(side(effects.closes, -1, "Closes", "down"));
    if (effects.opens) parts.push(side(effects.opens, 1, "Opens", "up"));
    if (effects.opens > effects.closes) parts.reverse();
    return parts.join(" ");
  }

  function rarity(row, about) {
    return `Rarest effect: ${about.taskName(row.e_task)}${known(row.e_diff) ? ` (${signed(row.e_diff)})` : ""}, E = ${figure(row.e, 2)}: ${share(row, about.background ?? {})}.`;
  }

  return {known, figure, signed, probability, nameOf, parseFilter, motifsOf, motifWords, change, glance, reason, sureness, sentence, bestCutoff};
})();
if (typeof module !== "undefined") module.exports = varscore.words;
