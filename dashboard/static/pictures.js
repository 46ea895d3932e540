// Draws the pictures of a page from the data that stand beside them. Colours are those of the style sheet.
"use strict";

(() => {
  const drawn = new Map();
  const motion = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;

  // A colour of the style sheet as the theme has it now, as rgb(...).
  const probe = document.createElement("span");
  const colour = (name) => {
    if (!probe.isConnected) document.documentElement.append(probe);
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };

  const faded = (value, share) => `rgba(${value.match(/\d+/g).slice(0, 3).join(",")},${share})`;

  // The charts' library is large: it comes with the first page that has a picture.
  let loading = null;
  const library = () => {
    loading ??= new Promise((resolve, reject) => {
      if (window.echarts) {
        resolve(window.echarts);
        return;
      }
      const script = document.createElement("script");
      script.src = "/static/vendor/echarts.min.js";
      script.onload = () => resolve(window.echarts);
      script.onerror = reject;
      document.head.append(script);
    });
    return loading;
  };

  const percent = (data) => new Intl.NumberFormat(data.language, { maximumFractionDigits: 1 });

  const frame = (data) => ({
    animation: motion,
    animationDuration: 300,
    textStyle: { fontFamily: "inherit", color: colour("--ink") },
    grid: { left: 8, right: 16, top: 34, bottom: 8, containLabel: true },
    tooltip: {
      trigger: "axis",
      renderMode: "richText",
      confine: true,
      backgroundColor: colour("--surface"),
      borderColor: colour("--line"),
      textStyle: { color: colour("--ink") },
      formatter: (points) => {
        const point = data.points[points[0].dataIndex];
        const lines = [point.label, point.said];
        if (point.isUnsettled) lines.push(data.names.unsettled);
        return lines.concat(point.notes ?? []).join("\n");
      },
    },
    xAxis: {
      type: "category",
      data: data.points.map((point) => point.label),
      axisLine: { lineStyle: { color: colour("--line") } },
      axisTick: { show: false },
      axisLabel: { color: colour("--ink-soft"), hideOverlap: true },
    },
    yAxis: {
      type: "value",
      min: 0,
      max: 100,
      splitLine: { lineStyle: { color: colour("--line") } },
      axisLabel: { color: colour("--ink-soft"), formatter: (value) => `${percent(data).format(value)} %` },
    },
  });

  // The interval is a band: an invisible line at its lower end, and a filled one as high as it is wide on top of it.
  const band = (data) => [
    {
      type: "line",
      data: data.points.map((point) => point.low),
      stack: "interval",
      symbol: "none",
      lineStyle: { opacity: 0 },
      silent: true,
    },
    {
      name: data.names.interval,
      type: "line",
      data: data.points.map((point) => (point.low === null ? null : point.high - point.low)),
      stack: "interval",
      symbol: "none",
      lineStyle: { opacity: 0 },
      areaStyle: { color: faded(colour("--bypassed"), 0.22) },
      silent: true,
    },
  ];

  const line = (data) => ({
    name: data.names.share,
    type: "line",
    data: data.points.map((point) => point.share),
    symbol: "circle",
    symbolSize: 7,
    lineStyle: { color: colour("--bypassed"), width: 2 },
    itemStyle: { color: colour("--bypassed") },
  });

  const hatching = () => {
    const image = document.createElement("canvas");
    image.width = image.height = 10;
    const pen = image.getContext("2d");
    pen.strokeStyle = faded(colour("--pending"), 0.7);
    pen.lineWidth = 1.5;
    for (const shift of [-10, 0, 10]) {
      pen.moveTo(shift, 10);
      pen.lineTo(shift + 10, 0);
    }
    pen.stroke();
    return { image, repeat: "repeat" };
  };

  // Columns as wide as their day, behind everything else.
  const unsettled = (data) => ({
    name: data.names.unsettled,
    type: "bar",
    data: data.points.map((point) => (point.isUnsettled ? 100 : null)),
    barWidth: "100%",
    itemStyle: { color: hatching() },
    silent: true,
    z: 0,
  });

  const kinds = {
    trend: (data) => {
      const share = line(data);
      const noted = data.points.flatMap((point, place) => (point.notes.length ? [{ xAxis: place, name: point.notes.join(", ") }] : []));
      if (noted.length) {
        share.markLine = {
          symbol: ["none", "none"],
          lineStyle: { color: colour("--ink-soft"), type: "dashed" },
          label: { formatter: (each) => each.name, color: colour("--ink"), position: "end" },
          data: noted,
        };
      }
      return { ...frame(data), series: [unsettled(data), ...band(data), share] };
    },
    curve: (data) => ({ ...frame(data), series: [...band(data), line(data)] }),
  };

  const draw = async (place) => {
    const data = JSON.parse(document.getElementById(place.dataset.picture).textContent);
    if (!data.points.length) return;
    const echarts = await library();
    if (!place.isConnected) return;
    drawn.get(place)?.dispose();
    const chart = echarts.init(place, null, { renderer: "canvas" });
    chart.setOption(kinds[data.kind](data));
    chart.on("click", (event) => {
      const link = data.points[event.dataIndex]?.link;
      if (link) window.location.assign(link);
    });
    drawn.set(place, chart);
    place.dataset.drawn = "yes";
  };

  const drawAll = () => {
    for (const [place, chart] of drawn) {
      if (place.isConnected) continue;
      chart.dispose();
      drawn.delete(place);
    }
    document.querySelectorAll("[data-picture]").forEach((place) => void draw(place));
  };

  document.addEventListener("DOMContentLoaded", drawAll);
  document.addEventListener("htmx:afterSettle", drawAll);
  document.addEventListener("themechange", drawAll);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  window.addEventListener("resize", () => drawn.forEach((chart) => chart.resize()));
  window.addEventListener("beforeprint", () => drawn.forEach((chart) => chart.resize()));
})();
