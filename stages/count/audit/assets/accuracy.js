// The same figures as stages/count/audit/accuracy.py; a test in a browser holds the two together.
"use strict";

const Z = 1.959963984540054;

function wilson(successes, trials) {
  if (!trials) return null;
  const share = successes / trials, z2 = Z * Z;
  const middle = (share + z2 / (2 * trials)) / (1 + z2 / trials);
  const half = Z / (1 + z2 / trials) * Math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

// P(X <= events) for a Poisson mean.
function poissonAtMost(events, mean) {
  let term = -mean, sum = 0;
  for (let k = 0; k <= events; k++) {
    if (k) term += Math.log(mean / k);
    sum += Math.exp(term);
  }
  return sum;
}

// Garwood's exact interval: the means for which what was seen, or more (or less), has a chance of 2.5 %.
function poisson(events) {
  const solve = (high, isBelow) => {
    let low = 0;
    for (let step = 0; step < 200; step++) {
      const middle = (low + high) / 2;
      if (isBelow(middle)) low = middle; else high = middle;
    }
    return (low + high) / 2;
  };
  const far = events + 10 * Math.sqrt(events + 1) + 10;
  const low = events ? solve(far, mean => 1 - poissonAtMost(events - 1, mean) < 0.025) : 0;
  return [low, solve(far, mean => poissonAtMost(events, mean) > 0.025)];
}

function difference(one, other) {
  const [low, high] = poisson(one), [otherLow, otherHigh] = poisson(other);
  return [one - other - Math.hypot(one - low, otherHigh - other), one - other + Math.hypot(high - one, other - otherLow)];
}

function nothingMarked() {
  return {counts: 0, right: 0, wrong: 0, reviewed: 0, reviewedRight: 0, reviewedWrong: 0, misassigned: 0, missed: 0};
}

function figures(one) {
  const truth = one.reviewedRight + one.misassigned + one.missed;
  const superfluous = one.reviewedWrong - one.misassigned;
  const share = (part, whole) => whole ? part / whole : null;
  return {
    counts: one.counts, right: one.right, wrong: one.wrong, reviewed: one.reviewed, missed: one.missed, true: truth,
    precision: share(one.right, one.right + one.wrong),
    precision_interval: wilson(one.right, one.right + one.wrong),
    recall: share(one.reviewedRight, truth),
    recall_interval: wilson(one.reviewedRight, truth),
    count_error: truth ? (superfluous - one.missed) / truth : null,
    count_error_interval: truth ? difference(superfluous, one.missed).map(side => Math.max(side / truth, -1)) : null,
  };
}

function judge(windows, marks, several) {
  const groups = {line: new Map(), direction: new Map(), class: new Map(), hour: new Map()};
  const total = nothingMarked();
  const report = {windows: 0, reviewed_windows: 0};
  const of = (line, direction, label, hour) => {
    const names = {line, direction: `${line}: ${direction}`, class: label || "(none)", hour};
    return [total, ...Object.entries(names).map(([kind, name]) => {
      if (!groups[kind].has(name)) groups[kind].set(name, nothingMarked());
      return groups[kind].get(name);
    })];
  };
  for (const window of windows) {
    const line = several ? `${window.stream}/${window.line}` : window.line;
    const done = isReviewed(window, marks);
    report.windows += 1;
    report.reviewed_windows += done;
    for (const count of window.counts) {
      const mark = marks.counts[count.id];
      for (const one of of(line, count.direction, count.label, window.hour)) {
        one.counts += 1;
        if (!mark) continue;
        const right = mark.verdict === "right";
        one.right += right;
        one.wrong += !right;
        if (!done) continue;
        one.reviewed += 1;
        one.reviewedRight += right;
        one.reviewedWrong += !right;
        one.misassigned += !right && (mark.why === "direction" || mark.why === "class");
      }
    }
    if (!done) continue;
    for (const missed of marks.missed.filter(missed => missed.window === window.id))
      for (const one of of(line, missed.direction, missed.label, window.hour)) one.missed += 1;
  }
  const by = {};
  for (const [kind, members] of Object.entries(groups))
    by[kind] = Object.fromEntries([...members].sort().map(([name, one]) => [name, figures(one)]));
  return {...report, total: figures(total), by};
}

function isReviewed(window, marks) {
  return marks.reviewed.includes(window.id) && window.counts.every(count => marks.counts[count.id]);
}
