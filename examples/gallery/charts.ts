/**
 * Draws the gallery's charts: ECharts lays them out as SVG without a browser, resvg turns the SVG
 * into PNG with fonts from an npm package, so that a machine without fonts draws text, too.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { initWasm, Resvg } from "@resvg/resvg-wasm";
import { type EChartsOption, init } from "echarts";

/** A chart ready to be drawn: its size in pixels and what ECharts needs to know. */
export interface Chart {
  readonly width: number;
  readonly height: number;
  readonly option: EChartsOption;
}

/** One bar of {@link valueChart}. */
export interface IndexedValue {
  readonly index: number;
  readonly value: number;
}

/** A run of bytes inside every row of {@link byteChart}. */
export interface Field {
  readonly label: string;
  readonly length: number;
}

/** One row of {@link byteChart}: its name, its bytes and what they mean. */
export interface ByteRow {
  readonly label: string;
  readonly bytes: Uint8Array;
  readonly meaning: string;
}

/** One bar of {@link timingChart}: how long one copy took, in seconds, and how many bytes it moved. */
export interface Timing {
  readonly label: string;
  readonly bytes: number;
  readonly lowerQuartile: number;
  readonly median: number;
  readonly upperQuartile: number;
}

const INK = "#1f2a37";
const MUTED = "#5b6876";
const AXIS = "#9aa5b1";
const RULE = "#e3e8ed";
const BLUE = "#3a7199";
const LIGHT_BLUE = "#94b8d1";
const BYTE_SHADES = ["#eef3f7", "#a9c5da", "#3a7199", "#17364f"];
/** From this byte value on, the shade is too dark for ink. */
const PAPER_TEXT_FROM = 0x94;

const SANS = "DejaVu Sans, Verdana, sans-serif";
const MONO = "DejaVu Sans Mono, Menlo, Consolas, monospace";
const FONT_FILES = ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf"];

const text = { fontFamily: SANS, fontSize: 13, color: INK };
/** Keeps a number readable where it lies over a grid line. */
const halo = { textBorderColor: "#ffffff", textBorderWidth: 3 };
const quietText = { ...text, color: MUTED };

/** The title and the fonts, the same in every chart. */
function frame(title: string, caption: string): EChartsOption {
  return {
    animation: false,
    backgroundColor: "#ffffff",
    textStyle: text,
    title: {
      text: title,
      subtext: caption,
      left: 24,
      top: 20,
      itemGap: 9,
      textStyle: { ...text, fontSize: 19, fontWeight: "bold" },
      subtextStyle: quietText,
    },
  };
}

/** A bar for every record's value, over its index. */
export function valueChart(title: string, caption: string, records: IndexedValue[]): Chart {
  return {
    width: 960,
    height: 520,
    option: {
      ...frame(title, caption),
      grid: { left: 88, right: 32, top: 104, bottom: 68 },
      xAxis: {
        type: "category",
        data: records.map(({ index }) => String(index)),
        name: "index (u32)",
        nameLocation: "middle",
        nameGap: 40,
        nameTextStyle: quietText,
        axisLabel: text,
        // At the bottom, out of the way of the bars below zero.
        axisLine: { onZero: false, lineStyle: { color: AXIS } },
        axisTick: { show: false },
      },
      yAxis: {
        type: "value",
        name: "value (f64)",
        nameLocation: "middle",
        nameGap: 56,
        nameTextStyle: quietText,
        axisLabel: text,
        splitLine: { lineStyle: { color: RULE } },
      },
      series: [{
        type: "bar",
        silent: true,
        barWidth: "64%",
        label: {
          ...text,
          ...halo,
          show: true,
          fontSize: 12,
          formatter: ({ value }) => Number(value).toFixed(1),
        },
        data: records.map(({ value }) => ({
          value,
          itemStyle: { color: value < 0 ? LIGHT_BLUE : BLUE },
          label: { position: value < 0 ? "bottom" as const : "top" as const },
        })),
        markLine: {
          silent: true,
          symbol: "none",
          label: { show: false },
          lineStyle: { type: "solid", color: AXIS },
          data: [{ yAxis: 0 }],
        },
      }],
    },
  };
}

/** A cell for every byte, shaded by its value, with its hex digits, and a gap between fields. */
export function byteChart(
  title: string,
  caption: string,
  fields: Field[],
  rows: ByteRow[],
): Chart {
  let column = 0;
  const byteColumns = fields.flatMap(({ label, length }) => [
    {
      value: label,
      label: { fontWeight: "bold" as const },
      children: Array.from({ length }, () => ({ value: `${column++}` })),
    },
    { value: `gap after ${label}`, size: 14, label: { show: false } },
  ]);
  const cells = rows.flatMap(({ label, bytes }) =>
    Array.from(bytes, (byte, i) => ({
      value: [`${i}`, label, byte],
      label: { color: byte < PAPER_TEXT_FROM ? INK : "#ffffff" },
    }))
  );
  const plain = { itemStyle: { borderWidth: 0 }, dividerLineStyle: { width: 0 }, label: text };

  return {
    width: 1040,
    height: 560,
    option: {
      ...frame(title, caption),
      matrix: {
        left: 24,
        top: 100,
        width: 992,
        height: 372,
        backgroundStyle: { borderWidth: 0 },
        x: {
          ...plain,
          levelSize: 30,
          data: [...byteColumns, {
            value: "decoded",
            label: { fontWeight: "bold" },
            children: [{ value: "index, value", size: 170 }],
          }],
        },
        y: { ...plain, levelSize: 166, data: rows.map(({ label }) => label) },
        corner: {
          itemStyle: { borderWidth: 0 },
          label: quietText,
          data: [{ coord: [-1, -1], value: "byte of the record" }],
        },
        body: {
          itemStyle: { borderWidth: 0 },
          label: { ...text, fontFamily: MONO },
          data: rows.map(({ label, meaning }) => ({
            coord: ["index, value", label],
            value: meaning,
          })),
        },
      },
      visualMap: {
        min: 0,
        max: 255,
        orient: "horizontal",
        left: 190,
        bottom: 24,
        itemWidth: 14,
        itemHeight: 240,
        text: ["ff", "byte value  00"],
        textGap: 10,
        textStyle: quietText,
        inRange: { color: BYTE_SHADES },
      },
      series: [{
        type: "heatmap",
        coordinateSystem: "matrix",
        silent: true,
        data: cells,
        label: {
          show: true,
          fontFamily: MONO,
          fontSize: 14,
          formatter: ({ value }) => hexByte((value as number[])[2] as number),
        },
        itemStyle: { borderColor: "#ffffff", borderWidth: 2 },
      }],
    },
  };
}

