// A pool running down: what is left and what is not yet granted, with a forecast at the rate of now; anew every 10 s.
"use strict";

const RENEW_MS = 10000;
const HOUR_MS = 3600000;
const SHANGHAI_MS = 8 * HOUR_MS; // the page's zone, whatever the browser's is: times are moved, then shown as UTC
const FORECAST_MS_MAX = 7 * 24 * HOUR_MS; // further ahead the run so far would be a dot

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function shown(moment) {
  return new Date(moment).getTime() + SHANGHAI_MS;
}

function optionOf(words, pool, points, now) {
  const left = points.map((point) => [shown(point.at), Math.max(0, point.max - point.used)]);
  const granted = points.map((point) => [shown(point.at), Math.max(0, point.max - point.allotted - point.held)]);
  const ahead = [];
  const end = pool.last_at && new Date(pool.last_at);
  if (end && end - now > 0) {
    const remaining = pool.max - pool.used;
    const until = Math.min(end - now, FORECAST_MS_MAX);
    ahead.push([shown(now), remaining]);
    ahead.push([shown(now) + until, Math.round(remaining * (1 - until / (end - now)))]);
  }
  const line = (name, data, tint, extra) => ({
    name, type: "line", step: "end", showSymbol: data.length < 3, data, color: colour(tint), ...extra,
  });
  const axis = { axisLabel: { color: colour("--faint"), hideOverlap: true }, splitLine: { lineStyle: { color: colour("--line") } } };
  return {
    animation: false,
    useUTC: true,
    grid: { left: 8, right: 16, top: 60, bottom: 8, containLabel: true },
    legend: { top: 0, textStyle: { color: colour("--ink") } },
    tooltip: { trigger: "axis" },
    xAxis: { type: "time", ...axis },
    yAxis: { type: "value", min: 0, max: pool.max, ...axis },
    series: [
      line(words.left, left, "--accent", { areaStyle: { opacity: 0.12 } }),
      line(words.granted, granted, "--good", {}),
      line(words.forecast, ahead, "--warn", { step: false, lineStyle: { type: "dashed" } }),
    ],
  };
}

async function draw(element, chart) {
  const response = await fetch(element.dataset.poolChart, { headers: { accept: "application/json" } });
  if (!response.ok) return;
  const found = await response.json();
  const one = found.pools.find((each) => each.pool.key === element.dataset.key);
  if (one) chart.setOption(optionOf(element.dataset, one.pool, one.points, new Date(found.time)));
}

for (const element of document.querySelectorAll("[data-pool-chart]")) {
  const chart = echarts.init(element, null, { renderer: "svg" });
  const renew = () => draw(element, chart).catch(() => undefined); // the next turn tries again
  new ResizeObserver(() => chart.resize()).observe(element);
  renew();
  setInterval(renew, RENEW_MS);
}
