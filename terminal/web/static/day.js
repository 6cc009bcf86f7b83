// The day's hours as a chart: units as bars, the member price as a line. Its numbers stand in the element itself.
"use strict";

const HOURS_SHOWN_MIN = 8; // a chart of one busy hour would be a single wall

function hourRange(hours) {
  const busy = hours.flatMap((hour, index) => (hour.units || hour.pay ? [index] : []));
  let first = Math.min(...busy, 23);
  let last = Math.max(...busy, 0);
  while (last - first + 1 < HOURS_SHOWN_MIN) {
    if (first > 0) first -= 1;
    if (last < 23) last += 1;
  }
  return [first, last];
}

function draw(element) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const hours = JSON.parse(element.dataset.hours);
  const [first, last] = hourRange(hours);
  const shown = hours.slice(first, last + 1);
  const still = matchMedia("(prefers-reduced-motion: reduce), print").matches;
  const text = { color: colour("--faint"), fontFamily: getComputedStyle(element).fontFamily, fontSize: 14 };
  const quietAxis = { axisLabel: text, axisLine: { lineStyle: { color: colour("--line") } }, axisTick: { show: false } };
  const chart = echarts.init(element, null, { renderer: "canvas" });
  chart.setOption({
    animation: !still,
    aria: { enabled: false }, // the label and the table beside it speak
    textStyle: text,
    color: [colour("--accent"), colour("--focus")],
    legend: { top: 0, textStyle: text },
    grid: { top: 44, left: 8, right: 8, bottom: 4, containLabel: true },
    tooltip: { trigger: "axis", renderMode: "richText" }, // HTML tooltips would need inline styles
    xAxis: { type: "category", data: shown.map((_, index) => `${first + index}:00`), ...quietAxis },
    yAxis: [
      { type: "value", minInterval: 1, splitLine: { lineStyle: { color: colour("--line") } }, axisLabel: text },
      { type: "value", splitLine: { show: false }, axisLabel: { ...text, formatter: "¥{value}" } },
    ],
    series: [
      { name: element.dataset.units, type: "bar", barMaxWidth: 44, itemStyle: { borderRadius: [5, 5, 0, 0] }, data: shown.map((hour) => hour.units) },
      { name: element.dataset.pay, type: "line", yAxisIndex: 1, symbolSize: 8, lineStyle: { width: 3 }, data: shown.map((hour) => hour.pay / 100) },
    ],
  });
  return chart;
}

const element = document.getElementById("hours-chart");
if (element) {
  let chart = draw(element);
  const again = () => {
    chart.dispose();
    chart = draw(element);
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  addEventListener("resize", () => chart.resize());
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((each) => { each.open = true; });
    chart.resize();
  });
}