function hexByte(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

/** Time and throughput side by side: bars for the medians, lines for the middle half of the rounds. */
export function timingChart(title: string, caption: string, timings: Timing[]): Chart {
  const panels = [
    {
      left: 176,
      name: "µs per copy (shorter is better)",
      unit: "µs",
      of: (seconds: number) => seconds * 1e6,
    },
    {
      left: 600,
      name: "GB/s (longer is better)",
      unit: "GB/s",
      of: (seconds: number, bytes: number) => bytes / seconds / 1e9,
    },
  ];
  return {
    width: 1040,
    height: 420,
    option: {
      ...frame(title, caption),
      grid: panels.map(({ left }) => ({
        left,
        width: 360,
        top: 96,
        bottom: 76,
        // ECharts would move the grid, because it takes monospaced text for twice as wide as it is.
        outerBoundsMode: "none",
      })),
      xAxis: panels.map(({ name }, gridIndex) => ({
        gridIndex,
        type: "value",
        name,
        nameLocation: "middle",
        nameGap: 38,
        nameTextStyle: quietText,
        axisLabel: text,
        splitNumber: 4,
        splitLine: { lineStyle: { color: RULE } },
      })),
      yAxis: panels.map((_, gridIndex) => ({
        gridIndex,
        type: "category",
        inverse: true,
        data: timings.map(({ label }) => label),
        axisLabel: { ...text, fontFamily: MONO, show: gridIndex === 0 },
        axisLine: { lineStyle: { color: AXIS } },
        axisTick: { show: false },
      })),
      series: panels.flatMap(({ of, unit }, panel) => [
        {
          type: "bar" as const,
          silent: true,
          xAxisIndex: panel,
          yAxisIndex: panel,
          barWidth: 30,
          itemStyle: { color: LIGHT_BLUE },
          data: timings.map(({ median, bytes }) => of(median, bytes)),
          label: {
            ...text,
            ...halo,
            show: true,
            position: "right" as const,
            formatter: ({ value }: { value?: unknown }) => `${threeDigits(Number(value))} ${unit}`,
          },
        },
        {
          type: "custom" as const,
          silent: true,
          xAxisIndex: panel,
          yAxisIndex: panel,
          data: timings.map(({ lowerQuartile, upperQuartile, bytes }, row) => [
            of(lowerQuartile, bytes),
            of(upperQuartile, bytes),
            row,
          ]),
          encode: { x: [0, 1], y: 2 },
          renderItem: (_, api) => {
            const row = api.value(2);
            const [x1 = 0, center = 0] = api.coord([api.value(0), row]);
            const [x2 = 0] = api.coord([api.value(1), row]);
            // Below the bar: over it, the line would cross the number.
            const y = center + 22;
            return {
              type: "path",
              shape: { d: `M${x1} ${y - 4}V${y + 4}M${x1} ${y}H${x2}M${x2} ${y - 4}V${y + 4}` },
              style: { stroke: INK, fill: "none", lineWidth: 1.5 },
            };
          },
        },
      ]),
    },
  };
}

/** A number with three digits that count, or all digits before the point. */
export function threeDigits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** Draws `chart` into `folder` as `name`.svg and `name`.png, and returns the two paths. */
export async function saveChart(folder: string, name: string, chart: Chart): Promise<string[]> {
  const svg = drawSvg(chart);
  const svgPath = join(folder, `${name}.svg`);
  writeFileSync(svgPath, svg);
  const pngPath = join(folder, `${name}.png`);
  writeFileSync(pngPath, await drawPng(svg));
  return [svgPath, pngPath];
}

function drawSvg({ width, height, option }: Chart): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    chart.setOption(option);
    return chart.renderToSVGString();
  } finally {
    // Else its timer keeps the process alive.
    chart.dispose();
  }
}

let wasmReady: Promise<void> | undefined;

async function drawPng(svg: string): Promise<Uint8Array> {
  await (wasmReady ??= initWasm(readPackageFile("@resvg/resvg-wasm/index_bg.wasm")));
  const resvg = new Resvg(svg, {
    font: {
      fontBuffers: FONT_FILES.map((file) => readPackageFile(`dejavu-fonts-ttf/ttf/${file}`)),
      defaultFontFamily: "DejaVu Sans",
      sansSerifFamily: "DejaVu Sans",
      monospaceFamily: "DejaVu Sans Mono",
    },
  });
  const image = resvg.render();
  const png = image.asPng();
  image.free();
  resvg.free();
  return png;
}

/** Looks in the project's own `node_modules`, so that Deno needs permission to read no other. */
const { resolve } = createRequire(new URL("../../mod.ts", import.meta.url));

function readPackageFile(specifier: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(resolve(specifier)));
}
